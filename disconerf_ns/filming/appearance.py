"""An object as a film needs to know it: seen from outside, and as the photographs see it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from disconerf_ns.filming.orbit import elevation_of, hull, square, view_angle
from disconerf_ns.filming.sight import SEES, drawn, shares_seen, surface_of
from disconerf_ns.filming.trial import visible_points
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.bodies import within_ball
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.spacing import evenly_spaced

COMPARED, COARSE = 32, 16
"""At most so many photographs are compared by how much of them shows an object, in squares of so many pixels."""


@dataclass(frozen=True)
class Appearance:
    """An object as it is seen from outside, and as the photographs see it."""

    points: Float[Tensor, "points 3"]
    """Of its surface, in scene coordinates; none if nothing of it is solid."""
    corners: Float[Tensor, "corners 3"]
    """Of the convex hull of what is visible of it."""
    seen: Float[Tensor, "cameras"]
    """Share of the points that each photograph sees; of what surrounds the photographs, share of each that shows it."""
    voxel: float
    """Side of its voxels."""
    surrounds: bool
    """Whether it surrounds the scene, or half of the photographs were taken from within the ball around it."""

    @classmethod
    def of(cls, scene: ArrangedScene, filmed: SceneObject, photographs: Cameras) -> Appearance:
        """Look for an object in the photographs."""
        solid, positions = scene.bodies.whole(filmed.id), photographs.camera_to_worlds[..., 3].cpu()
        corners, there = extent(scene, filmed), len(solid) > 0
        voxel = float(solid.volumes.median()) ** (1 / 3) if there else 0.0
        points = surface_of(solid) if there else corners[:0]
        if _surrounds(scene, filmed, corners, positions):
            return cls(points, corners, shares_shown(scene, filmed.id, photographs), voxel, surrounds=True)
        if not there:
            return cls(points, corners, torch.zeros(len(photographs)), voxel, surrounds=False)
        elevation = elevation_of(positions, corners.mean(0))
        visible = visible_points(scene, filmed.id, scene.bodies.clean(filmed.id), corners, elevation)
        if len(visible) > 0:
            points, corners = drawn(visible), hull(visible)
        return cls(points, corners, shares_seen(scene, photographs, points, 2 * voxel), voxel, surrounds=False)

    def moved(self, place: Similarity) -> Appearance:
        """The same object where it stands under an edit."""
        return replace(self, points=place.points(self.points), corners=place.points(self.corners))

    @property
    def seeing(self) -> Bool[Tensor, "cameras"]:
        """The photographs that see it; if none does, all."""
        sees = self.seen >= SEES
        return sees if bool(sees.any()) else torch.ones_like(sees)

    @property
    def centre(self) -> Float[Tensor, "3"]:
        """Middle of what it spans."""
        return (self.corners.amin(0) + self.corners.amax(0)) / 2


def shares_shown(scene: ArrangedScene, id: ObjectId, photographs: Cameras) -> Float[Tensor, "cameras"]:
    """Share of the middle square of each photograph that shows an object; 0 of all but `COMPARED` ones."""
    shares = torch.zeros(len(photographs))
    chosen = evenly_spaced(len(photographs), COMPARED)
    some = photographs[torch.tensor(chosen, dtype=torch.long)]
    views = square(some.camera_to_worlds.cpu(), COARSE, view_angle(some))
    for number, view in enumerate(chosen):
        labels = Frame.seen_by(scene, views[number : number + 1]).labels()
        shares[view] = (labels.id == id).float().mean()
    return shares


def extent(scene: ArrangedScene, filmed: SceneObject) -> Float[Tensor, "corners 3"]:
    """Corners of the convex hull of an object's solid voxels; of its box where nothing of it is solid."""
    solid = scene.bodies.whole(filmed.id)
    return hull(solid.points) if len(solid) > 0 else torch.cartesian_prod(*torch.tensor(filmed.box).T)


def surrounds(scene: ArrangedScene, filmed: SceneObject, photographs: Cameras) -> bool:
    """Whether an object surrounds the photographs."""
    return _surrounds(scene, filmed, extent(scene, filmed), photographs.camera_to_worlds[..., 3].cpu())


def _surrounds(
    scene: ArrangedScene, filmed: SceneObject, corners: Float[Tensor, "corners 3"], positions: Float[Tensor, "n 3"]
) -> bool:
    return filmed.id in scene.bodies.surrounding or within_ball(corners, positions)
