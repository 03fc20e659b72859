"""The objects in nerfstudio's viewer, during training and in `ns-viewer`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import viser
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer_elements import ViewerControl

from disconerf_ns.compat import viewer as nerfstudio_viewer
from disconerf_ns.compat.process import before_threads_end
from disconerf_ns.compat.viser_guard import guard_viser
from disconerf_ns.compat.viser_panel import add_first_tab, at_once
from disconerf_ns.errors import UserError
from disconerf_ns.rendering.lazy_outputs import LazyOutputs
from disconerf_ns.rendering.outputs import drawn_instead, output_table
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.viewer.camera_moves import look_as
from disconerf_ns.viewer.draft import EVERY, Draft
from disconerf_ns.viewer.editor import Editor
from disconerf_ns.viewer.film import Filming
from disconerf_ns.viewer.pictures import Pictures
from disconerf_ns.viewer.seat import Seat
from disconerf_ns.viewer.status import Progress, Report
from disconerf_ns.viewer.thumbnails import Thumbnails

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer

CPU_RESOLUTION = 256
"""Size of still pictures without a GPU, until another is chosen in the tab Control: nerfstudio's 512 take a minute."""
PATIENCE = 5.0
"""Seconds that the program waits at its end for each kind of picture that is being drawn."""
UNSAVED = "It shows no changes that are not saved. *save edit* in the tab Objects, under *More*, saves them."
"""Note below a command that films the scene."""
STYLE, COLORS = (Path(__file__).with_name(name) for name in ("panel.css", "colors.js"))
ICON = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round">'
    '<path d="M12 3L21 8L12 13L3 8Z"/><path d="M3 12L12 17L21 12"/><path d="M3 16L12 21L21 16"/></svg>'
)


class ObjectControl(ViewerControl):
    """Sets a panel up for everybody who opens nerfstudio's viewer, and keeps viewer and training in step.

    Args:
        current: the scene that is shown and edited.
        photographs: gives the cameras of the training images.
        edit_file: gives the file of the run's edit; None where it is edit.json beside the viewer's log.
    """

    def __init__(self, current: CurrentScene, photographs: Callable[[], Cameras], edit_file: Callable[[], Path | None]):
        self.current, self.photographs, self._edit_file = current, photographs, edit_file
        self.progress = Progress()
        self.seats: dict[int, Seat] = {}
        """Seats by the ids of their clients."""
        self._orphans: list[Filming] = []
        """Films whose page has left; they go on, and the next page takes one over."""
        self.loaded_step = 0
        """Step of the checkpoint that was loaded."""
        self.opened = False
        """Whether there is a viewer, and with it the editor and the pictures."""
        guard_viser()

    def _setup(self, viewer: Viewer) -> None:
        """Called by nerfstudio when its viewer is there."""
        super()._setup(viewer)
        nerfstudio_viewer.warn_of_strangers(viewer.config)
        nerfstudio_viewer.draw_for_those_who_are_there(viewer)
        self.editor = Editor(self.current, self.tell)
        self.draft = Draft(self.editor, lambda: self.file)
        self.pictures = Pictures(
            self.current, self.tell, self._selected, nerfstudio_viewer.send_meanwhile, self._sharpening
        )
        self.thumbnails = Thumbnails(
            self.current, self.photographs, self.objects_changed, lambda: bool(self.pictures.drawing)
        )
        page = f"<style>{STYLE.read_text()}</style>" + at_once(COLORS.read_text())
        self._tab = add_first_tab(self.viser_server, "Objects", ICON + page)
        self.opened = True
        self.editor.listeners += [self.refresh, self._redraw]
        nerfstudio_viewer.draw_lines_sharp(viewer)
        if self.current.value.trained.radiance.device.type == "cpu":
            nerfstudio_viewer.set_still_resolution(viewer, CPU_RESOLUTION)
        if viewer.trainer is None:
            self._open_edit()
            self.take_draft()
            nerfstudio_viewer.show_finished(viewer, self.loaded_step)
        self._followed = self.current.value
        nerfstudio_viewer.draw(viewer, captions(self._followed), first_output(self._followed))
        nerfstudio_viewer.on_output_chosen(viewer, lambda: self.editor.ask(lambda: None))
        self.viser_server.on_client_connect(lambda client: self.editor.ask(self._seat, client))
        self.viser_server.on_client_disconnect(self._leave)
        self._known_cameras = 0
        self.refresh()
        self._closed = threading.Event()
        threading.Thread(target=self._serve, args=(self._closed,), daemon=True).start()
        before_threads_end(self.close)

    def take_draft(self) -> None:
        """Take the changes that a session before did not save, once the run's objects and its saved edit are here."""
        if self.opened:
            self.editor.attempt(self.draft.begin, self.tell)

    def close(self) -> None:
        """Keep what is not saved, and end all drawing, which would take the program down while Python shuts down."""
        self._closed.set()
        self.editor.attempt(self.draft.close, CONSOLE.log)
        nerfstudio_viewer.stop_drawing(self.viewer)
        self.thumbnails.close(PATIENCE)
        for filming in self._all_films:
            filming.close(PATIENCE)
        end = time.monotonic() + PATIENCE
        while self.pictures.drawing and time.monotonic() < end:
            time.sleep(0.02)

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

    def _seat(self, client: viser.ClientHandle) -> None:
        """Give a new client a panel, and let it look as the first photograph does."""
        if client.client_id not in self.viser_server.get_clients():
            return
        self._hide_cameras()
        look_as(client, self.photographs()[0:1])
        output, note = lambda: self.drawn.split()[0], lambda: "" if self.draft.is_saved else UNSAVED
        nerfstudio_viewer.film_what_is_drawn(client, output, note)
        self.seats[client.client_id] = seat = Seat(client, self._tab, self, self._adopted())
        if self.draft.greeting:
            seat.tell(self.draft.greeting)
        if client.client_id not in self.viser_server.get_clients():  # it left meanwhile
            self._leave(client)

    def _hide_cameras(self) -> None:
        """Hide where the photographs were taken, each camera once; people may show it."""
        self._known_cameras = nerfstudio_viewer.hide_training_cameras(self.viewer, self._known_cameras)

    def _leave(self, client: viser.ClientHandle) -> None:
        """Forget a client, whose picture is given up; a film that it ordered goes on."""
        for drawing in list(self.pictures.drawing):
            if nerfstudio_viewer.client_of(drawing) == client.client_id:
                nerfstudio_viewer.interrupt(drawing)
        seat = self.seats.pop(client.client_id, None)
        if seat is not None:
            seat.has_left = True
            if seat.filming.running:
                self._orphans.append(seat.filming)

    def _adopted(self) -> Filming | None:
        """A film that goes on though its page has left, such as one that was loaded anew; None if there is none."""
        self._orphans = [each for each in self._orphans if each.running]
        return self._orphans.pop() if self._orphans else None

    @property
    def _all_films(self) -> list[Filming]:
        return [*self._orphans, *(seat.filming for seat in list(self.seats.values()))]

    @property
    def films(self) -> list[Filming]:
        """All films that are being made."""
        return [each for each in self._all_films if each.running]

    def show_films(self) -> None:
        """Show everybody how far films are."""
        for seat in list(self.seats.values()):
            seat.panel.show_films()

    def present(self, camera: Cameras, obb_box: OrientedBox | None) -> LazyOutputs | None:
        """Every output for a camera, where a client of the viewer asks for it; None for everybody else."""
        client = nerfstudio_viewer.rendering_client()
        if client is None or not self.opened:
            return None
        if nerfstudio_viewer.has_left(client):
            raise nerfstudio_viewer.IOChangeException
        glimpse = nerfstudio_viewer.is_coarse(client)
        return self.pictures.show(client, camera, nerfstudio_viewer.displayed_outputs(client), obb_box, glimpse)

    def tell(self, sentence: str) -> None:
        """Show a sentence to everybody who looks."""
        CONSOLE.log(sentence)
        for seat in list(self.seats.values()):
            seat.tell(sentence)

    # ---------------------------------------------------------------- training

    def enter_step(self, step: int) -> None:
        """Note the training step; the training calls this before each."""
        if self.opened:
            self.pictures.step = step
            self._hide_cameras()

    def _serve(self, closed: threading.Event) -> None:
        """Make wishes as they come, in a thread of its own, so that the training never waits for them.

        While Python ends no more are made, since viser's threads have ended.
        """
        while threading.main_thread().is_alive() and not closed.is_set():
            if not self.editor.wait(EVERY):
                self.editor.attempt(self._redraw, CONSOLE.log)
            self.editor.drain()
            self.editor.attempt(self.draft.keep, self.tell)

    def report(self, report: Report) -> None:
        """Show where the training stands."""
        if self.opened and self.progress.report(report):
            self._show_progress()

    def say(self, text: str) -> None:
        """Show the work between two stages."""
        if self.opened:
            self.progress.say(text)
            self._show_progress()

    def _show_progress(self) -> None:
        for seat in list(self.seats.values()):
            seat.panel.head.show(self.progress)

    def objects_changed(self) -> None:
        """Show the objects soon; the editor does it, so that no two threads change the panel together."""
        if self.opened:
            self.editor.ask(lambda: None)

    def refresh(self) -> None:
        """Show the objects as they are now."""
        if self.viewer.trainer is None:
            self.progress.finish(self.current.value.counted)
        self._hide_cameras()
        self._follow_scene()
        for seat in list(self.seats.values()):
            self.editor.attempt(partial(seat.refresh, self.progress, self.drawn), seat.tell)

    # ---------------------------------------------------------------- what is drawn

    def _redraw(self) -> None:
        """Draw pictures that are out of date anew, after changes and now and then.

        nerfstudio's render thread forgets what it is asked for between the moment in which it reads what to do and the
        moment in which it notes that nothing is to be done. The picture then stayed until the camera moved.
        """
        nerfstudio_viewer.redraw(self.viewer, self.pictures.drawing, self.pictures.is_stale)

    @property
    def drawn(self) -> str:
        """Name of the output that is drawn, with the name that a person gave its object."""
        return nerfstudio_viewer.output_dropdown(self.viewer).value

    def _follow_scene(self) -> None:
        """Draw what was drawn, as it is now; what was found, as soon as it is; and the edit, once there is one."""
        before, now = self._followed, self.current.value
        self._followed = now
        if now is before:
            return
        drawn = drawn_instead(self.drawn, before, now)
        if drawn == "rgb" and now.objects and not before.objects:
            drawn = "objects_overlay"
        repainted = before.edit.paint != now.edit.paint and before.edit.granularity == now.edit.granularity
        if repainted and drawn in ("rgb", "objects_overlay"):
            drawn = "edited"
        nerfstudio_viewer.draw(self.viewer, captions(now), drawn)

    def show_output(self, name: str) -> None:
        """Draw another output, if there is such a one yet."""
        listed = captions(self.current.value)
        if name not in listed:
            raise UserError("There are no objects yet; they come with the object stage.")
        nerfstudio_viewer.draw(self.viewer, listed, name)

    def show_cameras(self, visible: bool) -> None:
        """Show where the photographs were taken."""
        nerfstudio_viewer.show_training_cameras(self.viewer, visible)

    def picture(self, each: SceneObject) -> str | None:
        """The small picture of an object."""
        return self.thumbnails.of(each)

    def _seat_of(self, drawing: threading.Thread) -> Seat | None:
        """The seat for which one of nerfstudio's threads draws."""
        return self.seats.get(nerfstudio_viewer.client_of(drawing))

    def _selected(self, drawing: threading.Thread) -> frozenset[ObjectId]:
        seat = self._seat_of(drawing)
        return frozenset() if seat is None else frozenset(seat.selection.ids)

    def _sharpening(self, drawing: threading.Thread, part: float | None) -> None:
        if (seat := self._seat_of(drawing)) is not None:
            seat.panel.head.sharpening(part)


def captions(scene: ArrangedScene) -> list[str]:
    """Names of the outputs that people can choose."""
    return [output.caption for output in output_table(scene).values() if output.listed]


def first_output(scene: ArrangedScene) -> str:
    """Name of the output that shows at first sight what was found, or what was edited."""
    return "edited" if scene.repaints and scene.objects else "objects_overlay" if scene.objects else "rgb"
