"""A voxel grid of the slots that masks saw: a point in space may belong to an object that was seen around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from disconerf_ns.scene.contraction import voxel_of
from disconerf_ns.scene.nearest import filled

RESOLUTION = 128
"""Voxels per axis of the contracted cube."""


@dataclass
class SeenVoxels:
    """The contracted cube in voxels, and the object slots seen in each of them or in one next to it."""

    place: Int[Tensor, "x y z"]
    """Row of `seen` for each voxel: its own, or the nearest voxel's if nothing was seen around it."""
    seen: Bool[Tensor, "places slots"]
    """Slots seen at a place."""

    @classmethod
    def of(
        cls, points: Float[Tensor, "n 3"], slot: Int[Tensor, "n"], slots: int, resolution: int = RESOLUTION
    ) -> SeenVoxels:
        """Voxels of surface points whose slots are known.

        Args:
            points: contracted positions in [0, 1]^3, at least one.
            slot: the object slot of each.
            slots: number N of slots.
            resolution: voxels per axis.
        """
        steps = torch.cartesian_prod(*[torch.arange(-1, 2)] * 3)
        around = (voxel_of(points.cpu(), resolution)[:, None] + steps).clamp(0, resolution - 1)
        x, y, z = around.flatten(0, 1).unbind(-1)
        voxels, row = ((x * resolution + y) * resolution + z).unique(return_inverse=True)
        seen = torch.zeros(len(voxels), slots, dtype=torch.bool)
        seen[row, slot.cpu().repeat_interleave(len(steps))] = True
        place = np.full(resolution**3, -1, np.int32)
        place[voxels.numpy()] = np.arange(len(voxels))
        place = filled(place.reshape([resolution] * 3))
        return cls(torch.from_numpy(place).to(points.device), seen.to(points.device))

    def __call__(self, positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n slots"]:
        """Slots that contracted positions may belong to; at least one for each."""
        return self.seen[self.place[voxel_of(positions, len(self.place)).unbind(-1)]]
