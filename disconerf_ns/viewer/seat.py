"""What one person at the viewer has: a camera, a selection, a panel and handles. The scene and its edit are shared."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import viser
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.utils.rich_utils import CONSOLE

from disconerf_ns.compat.viewer import SCALE
from disconerf_ns.compat.viser_panel import LentTab
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.viewer.boxes import box_of
from disconerf_ns.viewer.camera_moves import fly, ray_through, rightwards, view_of
from disconerf_ns.viewer.draft import Draft
from disconerf_ns.viewer.editor import Editor
from disconerf_ns.viewer.film import Filming
from disconerf_ns.viewer.panel import Panel
from disconerf_ns.viewer.picking import object_at
from disconerf_ns.viewer.selection import Selection
from disconerf_ns.viewer.status import Progress

SKY = 1e5
"""Half the side of the box that takes clicks, in viser's units: beyond what a page draws, so it is never seen."""
SILENCE = 6.0
"""Seconds for which a sentence is shown; while it is there, it is not said again."""


@runtime_checkable
class Stage(Protocol):
    """What all seats share."""

    editor: Editor
    draft: Draft

    @property
    def drawn(self) -> str:
        """Name of the output that is drawn."""
        ...

    @property
    def file(self) -> Path:
        """File of the saved edit."""
        ...

    def photographs(self) -> Cameras:
        """The cameras of the training images."""
        ...

    def show_output(self, name: str) -> None:
        """Draw another output."""

    def show_cameras(self, visible: bool) -> None:
        """Show where the photographs were taken."""

    def picture(self, each: SceneObject) -> str | None:
        """The small picture of an object."""

    @property
    def films(self) -> Sequence[Filming]:
        """All films that are being made."""
        ...

    def show_films(self) -> None:
        """Show everybody how far films are."""


class Seat:
    """One person's place at the viewer.

    Args:
        client: the person's page.
        tab: the tab in which all have their panel.
        stage: what all share.
        filming: a film that goes on, of a page that was closed or loaded anew; this seat takes it over.
    """

    def __init__(self, client: viser.ClientHandle, tab: viser.GuiTabHandle, stage: Stage, filming: Filming | None):
        self.client, self.stage, self.editor = client, stage, stage.editor
        self.selection = Selection(stage.editor, lambda: rightwards(client.camera))
        self._told, self._flying = ("", -SILENCE), threading.Lock()
        self.has_left = False
        """Whether the page was closed or loaded anew; its film goes on."""
        self.filming = filming or Filming(lambda: stage.file.parent / "videos", self)
        self.filming.audience = self
        self.panel = Panel(client, LentTab(tab, client), self.selection, self, stage.picture)
        self._take_clicks()

    def ask(self, wish: Callable[..., None], *arguments, what: object = None) -> None:
        """Put a wish into the queue; one that cannot be made is told to this person."""
        about = None if what is None else (self.client.client_id, what)
        self.editor.ask(wish, *arguments, what=about, tell=self.tell)

    def refresh(self, progress: Progress, drawn: str) -> None:
        """Show how far the run is, what is not kept, which output is drawn, and the scene as it is."""
        self.panel.head.show(progress)
        self.panel.head.warn(self.stage.draft.warning)
        self.panel.show_as_drawn(drawn)
        self.panel.refresh()

    def tell(self, sentence: str) -> None:
        """Show a sentence to this person, or to all others if this one has left."""
        if self.has_left:
            self.editor.tell(sentence)
            return
        (last, when), now = self._told, time.monotonic()
        if sentence == last and now - when < SILENCE:
            return
        self._told = sentence, now
        self.client.add_notification("Objects", sentence, auto_close=round(1000 * SILENCE))

    # ---------------------------------------------------------------- clicks into the picture

    def _take_clicks(self) -> None:
        """Take clicks by a box around everything: viser's own clicks into the scene would hold the camera still."""
        corners = SKY * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
        sides = np.array([[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]])
        faces = np.concatenate([sides[:, [0, 1, 2]], sides[:, [0, 2, 3]]])
        box = self.client.scene.add_mesh_simple("/objects/clicks", corners, faces, side="double")
        box.on_click(lambda event: self.ask(self.pick, event.screen_pos, what="click"))

    def pick(self, at: tuple[float, float]) -> None:
        """Select the object or the copy that is seen at a place of the picture, or nothing.

        Args:
            at: from the left and from the top, in [0, 1].
        """
        origin, direction = ray_through(self.client.camera, at)
        met = object_at(self.editor.scene, origin, direction, edited=self.stage.drawn == "edited")
        several = self.panel.several.value
        if met is not None:
            self.selection.pick(met.id, met.which, several)
            self.panel.rows.revealed = met.id
        elif not several:
            self.selection.select([])

    # ---------------------------------------------------------------- what the panel's buttons do

    def show_cameras(self, visible: bool) -> None:
        """Show everybody where the photographs were taken."""
        self.stage.show_cameras(visible)

    def show_output(self, name: str) -> None:
        """Draw another output, for everybody."""
        self.stage.show_output(name)

    def save(self) -> None:
        """Write the edit into the run's folder."""
        self.stage.draft.save()

    def load(self) -> None:
        """Take the edit from the run's folder."""
        self.stage.draft.load()

    def film(self) -> None:
        """Film the object that was selected first, from the person's side of it on, and hand the film to the page."""
        filmed, options = self.selection.first, self.panel.film.options
        start = torch.from_numpy(np.asarray(self.client.camera.position) / SCALE).float()
        self.filming.start(self.editor.scene, filmed.id, options, self.stage.photographs(), start)

    def cancel_film(self) -> None:
        """Stop the person's film."""
        self.filming.cancel()

    @property
    def films_of_others(self) -> Sequence[Filming]:
        """Films being made that other pages ordered."""
        return [each for each in self.stage.films if each is not self.filming]

    def film_goes_on(self) -> None:
        """Show everybody how far the film is."""
        self.stage.show_films()

    def film_is_there(self, film: Path) -> None:
        """Hand the film to the page."""
        self._show_end()
        if self.has_left:
            self.tell(f"The film is in {film}. The page that ordered it was closed meanwhile.")
            return
        CONSOLE.log(f"viewer: a film is in {film}")
        self.client.send_file_download(film.name, film.read_bytes())
        self.tell(f"The film is in {film}, and among your downloads.")

    def film_failed(self, sentence: str) -> None:
        """Tell why there is no film."""
        self._show_end()
        self.tell(sentence)

    def _show_end(self) -> None:
        self.editor.ask(lambda: None)

    def fly(self) -> None:
        """Move the person's camera to the object that was selected first."""
        scene, first = self.editor.scene, self.selection.first
        box = box_of(scene.trained, first).moved(self.selection.place_of(first.id))
        camera = self.client.camera
        goal = view_of(box, np.asarray(camera.position) / SCALE, camera.fov)
        threading.Thread(target=self._arrive, args=goal, daemon=True).start()

    def _arrive(self, *goal: Float[np.ndarray, "3"]) -> None:
        if self._flying.acquire(blocking=False):
            try:
                fly(self.client, *(point * SCALE for point in goal))
            finally:
                self._flying.release()
