"""Voxels over a box of the scene: which of them hold points, and which of them rays pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool3d

from disconerf_ns.scene.occupancy import intersect_box
from disconerf_ns.scene.seen_rays import SeenRays

AT_ONCE = 2**13
"""Rays that are looked at together."""
LAYERS = 5
"""Layers of voxels, odd, in which rays that end count as one surface."""
INTO = 4
"""Voxels that a ray is followed into a surface that stops more rays than pass it."""


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

    def means(
        self, points: Float[Tensor, "n 3"], values: Float[Tensor, "n channels"]
    ) -> tuple[Bool[Tensor, "x y z"], Float[Tensor, "channels x y z"]]:
        """Voxels that hold scene points, and the means of the points' values in each, 0 elsewhere."""
        cells, there = self._cells(points)
        counted = torch.cat([values, torch.ones_like(values[:, :1])], -1)
        total = torch.zeros(*self.shape, counted.shape[1], device=self.low.device)
        total.index_put_(cells[there].unbind(-1), counted[there], accumulate=True)
        count = total[..., -1]
        return count > 0, (total[..., :-1] / count.clamp(min=1)[..., None]).movedim(-1, 0)

    def within(self, chosen: Bool[Tensor, "x y z"], points: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        """Whether scene points are in some of the voxels."""
        cells, there = self._cells(points)
        return there.masked_scatter(there, chosen[cells[there].unbind(-1)])

    def seen(self, rays: SeenRays) -> Bool[Tensor, "x y z"]:
        """Voxels that rays pass to their ends and a voxel beyond, but not through a surface that stops more of them."""
        stopping = self.stopping(rays)
        seen = torch.zeros(self.shape, dtype=torch.bool, device=self.low.device)
        for cells, there in self._steps(rays, rays.ends + self.side):
            x, y, z = cells.unbind(-1)
            stopped = (stopping[x, y, z] & there).cumsum(-1) > 0
            there &= stopped.cumsum(-1) <= INTO
            seen[x[there], y[there], z[there]] = True
        return seen

    def stopping(self, rays: SeenRays) -> Bool[Tensor, "x y z"]:
        """Voxels around which more rays end than pass.

        In the cube of `LAYERS` voxels along each axis, those that end are counted for each column, since a surface is
        one layer of it, and those that pass are a mean over all layers.
        """
        end, there = self._cells(rays.points)
        ended, passed = torch.zeros(2, *self.shape, device=self.low.device)
        ended.index_put_(end[there].unbind(-1), torch.ones(int(there.sum()), device=ended.device), accumulate=True)
        for cells, there in self._steps(rays, rays.distances - self.side):
            passed.index_put_(cells[there].unbind(-1), torch.ones(int(there.sum()), device=ended.device), True)
        ended, passed = avg_pool3d(torch.stack([ended, passed])[:, None], LAYERS, 1, LAYERS // 2)[:, 0]
        return LAYERS * ended > passed

    def _steps(
        self, rays: SeenRays, until: Float[Tensor, "rays"]
    ) -> Iterator[tuple[Int[Tensor, "some steps 3"], Bool[Tensor, "some steps"]]]:
        """The voxels that rays are in, a voxel's side from step to step, some rays at a time; and whether a step lies
        in a voxel, and before the distance `until`."""
        low, side, size = self.low, self.side, torch.tensor(self.shape, device=self.low.device)
        enter, leave = intersect_box(rays.origins, rays.directions, torch.stack([low, low + size * side]))
        leave = leave.minimum(until)
        through = (enter < leave).nonzero()[:, 0]
        for some in (through[start : start + AT_ONCE] for start in range(0, len(through), AT_ONCE)):
            longest = float((leave[some] - enter[some]).max())
            distances = enter[some, None] + torch.arange(0, longest + side, side, device=low.device)
            places = rays.origins[some, None] + rays.directions[some, None] * distances[..., None]
            cells, there = self._cells(places)
            yield cells.clamp(min=0).minimum(size - 1), there & (distances < leave[some, None])

    def _cells(self, points: Float[Tensor, "*n 3"]) -> tuple[Int[Tensor, "*n 3"], Bool[Tensor, "*n"]]:
        """The indices of the voxels that hold points, and whether there is such a voxel."""
        cells = ((points - self.low) / self.side).floor().long()
        return cells, ((cells >= 0) & (cells < torch.tensor(self.shape, device=self.low.device))).all(-1)
