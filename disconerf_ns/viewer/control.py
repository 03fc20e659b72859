"""The objects in nerfstudio's viewer, during training and in `ns-viewer`."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import viser
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO as SCALE
from nerfstudio.viewer.viewer_elements import ViewerClick, ViewerControl

from disconerf_ns.edit import Edit
from disconerf_ns.errors import UserError
from disconerf_ns.film import circle
from disconerf_ns.frame import Frame
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.viewer.boxes import Box, box_of
from disconerf_ns.viewer.displays import shown_names
from disconerf_ns.viewer.editor import Editor
from disconerf_ns.viewer.panel import Panel
from disconerf_ns.viewer.status import Report

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer

    from disconerf_ns.pipeline import DiscoNerfPipeline

PATIENCE = 0.5
"""Seconds that changes wait for a training step to begin."""
FLIGHT, FRAMES_PER_SECOND = 0.6, 30
"""Seconds of a camera's flight to an object, and its steps in a second."""
LEAST_AHEAD, STEP_FORWARD = 0.1, 0.05
"""Way from a photograph's camera to its middle, at least, and the part of it that a new client stands ahead."""
CPU_RESOLUTION = 256
"""Size of still pictures without a GPU, until another is chosen in the tab Control: nerfstudio's 512 take a minute."""
LEAST_HEIGHT = math.radians(20)
"""Angle above the ground from which an object is looked at, at least."""
FILM_FRAMES, FILM_SIZE, FILM_RATE = 48, 256, 24
"""Frames of a film, its side in pixels, and frames per second."""


class ObjectControl(ViewerControl):
    """Sets the panel up when nerfstudio opens a viewer, and keeps it and the training in step."""

    def __init__(self, pipeline: DiscoNerfPipeline):
        self.pipeline = pipeline
        self.panel: Panel | None = None

    def _setup(self, viewer: Viewer) -> None:
        """Called by nerfstudio when its viewer is there."""
        super()._setup(viewer)
        self.editor = Editor(self.pipeline.model)
        self.panel = Panel(self.viser_server, add_tab(self.viser_server, "Objects"), self.editor, self)
        self.editor.tell = self.panel.tell
        self.editor.listeners += [self.refresh, self._redraw]
        if self.pipeline.device.type == "cpu":
            viewer.control_panel._max_res.value = CPU_RESOLUTION
        self._painted = self.pipeline.model.edit.paint
        if viewer.trainer is None:
            viewer.pause_train.visible = viewer.resume_train.visible = False
            self._open_edit()
            self.panel.status.finish(len(self.pipeline.model.objects))
        self.viser_server.on_client_connect(self._welcome)
        self.refresh()
        threading.Thread(target=self._serve, daemon=True).start()

    def _open_edit(self) -> None:
        if self.pipeline.model.edit == Edit() and self.file.exists():
            try:
                self.pipeline.open_edit(self.file)
            except UserError as error:
                CONSOLE.log(str(error))

    @property
    def file(self) -> Path:
        """Where the edit is saved."""
        return self.pipeline.config.edit or self.viewer.log_filename.parent / "edit.json"

    def _welcome(self, client: viser.ClientHandle) -> None:
        """Let a new client look as the first photograph does, from just in front of its picture in the 3D scene."""
        pose = self.pipeline.datamanager.train_dataset.cameras.camera_to_worlds[0].cpu().double().numpy()
        position, forward = pose[:, 3], -pose[:, 2]
        ahead = max(float(-position @ forward), LEAST_AHEAD) * forward
        client.camera.position = SCALE * (position + STEP_FORWARD * ahead)
        client.camera.look_at = SCALE * (position + ahead)

    # ---------------------------------------------------------------- training

    def drain(self) -> None:
        """Make the changes that were asked for; the training calls this before each step."""
        if self.panel is not None:
            self.editor.drain()

    def _serve(self) -> None:
        """Make changes where no training step does it: it is over, paused, or busy."""
        while True:
            self.editor.wait()
            trainer = self.viewer.trainer
            if trainer is not None and trainer.training_state == "training":
                time.sleep(PATIENCE)
            self.editor.drain()

    def report(self, report: Report) -> None:
        """Show where the training stands."""
        if self.panel is not None:
            self.panel.status.report(report)

    def say(self, text: str) -> None:
        """Show what is done between two stages."""
        if self.panel is not None:
            self.panel.status.say(text)

    def refresh(self) -> None:
        """Show the objects as they are now."""
        if self.panel is not None:
            self.panel.refresh()
            self._follow_names()
            self._follow_edit()

    def _redraw(self) -> None:
        """Draw what every client sees anew.

        nerfstudio asks for an interruption even where nothing is being drawn; it would be the new picture that is
        interrupted then, and drawn a fifth of a second later.
        """
        self.viewer._trigger_rerender()
        for client in self.viewer.render_statemachines.values():
            if client not in self.pipeline.model.displays.drawing:
                client.interrupt_render_flag = False

    def _follow_edit(self) -> None:
        """Draw the edited scene instead of the scene when something is hidden or recoloured."""
        before, self._painted = self._painted, self.pipeline.model.edit.paint
        if before != self._painted and self.viewer.control_panel.output_render == "rgb":
            self.show_output("edited")

    def _follow_names(self) -> None:
        """Keep the output that is drawn when its object gets another name."""
        dropdown = self.viewer.control_panel._output_render
        names = shown_names(self.pipeline.model.objects)
        plain, *_ = dropdown.value.split(" ")
        shown = names.get(plain)
        if shown is not None and shown != dropdown.value and dropdown.value in dropdown.options:
            dropdown.set_options([shown if option == dropdown.value else option for option in dropdown.options])
            dropdown.value = shown

    # ---------------------------------------------------------------- what the panel's buttons do

    def show_output(self, name: str) -> None:
        """Draw another output, if there is such a one yet."""
        dropdown = self.viewer.control_panel._output_render
        if name in dropdown.options:
            dropdown.value = name
            self.panel.show_as_drawn(name)
        else:
            self.editor.tell("There are no objects yet; they come with the object stage.")

    def save(self) -> None:
        """Write the edit into the run's folder."""
        self.editor.save(self.file)

    def load(self) -> None:
        """Take the edit from the run's folder."""
        self.editor.load(self.file)

    def pick(self, active: bool) -> None:
        """Let clicks select, or not."""
        if active:
            self.register_pointer_cb("click", lambda click: self.editor.ask(self._pick, click))
        else:
            self.unregister_pointer_cb()

    def _pick(self, click: ViewerClick) -> None:
        edited = self.viewer.control_panel.output_render == "edited"
        id = object_at(self.pipeline.model, click.origin, click.direction, edited)
        if id is not None:
            self.editor.select([id], self.panel.several)
        elif not self.panel.several:
            self.editor.select([])

    def fly(self, client: viser.ClientHandle) -> None:
        """Move a client's camera to the object that was selected first."""
        self.editor.ask(self._fly, client)

    def _fly(self, client: viser.ClientHandle) -> None:
        one = self.editor.found(self.editor.selection()[0])
        goal = view_of(box_of(self.pipeline.model, one), client.camera.position / SCALE, client.camera.fov)
        threading.Thread(target=fly, args=(client, *(point * SCALE for point in goal)), daemon=True).start()

    def film(self, client: viser.ClientHandle) -> None:
        """Film the object that was selected first, from where a client's camera is."""
        self.editor.ask(self._film, client)

    def _film(self, client: viser.ClientHandle) -> None:
        if self.panel.film.visible:
            raise UserError("A film is being made; the next one can be asked for when it is there.")
        one = self.editor.found(self.editor.selection()[0])
        centre = torch.from_numpy(box_of(self.pipeline.model, one).centre).float()
        start = torch.from_numpy(client.camera.position / SCALE).float()
        cameras = circle(centre, start, FILM_FRAMES, FILM_SIZE, client.camera.fov)
        path = self.file.parent / "videos" / f"{(one.title or one.name).replace('/', '_')}.mp4"
        self.panel.film.value, self.panel.film.visible = 0.0, True
        threading.Thread(target=self._write_film, args=(one.slot, cameras, path), daemon=True).start()

    def _write_film(self, id: int, cameras, path: Path) -> None:
        import mediapy

        frames = []
        try:
            for number in range(len(cameras)):
                rays = cameras[number : number + 1].to(self.pipeline.device).generate_rays(0, keep_shape=True)
                frame = Frame(self.pipeline.model, rays.flatten(), tuple(rays.origins.shape[:2]))
                frames.append(frame.image(frame.alone(id)["rgb"]).cpu().numpy())
                self.panel.film.value = 100 * (number + 1) / len(cameras)
            path.parent.mkdir(parents=True, exist_ok=True)
            mediapy.write_video(path, np.stack(frames), fps=FILM_RATE)
            self.editor.tell(f"The film is in {path}.")
        except Exception as error:
            self.editor.tell(f"The film could not be made: {error!r}")
        finally:
            self.panel.film.visible = False


def add_tab(server: viser.ViserServer, label: str) -> viser.GuiTabHandle:
    """A tab beside those of nerfstudio, whose group of tabs is not handed out; in a group of its own without one."""
    containers = server.gui._container_handle_from_id.values()
    groups = [handle._parent for handle in containers if isinstance(handle, viser.GuiTabHandle)]
    group = groups[0] if groups else server.gui.add_tab_group()
    return group.add_tab(label, viser.Icon.STACK_2)


def object_at(
    model: DiscoNerfModel, origin: tuple[float, ...], direction: tuple[float, ...], edited: bool
) -> int | None:
    """The id of the object that a ray meets first; None where it meets none.

    Args:
        origin, direction: of the ray, in scene coordinates.
        edited: whether hidden objects are in nobody's way.
    """
    directions = torch.nn.functional.normalize(torch.tensor([direction], device=model.device), dim=-1)
    one = torch.ones(1, 1, device=model.device)
    rays = RayBundle(
        torch.tensor([origin], device=model.device), directions, 1e-6 * one,
        camera_indices=torch.zeros_like(one, dtype=torch.long), metadata={"directions_norm": one},
    )  # fmt: skip
    frame = Frame(model, rays, (1,), keep=True)
    ids = frame.edited_ids() if edited and frame.remembers_owners else frame.labels()["id"]
    return int(ids) if len(model.objects) > 0 and int(ids) >= 0 else None


def view_of(
    box: Box, position: Float[np.ndarray, "3"], fov: float
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """A place from which a box fills the picture, on the side where the camera is, and where to look from there.

    Args:
        position: of the camera, in scene coordinates.
        fov: vertical angle of view in radians.
    """
    away = position - box.centre
    ground = np.hypot(away[0], away[1])
    heading = away[:2] / ground if ground > 1e-6 else np.array([1.0, 0.0])
    height = max(math.atan2(away[2], ground), LEAST_HEIGHT)
    distance = 1.3 * float(np.linalg.norm(box.size)) / 2 / math.sin(fov / 2)
    back = np.array([*(heading * math.cos(height)), math.sin(height)])
    return box.centre + distance * back, box.centre


def fly(client: viser.ClientHandle, position: Float[np.ndarray, "3"], look_at: Float[np.ndarray, "3"]) -> None:
    """Move a client's camera smoothly, in viser's coordinates."""
    start, first = np.array(client.camera.position), np.array(client.camera.look_at)
    steps = max(int(FLIGHT * FRAMES_PER_SECOND), 1)
    for step in range(1, steps + 1):
        part = step / steps
        eased = part * part * (3 - 2 * part)
        client.camera.position = start + eased * (position - start)
        client.camera.look_at = first + eased * (look_at - first)
        time.sleep(1 / FRAMES_PER_SECOND)
