"""Boxes and names of objects in the viewer's 3D scene."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import numpy as np
import torch
import viser
import viser.transforms as vtf
from jaxtyping import Float

from disconerf_ns.compat.viewer import SCALE
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.bodies import is_wide
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.similarity import Similarity, Vector, vector
from disconerf_ns.scene.trained import TrainedScene

POINTS = 2000
"""Most surface points that a box is fitted to."""
ANGLES = 45
"""Turns about the vertical that are tried, over a quarter of a circle."""
OUTLIERS = 0.01
"""Fraction of the points that may stick out of a box at each end of an axis."""
LINE = 2.0
"""Thickness of a box's edges in pixels."""


class DrawnBox(NamedTuple):
    """A box that stands upright, in scene coordinates."""

    centre: Float[np.ndarray, "3"]
    size: Float[np.ndarray, "3"]
    angle: float
    """Of its first axis about the vertical, in radians."""

    def moved(self, place: Similarity) -> DrawnBox:
        """The box of a thing that was moved and scaled; it stays upright if the thing was turned."""
        centre = place.points(torch.from_numpy(self.centre)).numpy()
        return DrawnBox(centre, place.scale * self.size, self.angle)


def fit(points: Float[np.ndarray, "n 3"]) -> DrawnBox:
    """The upright box of least area on the ground that holds nearly all points."""
    angles = np.arange(ANGLES) / ANGLES * np.pi / 2
    across, along = np.cos(angles), np.sin(angles)
    turned = np.stack([np.outer(points[:, 0], across) + np.outer(points[:, 1], along),
                       np.outer(points[:, 1], across) - np.outer(points[:, 0], along)])  # fmt: skip
    low, high = np.quantile(turned, [OUTLIERS, 1 - OUTLIERS], axis=1)
    best = int((high - low).prod(0).argmin())
    bottom, top = np.quantile(points[:, 2], [OUTLIERS, 1 - OUTLIERS])
    x, y = (low + high)[:, best] / 2
    angle = float(angles[best])
    centre = np.array(
        [x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle), (bottom + top) / 2]
    )
    return DrawnBox(centre, np.array([*(high - low)[:, best], top - bottom]), angle)


def box_of(trained: TrainedScene, shown: SceneObject) -> DrawnBox:
    """The box of an object: of the points at which the masks agree on its slots, or else along the axes.

    A ground may go on to the horizon. Then the box is that of the half of its points that is nearest to their middle,
    so that it is drawn, and has its handles, where people look.
    """
    low, high = np.array(shown.box)
    wide = is_wide(shown.box)
    points = trained.agreed_on(shown.slots) if shown.whole or wide else None
    if points is not None and len(points) >= 10:
        points = trained.contraction.inverse(points[:: -(-len(points) // POINTS)]).cpu().numpy()
        points = points[((points >= low) & (points <= high)).all(-1)]
        if len(points) >= 10:
            return fit(nearest_half(points) if wide else points)
    return DrawnBox((low + high) / 2, high - low, 0.0)


def nearest_half(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "half 3"]:
    """The half of some points that is nearest to their median."""
    away = np.linalg.norm(points - np.median(points, 0), axis=1)
    return points[away <= np.median(away)]


def middle_of(scene: ArrangedScene, id: ObjectId) -> Vector:
    """The middle of an object's box where it was photographed: handles stand there, turns and sizes are about it."""
    return vector(torch.from_numpy(box_of(scene.trained, scene.by_id[id]).centre))


def edges(size: Float[np.ndarray, "3"]) -> Float[np.ndarray, "16 3"]:
    """Corners of a box around the origin, in an order in which a line through them draws all twelve edges."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    return corners[[0, 1, 3, 2, 0, 4, 5, 7, 6, 4, 5, 1, 3, 7, 6, 2]] * size


class Which(Enum):
    """Objects whose boxes and names are shown."""

    SELECTED = "the selection"
    ALL = "all objects"
    NONE = "nothing"


class Boxes:
    """The boxes and names that are shown.

    Args:
        scene: viser's 3D scene, of one client.
    """

    def __init__(self, scene: viser.SceneApi):
        self.scene = scene
        self.which = Which.SELECTED
        self._shown: dict[ObjectId, tuple[tuple, list]] = {}

    def update(
        self, scene: ArrangedScene, selected: frozenset[ObjectId], place_of: Callable[[ObjectId], Similarity | None]
    ) -> None:
        """Show boxes and names of objects, each at a place, unless that is None; selected ones are white."""
        wanted = {}
        for each in scene.objects:
            if self._shows(each.id, selected) and (place := place_of(each.id)) is not None:
                color = (255, 255, 255) if each.id in selected else tuple(round(255 * c) for c in each.color)
                wanted[each.id] = each.label, color, place, each.box
        for id in list(self._shown):
            if self._shown[id][0] != wanted.get(id):
                for handle in self._shown.pop(id)[1]:
                    handle.remove()
        for id in wanted.keys() - self._shown.keys():
            handles = self._draw(scene.trained, scene.by_id[id], *wanted[id][:3])
            self._shown[id] = wanted[id], handles

    def _shows(self, id: ObjectId, selected: frozenset[ObjectId]) -> bool:
        return self.which is Which.ALL or (self.which is Which.SELECTED and id in selected)

    def _draw(
        self, trained: TrainedScene, shown: SceneObject, name: str, color: tuple[int, int, int], place: Similarity
    ) -> list:
        box = box_of(trained, shown).moved(place)
        turn = vtf.SO3(np.array(place.rotation)) @ vtf.SO3.from_z_radians(box.angle)
        corners = edges(box.size * SCALE)
        straight = np.stack([corners[:-1], corners[1:]], 1).reshape(-1, 3)
        lines = self.scene.add_spline_cubic_bezier(
            f"/objects/{shown.name}/box", corners, straight, line_width=LINE, color=color, segments=1,
            wxyz=turn.wxyz, position=box.centre * SCALE,
        )  # fmt: skip
        top = box.centre + np.array([0, 0, 0.55 * box.size[2]])
        return [lines, self.scene.add_label(f"/objects/{shown.name}/name", name, position=top * SCALE)]
