"""Space that the photographs saw into: all that lies between a camera and the surface that it shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool3d

from disconerf_ns.scene.contraction import Contraction, voxel_of
from disconerf_ns.scene.occupancy import FARTHEST, with_neighbours
from disconerf_ns.scene.seen_rays import SeenRays
from disconerf_ns.surface.intervals import piecewise, piecewise_inverse

SIDE = 256
"""Voxels per axis of the contracted cube."""
COARSER = 4
"""Side of a voxel where space is contracted, as a multiple: rays are far apart there."""
STEPS = 160
"""Points along a ray at which voxels are marked."""
RAYS_AT_ONCE = 2**13
"""Rays whose points are in memory together."""


@dataclass(frozen=True, eq=False)
class SeenSpace:
    """Voxels of the contracted cube that a training view sees into, and their neighbours."""

    near: Bool[Tensor, "x y z"]
    far: Bool[Tensor, "coarse_x coarse_y coarse_z"]
    """Larger voxels, for contracted space."""
    contraction: Contraction

    @classmethod
    def of(cls, sight: SeenRays, contraction: Contraction, side: int = SIDE) -> SeenSpace:
        """Follow rays of the training views up to the surface.

        Args:
            sight: the rays.
            contraction: scene positions to the unit cube.
            side: voxels per axis, a multiple of `COARSER`.
        """
        seen = torch.zeros(side**3, dtype=torch.bool, device=contraction.box.device)
        fraction = torch.linspace(0, 1, STEPS, device=seen.device)
        for some in torch.arange(len(sight)).split(RAYS_AT_ONCE):
            rays = sight[some]
            far = piecewise(rays.distances.clamp(max=FARTHEST))
            distances = piecewise_inverse(far[:, None] * fraction)
            points = rays.origins[:, None] + rays.directions[:, None] * distances[..., None]
            x, y, z = _voxels(contraction(points.flatten(0, 1)), side)
            seen[(x * side + y) * side + z] = True
        voxels = seen.view(side, side, side)
        coarse = max_pool3d(voxels[None, None].float(), COARSER)[0, 0] > 0
        return cls(with_neighbours(voxels), with_neighbours(coarse), contraction)

    def __call__(self, positions: Float[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
        """Whether scene positions lie in seen space; positions that are not finite do not."""
        finite = positions.isfinite().all(-1)
        positions = torch.where(finite[..., None], positions, 0.0)
        contracted = self.contraction(positions)
        seen = self.near[_voxels(contracted, len(self.near))]
        if self.contraction.distort is not None:
            beyond = positions.abs().amax(-1) > 1
            seen = torch.where(beyond, self.far[_voxels(contracted, len(self.far))], seen)
        return seen & finite


def _voxels(contracted: Float[Tensor, "*n 3"], side: int) -> tuple[Tensor, ...]:
    return voxel_of(contracted, side).unbind(-1)
