"""The objects in nerfstudio's viewer, during training and in `ns-viewer`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import viser
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer_elements import ViewerClick, ViewerControl
from torch import Tensor

from disconerf_ns.compat.viewer import (
    SCALE,
    add_tab,
    displayed_outputs,
    output_dropdown,
    redraw,
    rendering_client,
    set_still_resolution,
    warn_of_strangers,
)
from disconerf_ns.compat.viser_guard import guard_viser
from disconerf_ns.errors import UserError
from disconerf_ns.filming.frames import film
from disconerf_ns.filming.orbit import circle
from disconerf_ns.filming.writers import write_film
from disconerf_ns.rendering.lazy_outputs import LazyOutputs
from disconerf_ns.rendering.outputs import output_table
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.viewer.boxes import box_of
from disconerf_ns.viewer.camera_moves import fly, view_of
from disconerf_ns.viewer.editor import Editor
from disconerf_ns.viewer.panel import Panel
from disconerf_ns.viewer.picking import object_at
from disconerf_ns.viewer.pictures import Pictures
from disconerf_ns.viewer.status import Report

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer

LEAST_AHEAD, STEP_FORWARD = 0.1, 0.05
"""Least distance from a photograph's camera to its middle, and the fraction of it that a new client stands ahead."""
CPU_RESOLUTION = 256
"""Size of still pictures without a GPU, until another is chosen in the tab Control: nerfstudio's 512 take a minute."""
FILM_FRAMES, FILM_SIZE, FILM_RATE = 48, 256, 24
"""Frames of a film, its side in pixels, and frames per second."""


_log = logging.getLogger(__name__)


class ObjectControl(ViewerControl):
    """Sets the panel up when nerfstudio opens a viewer, and keeps it and the training in step.

    Args:
        current: the scene that is shown and edited.
        poses: gives the camera-to-world matrices of the training images.
        edit_file: gives the file of the run's edit; None where it is edit.json beside the viewer's log.
    """

    def __init__(
        self,
        current: CurrentScene,
        poses: Callable[[], Float[Tensor, "cameras 3 4"]],
        edit_file: Callable[[], Path | None],
    ):
        self.current, self._poses, self._edit_file = current, poses, edit_file
        self.opened = False
        """Whether there is a viewer, and with it the editor, the pictures and the panel."""
        guard_viser()

    def _setup(self, viewer: Viewer) -> None:
        """Called by nerfstudio when its viewer is there."""
        super()._setup(viewer)
        warn_of_strangers(viewer.config)
        self.editor = Editor(self.current)
        self.panel = Panel(self.viser_server, add_tab(self.viser_server, "Objects"), self.editor, self)
        self.editor.tell = self.panel.tell
        self.pictures = Pictures(self.current, self.panel.tell, lambda client: frozenset(self.editor.selected))
        self.opened = True
        self._flying: set[int] = set()
        self.editor.listeners += [self.refresh, lambda: redraw(viewer, self.pictures.drawing)]
        if self.current.value.trained.radiance.device.type == "cpu":
            set_still_resolution(viewer, CPU_RESOLUTION)
        self._followed = self.current.value.edit
        if viewer.trainer is None:
            viewer.pause_train.visible = viewer.resume_train.visible = False
            self._open_edit()
        self.viser_server.on_client_connect(self._welcome)
        self.refresh()
        if self.current.value.guests:
            self.show_output("edited")
        threading.Thread(target=self._serve, daemon=True).start()

    def _open_edit(self) -> None:
        scene = self.current.value
        if scene.edit == Edit() and self.file.exists():
            try:
                edit = Edit.load(self.file, scene.trained.tree)
            except UserError as error:
                CONSOLE.log(str(error))
            else:
                self.current.replace(lambda scene: scene.with_edit(edit))

    @property
    def file(self) -> Path:
        """File of the saved edit."""
        return self._edit_file() or self.viewer.log_filename.parent / "edit.json"

    def _welcome(self, client: viser.ClientHandle) -> None:
        """Let a new client look as the first photograph does, from just in front of its picture in the 3D scene."""
        pose = self._poses()[0].double().numpy()
        position, forward = pose[:, 3], -pose[:, 2]
        ahead = max(float(-position @ forward), LEAST_AHEAD) * forward
        client.camera.position = SCALE * (position + STEP_FORWARD * ahead)
        client.camera.look_at = SCALE * (position + ahead)

    def present(self, camera: Cameras, obb_box: OrientedBox | None) -> LazyOutputs | None:
        """Every output for a camera, where a client of the viewer asks for it; None for everybody else."""
        client = rendering_client()
        if client is None or not self.opened:
            return None
        return self.pictures.show(client, camera, displayed_outputs(client), obb_box)

    # ---------------------------------------------------------------- training

    def enter_step(self, step: int) -> None:
        """Note the training step; the training calls this before each."""
        if self.opened:
            self.pictures.step = step

    def _serve(self) -> None:
        """Make wishes as they come, in a thread of its own, so that the training never waits for them."""
        while True:
            self.editor.wait()
            self.editor.drain()

    def report(self, report: Report) -> None:
        """Show where the training stands."""
        if self.opened:
            self.panel.status.report(report)

    def say(self, text: str) -> None:
        """Show the work between two stages."""
        if self.opened:
            self.panel.status.say(text)

    def objects_changed(self) -> None:
        """Show the objects soon; the editor does it, so that no two threads change the panel together."""
        if self.opened:
            self.editor.ask(lambda: None)

    def refresh(self) -> None:
        """Show the objects as they are now."""
        if self.opened:
            self.panel.refresh()
            if self.viewer.trainer is None:
                self.panel.status.finish(self.current.value.counted)
            self._follow_names()
            self._follow_edit()

    def _follow_edit(self) -> None:
        """Draw the edited scene instead of the scene when something is hidden or recoloured, not at another cut."""
        before, self._followed = self._followed, self.current.value.edit
        repainted = before.paint != self._followed.paint and before.granularity == self._followed.granularity
        if repainted and self.viewer.control_panel.output_render == "rgb":
            self.show_output("edited")

    def _follow_names(self) -> None:
        """Keep the output that is drawn when its object gets another name."""
        dropdown = output_dropdown(self.viewer)
        plain, *_ = dropdown.value.split(" ")
        output = output_table(self.current.value).get(plain)
        if output is not None and output.caption != dropdown.value and dropdown.value in dropdown.options:
            dropdown.set_options([output.caption if name == dropdown.value else name for name in dropdown.options])
            dropdown.value = output.caption

    # ---------------------------------------------------------------- what the panel's buttons do

    def show_output(self, name: str) -> None:
        """Draw another output, if there is such a one yet."""
        dropdown = output_dropdown(self.viewer)
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
            self.register_pointer_cb("click", self._clicked)
        else:
            self.unregister_pointer_cb()

    def _clicked(self, click: ViewerClick) -> None:
        if self.panel.several:
            self.editor.ask(self._pick, click)
        else:
            self.editor.ask_latest("click", self._pick, click)

    def _pick(self, click: ViewerClick) -> None:
        edited = self.viewer.control_panel.output_render == "edited"
        id = object_at(self.current.value, click.origin, click.direction, edited)
        if id is not None:
            self.editor.select([id], self.panel.several)
        elif not self.panel.several:
            self.editor.select([])

    def fly(self, client: viser.ClientHandle) -> None:
        """Move a client's camera to the object that was selected first."""
        self.editor.ask_latest(("fly", client.client_id), self._fly, client)

    def _fly(self, client: viser.ClientHandle) -> None:
        box = box_of(self.current.value.trained, self.editor.first_selected())
        goal = view_of(box, client.camera.position / SCALE, client.camera.fov)
        if client.client_id not in self._flying:
            self._flying.add(client.client_id)
            threading.Thread(target=self._arrive, args=(client, *goal), daemon=True).start()

    def _arrive(self, client: viser.ClientHandle, *goal: Float[np.ndarray, "3"]) -> None:
        try:
            fly(client, *(point * SCALE for point in goal))
        finally:
            self._flying.discard(client.client_id)

    def film(self, client: viser.ClientHandle) -> None:
        """Film the object that was selected first, from where a client's camera is."""
        self.editor.ask(self._film, client)

    def _film(self, client: viser.ClientHandle) -> None:
        if self.panel.film.visible:
            raise UserError("A film is being made; the next one can be asked for when it is there.")
        scene, filmed = self.current.value, self.editor.first_selected()
        centre = torch.from_numpy(box_of(scene.trained, filmed).centre).float()
        start = torch.from_numpy(client.camera.position / SCALE).float()
        cameras = circle(centre, start, FILM_FRAMES, FILM_SIZE, client.camera.fov)
        self.panel.film.value, self.panel.film.visible = 0.0, True
        threading.Thread(target=self._write_film, args=(scene, filmed, cameras), daemon=True).start()

    def _write_film(self, scene: ArrangedScene, filmed: SceneObject, cameras: Cameras) -> None:
        path, frames = self.file.parent / "videos" / f"{filmed.file_name}.mp4", []
        try:
            for number, frame in enumerate(film(scene, cameras, filmed.id), 1):
                frames.append(frame.numpy())
                self.panel.film.value = 100 * number / len(cameras)
            write_film(path, np.stack(frames), float(FILM_RATE))
            self.editor.tell(f"The film is in {path}.")
        except Exception as error:
            _log.exception("a film failed")
            self.editor.tell(f"The film of {filmed.label} failed ({type(error).__name__}: {error}); see the log.")
        finally:
            self.panel.film.visible = False
