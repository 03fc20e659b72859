"""A coarse occupancy grid over an object's box, which lets a ray spend its samples on that object alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Bool, Float, Int
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.surface.intervals import Intervals, piecewise, piecewise_inverse
from disconerf_ns.surface.samples import weight_quantiles

FARTHEST = 1e6
"""Distance that counts as infinite."""


def intersect_box(
    origins: Float[Tensor, "rays 3"], directions: Float[Tensor, "rays 3"], box: Float[Tensor, "2 3"]
) -> tuple[Float[Tensor, "rays"], Float[Tensor, "rays"]]:
    """Distances at which rays enter and leave an axis-aligned box; enter >= leave where they miss it."""
    directions = torch.where(directions.abs() < 1e-9, 1e-9, directions)
    bounds = (box[:, None] - origins) / directions
    return bounds.amin(0).amax(-1).clamp(min=0), bounds.amax(0).amin(-1)


def inside(points: Float[Tensor, "n 3"], boxes: Float[Tensor, "boxes 2 3"]) -> Bool[Tensor, "n"]:
    """Whether points lie in any of some boxes; one axis at a time, because a CPU compares long rows fastest."""
    axes, within = points.T.contiguous(), torch.zeros(len(points), dtype=torch.bool, device=points.device)
    for low, high in boxes:
        of_axes = ((low[k] <= axis).logical_and_(axis <= high[k]) for k, axis in enumerate(axes))
        within |= reduce(torch.Tensor.logical_and_, of_axes)
    return within


def with_neighbours(cells: Bool[Tensor, "x y z"], reach: int = 1) -> Bool[Tensor, "x y z"]:
    """Cells, and those up to `reach` cells away along every axis."""
    for axis in range(3):
        line, spread = cells.movedim(axis, 0), cells.clone().movedim(axis, 0)
        for step in range(1, reach + 1):
            spread[step:] |= line[:-step]
            spread[:-step] |= line[step:]
        cells = spread.movedim(0, axis)
    return cells


def whole(x: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
    """The share of an object that everything belongs to."""
    return torch.ones_like(x[:, 0])


@dataclass
class Occupancy:
    """Cells of a grid over a box in contracted space that hold some of an object."""

    box: Float[Tensor, "2 3"]
    """Box in scene coordinates."""
    low: Float[Tensor, "3"]
    size: Float[Tensor, "3"]
    """Lower corner and size of the same box in contracted coordinates, where the cells are."""
    occupied: Bool[Tensor, "x y z"]
    contraction: Contraction

    @classmethod
    def build(
        cls,
        density: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n"]],
        contraction: Contraction,
        box: Float[Tensor, "2 3"],
        resolution: int = 32,
        probes: int = 2,
        threshold: float = 0.01,
        grown: bool = True,
        share: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n"]] = whole,
    ) -> Occupancy:
        """Mark the cells in which the object absorbs light.

        Args:
            density: the density of everything at scene positions.
            contraction: scene positions to the unit cube and back.
            box: the object's box in scene coordinates.
            resolution: cells per axis.
            probes: random points looked at in each cell, until one of them makes it occupied.
            threshold: least opacity of a ray across a cell that makes the cell occupied.
            grown: whether their neighbours are marked as well.
            share: the part of the density that is the object's, in [0, 1]; asked only where everything together is
                opaque enough.
        """
        # per axis the contraction is extreme at an end of the box or where the axis is nearest to 0
        nearest = torch.zeros_like(box[:1]).clamp(box[:1], box[1:])
        corners = contraction(torch.cartesian_prod(*torch.cat([box, nearest]).T))
        low, size = corners.amin(0), (corners.amax(0) - corners.amin(0)).clamp(min=1e-4)
        side = torch.arange(resolution, device=box.device)
        cells = torch.cartesian_prod(side, side, side)
        occupied = torch.zeros(len(cells), dtype=torch.bool, device=box.device)
        generator = torch.Generator(device=box.device).manual_seed(0)
        for _ in range(probes):
            jitter = torch.rand(cells.shape, device=box.device, generator=generator)
            empty = (~occupied).nonzero()[:, 0]
            points = low + (cells[empty] + jitter[empty]) / resolution * size
            here, there = contraction.inverse(points), contraction.inverse(points + size / resolution)
            depth = density(here) * (there - here).norm(dim=-1)
            asked = (1 - torch.exp(-depth) > threshold).nonzero()[:, 0]
            occupied[empty[asked]] = 1 - torch.exp(-depth[asked] * share(here[asked])) > threshold
        grid = occupied.view(resolution, resolution, resolution)
        if grown:
            grid = with_neighbours(grid)
        return cls(box, low, size, grid, contraction)

    def cell(self, contracted: Float[Tensor, "*n 3"]) -> Int[Tensor, "*n 3"]:
        """Cells of contracted positions; outside of the box they are beyond the grid."""
        return self._place(contracted).floor().long()

    def _place(self, contracted: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        return (contracted - self.low) / self.size * len(self.occupied)

    def holds(self, positions: Float[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
        """Whether scene positions lie in occupied cells."""
        side, place = len(self.occupied), self._place(self.contraction(positions)).unbind(-1)
        inside = reduce(torch.logical_and, ((x >= 0) & (x < side) for x in place))  # not where it is no number
        x, y, z = (torch.where(inside, x, 0).int() for x in place)
        return self.occupied.flatten()[((x * side + y) * side + z).long()] & inside

    def ray_samples(self, rays: RayBundle, steps: int, count: int) -> tuple[Int[Tensor, "hit"], Intervals]:
        """Samples that divide the occupied part of each ray evenly.

        Args:
            rays: flat rays.
            steps: points along the box at which the grid is looked up.
            count: samples per ray.
        Returns:
            Indices of the rays that meet an occupied cell, and their samples.
        """
        enter, leave = intersect_box(rays.origins, rays.directions, self.box)
        if rays.nears is not None and rays.fars is not None:
            enter, leave = enter.maximum(rays.nears[:, 0]), leave.minimum(rays.fars[:, 0])
        hit = (enter < leave).nonzero()[:, 0]
        near, far = piecewise(enter[hit]), piecewise(leave[hit])
        fraction = torch.linspace(0, 1, steps + 1, device=near.device)
        edges = piecewise_inverse(near[:, None] + (far - near)[:, None] * fraction).clamp(max=FARTHEST)
        middle = (edges[:, 1:] + edges[:, :-1]) / 2
        origins, directions = (x[hit].T[..., None] for x in (rays.origins, rays.directions))
        occupied = self.holds((origins + directions * middle).movedim(0, -1))  # axes first in memory, which is faster
        some = occupied.any(-1).nonzero()[:, 0]
        hit, occupied, edges = hit[some], occupied[some], edges[some]
        weights = occupied * edges.diff(dim=-1)
        weights = weights / weights.sum(-1, keepdim=True)
        inner = weight_quantiles(weights, edges, count + 1)
        return hit, Intervals(rays.origins[hit], rays.directions[hit], inner)
