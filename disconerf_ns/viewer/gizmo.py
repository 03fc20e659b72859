"""Handles in the 3D scene that move and turn the selected object."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import viser
import viser.transforms as vtf

from disconerf_ns.compat.viewer import SCALE
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.similarity import Similarity, Vector, vector
from disconerf_ns.viewer.boxes import middle_of

REACH = 110.0
"""Length of the handles in pixels. It does not depend on the object's size, so the handles of small objects can be
grasped."""
STILL = 1e-4
"""Changes of a matrix that are too small to be a person's, in scene units."""


class Gizmo:
    """The handles; they follow the selected object, or one of its copies.

    Args:
        scene: viser's 3D scene, of one client.
        moved: called, in viser's thread, after a person moved the handles.
    """

    def __init__(self, scene: viser.SceneApi, moved: Callable[[], None]):
        self.scene, self.moved = scene, moved
        self.on = False
        """Whether the handles are shown where an object is selected."""
        self.id: ObjectId | None = None
        """The object that has the handles."""
        self._handle: viser.TransformControlsHandle | None = None
        self.centre: Vector = (0.0, 0.0, 0.0)
        """The middle of the object where it was photographed, in scene coordinates."""
        self._shown = Similarity()

    def update(self, scene: ArrangedScene, id: ObjectId | None, place: Similarity | None) -> None:
        """Show the handles at an object's place; without an object, or without a place where it is seen, none."""
        if not self.on or id is None or place is None or id not in scene.by_id:
            self._remove()
            return
        if id != self.id or self._handle is None:
            self._remove()
            self.id, self.centre = id, middle_of(scene, id)
            self._handle = self.scene.add_transform_controls("/objects/gizmo", scale=REACH, fixed=True)
            self._handle.on_update(lambda _: self.moved())
        elif place.close_to(self._shown, STILL):
            return
        self._shown = place
        self._handle.position = SCALE * np.array(place.points(torch.tensor(self.centre)).tolist())
        self._handle.wxyz = np.array(place.rotation)

    def _remove(self) -> None:
        if self._handle is not None:
            self._handle.remove()
        self._handle, self.id = None, None

    def place(self, scale: float) -> Similarity | None:
        """Where a person put the object, in scene coordinates; None without handles, or where they stand still.

        Args:
            scale: size of the object, as a multiple of its own.
        """
        if self._handle is None:
            return None
        w, x, y, z = (float(value) for value in self._handle.wxyz / np.linalg.norm(self._handle.wxyz))
        px, py, pz = (float(to - own) for to, own in zip(np.array(self._handle.position) / SCALE, self.centre))
        place = Similarity.about(self.centre, (w, x, y, z), scale, (px, py, pz))
        if place.close_to(self._shown, STILL):
            return None
        self._shown = place
        return place


def numbers_of(place: Similarity, centre: Vector) -> tuple[Vector, Vector]:
    """Where an object stands, as a person reads it.

    Args:
        place: of the object, in scene coordinates.
        centre: its middle where it was photographed.
    Returns:
        Its middle, and its turns about x, y and z in degrees, made in this order.
    """
    turns = vtf.SO3(np.array(place.rotation)).as_rpy_radians()
    roll, pitch, yaw = (math.degrees(float(turn)) for turn in (turns.roll, turns.pitch, turns.yaw))
    return vector(place.points(torch.tensor(centre))), (roll, pitch, yaw)


def place_of(middle: Vector, turns: Vector, scale: float, centre: Vector) -> Similarity:
    """The place that numbers stand for; the arguments are those of `numbers_of`, and the size."""
    w, x, y, z = (float(q) for q in vtf.SO3.from_rpy_radians(*map(math.radians, turns)).wxyz)
    px, py, pz = (to - own for to, own in zip(middle, centre))
    return Similarity.about(centre, (w, x, y, z), scale, (px, py, pz))
