"""Voxels over a box of the scene: which of them hold points, and which of them rays pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
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
        stopping = self.stopping(rays).flatten()
        seen = torch.zeros(len(stopping) + 1, dtype=torch.bool, device=stopping.device)
        for voxels, count in self._steps(rays, rays.ends + self.side):
            stops = stopping[voxels]
            first = torch.where(stops.any(-1), stops.byte().argmax(-1), voxels.shape[1])
            seen[_up_to(count.minimum(first + INTO), voxels, len(stopping))] = True
        return seen[:-1].view(self.shape)

    def stopping(self, rays: SeenRays) -> Bool[Tensor, "x y z"]:
        """Voxels around which more rays end than pass.

        In the cube of `LAYERS` voxels along each axis, those that end are counted for each column, since a surface is
        one layer of it, and those that pass are a mean over all layers.
        """
        size = math.prod(self.shape)
        cells, there = self._cells(rays.points)
        ended = torch.bincount(self._number(cells[there].unbind(-1)), minlength=size)
        passed = ended.new_zeros(size + 1)
        for voxels, count in self._steps(rays, rays.distances - self.side):
            passed += torch.bincount(_up_to(count, voxels, size).flatten(), minlength=size + 1)
        counts = torch.stack([ended, passed[:-1]]).float().view(2, 1, *self.shape)
        ended, passed = avg_pool3d(counts, LAYERS, 1, LAYERS // 2)[:, 0]
        return LAYERS * ended > passed

    def _steps(
        self, rays: SeenRays, until: Float[Tensor, "rays"]
    ) -> Iterator[tuple[Int[Tensor, "some steps"], Int[Tensor, "some"]]]:
        """The numbers of the voxels that rays are in, a voxel's side from step to step, some rays at a time; and how
        many steps of each ray lie before the distance `until`."""
        enter, leave = intersect_box(rays.origins, rays.directions, self._box)
        length = (leave.minimum(until) - enter) / self.side - 0.5
        through = (length > 0).nonzero()[:, 0]
        through = through[length[through].argsort()]  # rays of one length together, so that few steps are in vain
        start = (rays.origins + rays.directions * enter[:, None] - self.low) / self.side
        for some in through.split(AT_ONCE):
            count = length[some].ceil().long()
            steps = torch.arange(int(count[-1]), device=count.device) + 0.5  # off the faces, for rays along an axis
            along = (start[some, axis, None] + rays.directions[some, axis, None] * steps for axis in range(3))
            yield self._number(each.long() for each in along), count

    @property
    def _box(self) -> Float[Tensor, "2 3"]:
        return torch.stack([self.low, self.low + self.side * torch.tensor(self.shape, device=self.low.device)])

    def _number(self, cells: Iterable[Int[Tensor, "*n"]]) -> Int[Tensor, "*n"]:
        """Number of voxels, whose indices are given axis by axis; of the nearest ones outside."""
        x, y, z = (cell.clamp(0, size - 1) for cell, size in zip(cells, self.shape))
        return (x * self.shape[1] + y) * self.shape[2] + z

    def _cells(self, points: Float[Tensor, "*n 3"]) -> tuple[Int[Tensor, "*n 3"], Bool[Tensor, "*n"]]:
        """The indices of the voxels that hold points, and whether there is such a voxel."""
        cells = ((points - self.low) / self.side).floor().long()
        return cells, ((cells >= 0) & (cells < torch.tensor(self.shape, device=self.low.device))).all(-1)


def _up_to(count: Int[Tensor, "some"], voxels: Int[Tensor, "some steps"], other: int) -> Int[Tensor, "some steps"]:
    """The first `count` voxels of each ray, and another number in the place of the later ones."""
    steps = torch.arange(voxels.shape[1], device=voxels.device)
    return voxels.masked_fill(steps >= count[:, None], other)
