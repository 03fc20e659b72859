"""What one person at the viewer has: a camera, a selection, a panel and handles. The scene and its edit are shared."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import viser
from jaxtyping import Float

from disconerf_ns.compat.viewer import SCALE
from disconerf_ns.compat.viser_panel import lend
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.scene.similarity import Vector
from disconerf_ns.viewer.boxes import box_of
from disconerf_ns.viewer.camera_moves import fly, view_of
from disconerf_ns.viewer.editor import Editor
from disconerf_ns.viewer.panel import Panel
from disconerf_ns.viewer.picking import object_at
from disconerf_ns.viewer.selection import Selection
from disconerf_ns.viewer.status import Standing

SKY = 1e5
"""Half the side of the box that takes clicks, in viser's units: beyond what a page draws, so it is never seen."""
SILENCE = 6.0
"""Seconds for which a sentence is shown; while it is there, it is not said again."""


@runtime_checkable
class Stage(Protocol):
    """What all seats share."""

    editor: Editor

    @property
    def drawn(self) -> str:
        """Name of the output that is drawn."""
        ...

    @property
    def file(self) -> Path:
        """File of the saved edit."""
        ...

    def show_output(self, name: str) -> None:
        """Draw another output."""

    def show_cameras(self, visible: bool) -> None:
        """Show where the photographs were taken."""

    def picture(self, each: SceneObject) -> str | None:
        """The small picture of an object."""


class Seat:
    """One person's place at the viewer.

    Args:
        client: the person's page.
        tab: the tab in which all have their panel.
        stage: what all share.
    """

    def __init__(self, client: viser.ClientHandle, tab: viser.GuiTabHandle, stage: Stage):
        self.client, self.stage, self.editor = client, stage, stage.editor
        self.selection = Selection(stage.editor)
        self._told, self._flying = ("", -SILENCE), threading.Lock()
        lend(tab, client)
        self.panel = Panel(client, tab, self.selection, self, stage.picture)
        self._take_clicks()

    def ask(self, wish: Callable[..., None], *arguments, what: object = None) -> None:
        """Put a wish into the queue; one that cannot be made is told to this person."""
        about = None if what is None else (self.client.client_id, what)
        self.editor.ask(wish, *arguments, what=about, tell=self.tell)

    def refresh(self, standing: Standing, drawn: str) -> None:
        """Show how far the run is, which output is drawn, and the scene as it is."""
        self.panel.head.show(standing)
        self.panel.show_as_drawn(drawn)
        self.panel.refresh()

    def tell(self, sentence: str) -> None:
        """Show a sentence to this person."""
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
        box.on_click(lambda event: self.ask(self.pick, event.ray_origin, event.ray_direction, what="click"))

    def pick(self, origin: Vector, direction: Vector) -> None:
        """Select the object that a ray in viser's coordinates meets, or nothing."""
        x, y, z = (coordinate / SCALE for coordinate in origin)
        id = object_at(self.editor.scene, (x, y, z), direction, edited=self.stage.drawn == "edited")
        several = self.panel.several.value
        if id is not None:
            self.selection.select([id], several)
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
        self.editor.save(self.stage.file)

    def load(self) -> None:
        """Take the edit from the run's folder."""
        self.editor.load(self.stage.file)

    def fly(self) -> None:
        """Move the person's camera to the object that was selected first."""
        box = box_of(self.editor.scene.trained, self.selection.first)
        camera = self.client.camera
        goal = view_of(box, np.asarray(camera.position) / SCALE, camera.fov)
        threading.Thread(target=self._arrive, args=goal, daemon=True).start()

    def _arrive(self, *goal: Float[np.ndarray, "3"]) -> None:
        if self._flying.acquire(blocking=False):
            try:
                fly(self.client, *(point * SCALE for point in goal))
            finally:
                self._flying.release()
