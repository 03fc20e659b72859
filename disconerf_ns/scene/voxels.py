"""Voxels over a box of the scene: which of them hold points, and which of them rays pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from disconerf_ns.scene.occupancy import intersect_box
from disconerf_ns.scene.seen_rays import SeenRays

AT_ONCE = 2**13
"""Rays that are looked at together."""


class Voxels(NamedTuple):
    """Cubes of equal size in scene coordinates."""

    low: Float[Tensor, "3"]
    """Their lower corner."""
    side: float
    """Side of each."""
    shape: tuple[int, ...]
    """Their number along each axis."""

    @classmethod
    def over(cls, box: Float[Tensor, "2 3"], side: float, margin: int) -> Voxels:
        """The voxels over a box, and a number of them around it."""
        low, high = box[0] - margin * side, box[1] + margin * side
        return cls(low, side, tuple(int(n) for n in ((high - low) / side).ceil()))

    def middles(self, chosen: Bool[Tensor, "x y z"]) -> Float[Tensor, "n 3"]:
        """The middles of some voxels in scene coordinates."""
        return self.low + (chosen.nonzero() + 0.5) * self.side

    def inside(
        self, asked: Bool[Tensor, "x y z"], holds: Callable[[Float[Tensor, "n 3"]], Bool[Tensor, "n"]]
    ) -> Bool[Tensor, "x y z"]:
        """Voxels, among those asked for, whose middles something holds."""
        return asked.masked_scatter(asked, holds(self.middles(asked)))

    def holding(self, points: Float[Tensor, "n 3"]) -> Bool[Tensor, "x y z"]:
        """Voxels that hold scene points."""
        cells, there = self._cells(points)
        held = torch.zeros(self.shape, dtype=torch.bool, device=self.low.device)
        held[cells[there].unbind(-1)] = True
        return held

    def within(self, chosen: Bool[Tensor, "x y z"], points: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        """Whether scene points are in some of the voxels."""
        cells, there = self._cells(points)
        return there.masked_scatter(there, chosen[cells[there].unbind(-1)])

    def passed(self, rays: SeenRays, before: int | None = None) -> Bool[Tensor, "x y z"]:
        """Voxels that rays pass to their ends and a voxel beyond, or to a number of voxels before their surface."""
        low, side, size = self.low, self.side, torch.tensor(self.shape, device=self.low.device)
        enter, leave = intersect_box(rays.origins, rays.directions, torch.stack([low, low + size * side]))
        leave = leave.minimum(rays.ends + side if before is None else rays.distances - before * side)
        seen = torch.zeros(self.shape, dtype=torch.bool, device=low.device)
        through = (enter < leave).nonzero()[:, 0]
        for some in (through[start : start + AT_ONCE] for start in range(0, len(through), AT_ONCE)):
            longest = float((leave[some] - enter[some]).max())
            distances = enter[some, None] + torch.arange(0, longest + side, side, device=low.device)
            places = rays.origins[some, None] + rays.directions[some, None] * distances[..., None]
            seen |= self.holding(places[distances < leave[some, None]])
        return seen

    def _cells(self, points: Float[Tensor, "n 3"]) -> tuple[Int[Tensor, "n 3"], Bool[Tensor, "n"]]:
        """The indices of the voxels that hold points, and whether there is such a voxel."""
        cells = ((points - self.low) / self.side).floor().long()
        return cells, ((cells >= 0) & (cells < torch.tensor(self.shape, device=self.low.device))).all(-1)
