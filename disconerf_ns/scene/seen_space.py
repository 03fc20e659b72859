"""Space that the photographs saw into: all that lies between a camera and the surface that it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor
from torch.nn.functional import max_pool3d

from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.occupancy import FARTHEST
from disconerf_ns.surface.intervals import piecewise, piecewise_inverse

SIDE = 256
"""Voxels per axis of the contracted cube."""
STEPS = 160
"""Points along a ray at which voxels are marked."""


@dataclass(frozen=True, eq=False)
class SeenSpace:
    """Voxels of the contracted cube that a training view sees into, and their neighbours."""

    voxels: Bool[Tensor, "x y z"]
    contraction: Contraction

    @classmethod
    def of(
        cls,
        rays: Iterable[RayBundle],
        reach: Callable[[RayBundle], Float[Tensor, "rays"]],
        contraction: Contraction,
        side: int = SIDE,
    ) -> SeenSpace:
        """Follow rays of the training views up to the surface.

        Args:
            rays: flat rays, some at a time.
            reach: distance along each ray at which its surface is.
            contraction: scene positions to the unit cube.
            side: voxels per axis.
        """
        seen: Tensor | None = None
        for some in rays:
            far = piecewise(reach(some).clamp(max=FARTHEST))
            fraction = torch.linspace(0, 1, STEPS, device=far.device)
            distances = piecewise_inverse(far[:, None] * fraction)
            points = some.origins[:, None] + some.directions[:, None] * distances[..., None]
            x, y, z = (contraction(points) * side).long().clamp(0, side - 1).flatten(0, 1).unbind(-1)
            if seen is None:
                seen = torch.zeros(side**3, dtype=torch.bool, device=far.device)
            seen[(x * side + y) * side + z] = True
        if seen is None:
            seen = torch.zeros(side**3, dtype=torch.bool)
        grown = max_pool3d(seen.view(1, 1, side, side, side).float(), 3, stride=1, padding=1)
        return cls(grown[0, 0] > 0, contraction)

    def __call__(self, positions: Float[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
        """Whether scene positions lie in seen space; positions that are not finite do not."""
        side = len(self.voxels)
        finite = positions.isfinite().all(-1)
        contracted = self.contraction(torch.where(finite[..., None], positions, 0.0))
        x, y, z = (contracted * side).long().clamp(0, side - 1).unbind(-1)
        return self.voxels[x, y, z] & finite
