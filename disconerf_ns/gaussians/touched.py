"""Which gaussians touch each voxel of contracted space, so that a point asks only those around it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.scene.contraction import Contraction, voxel_of

REACH = 3.0
"""Number of standard deviations beyond which a gaussian is cut off."""
TIGHT = 0.25, 1.0, 4.0, 16.0
"""Factors t of the ellipsoids around the sum of an ellipsoid and a sphere, each tight in other directions."""
PAIRS_AT_ONCE = 2**22
"""Gaussians and voxels that are compared together."""
MOST_ENTRIES = 2**28
"""Gaussians of all voxels together at most, which take 10 GiB while they are found, and 1 GiB afterwards."""
CHILDREN = torch.tensor([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=torch.int16)
"""Offsets of the eight voxels of half the edge that make up a voxel, in such voxels."""


@dataclass(frozen=True, eq=False)
class TouchedVoxels:
    """The gaussians of each voxel of the contracted unit cube, one voxel's after the other's."""

    resolution: int
    """Voxels along an axis, a power of two."""
    first: Int[Tensor, "voxels_and_one"]
    """Index in `gaussian` of the first entry of each voxel; the last value is the number of entries."""
    gaussian: Int[Tensor, "entries"]
    """Row of the gaussian."""

    @classmethod
    def of(cls, splats: Splats, contraction: Contraction, resolution: int) -> TouchedVoxels:
        """Halve the cube again and again, and keep with each half the gaussians that may touch it.

        Large gaussians touch millions of voxels: halving ends before there are more than `MOST_ENTRIES` entries.

        Args:
            splats: finite gaussians, in scene coordinates.
            contraction: scene positions to the unit cube.
            resolution: voxels along an axis at most, a power of two.
        """
        device, reached = splats.means.device, 1
        gaussian = torch.arange(len(splats), device=device, dtype=torch.int32)
        voxel = torch.zeros(len(splats), 3, device=device, dtype=torch.int16)
        ellipsoids = Ellipsoids.of(splats, contraction)
        while reached < resolution and (halved := _halved(ellipsoids, gaussian, voxel, 2 * reached)) is not None:
            (gaussian, voxel), reached = halved, 2 * reached
        index = flat_index(voxel, reached).int()
        del voxel, ellipsoids
        counts = torch.bincount(index, minlength=reached**3)
        first = torch.zeros(reached**3 + 1, dtype=torch.int32, device=device)
        first[1:] = counts.cumsum(0)
        return cls(reached, first, gaussian[index.argsort(stable=True)])

    def occupied(self, resolution: int) -> Int[Tensor, "some"]:
        """Flat indices of the voxels, `resolution` along an axis, in those that a gaussian touches."""
        touched = (self.first.diff() > 0).float().view(1, 1, *[self.resolution] * 3)
        return interpolate(touched, (resolution,) * 3).flatten().nonzero()[:, 0]

    def index(self, contracted: Float[Tensor, "*n 3"]) -> Int[Tensor, "*n"]:
        """Flat index of the voxel of each contracted position in [0, 1]^3."""
        return voxel_index(contracted, self.resolution)

    def count(self, index: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
        """Number of gaussians that touch each voxel."""
        return (self.first[index + 1] - self.first[index]).long()

    def pairs(self, index: Int[Tensor, "n"], count: Int[Tensor, "n"]) -> tuple[Int[Tensor, "p"], Int[Tensor, "p"]]:
        """Every row of `index` with every gaussian of that voxel, in the order of the rows: row and gaussian."""
        row = torch.arange(len(index), device=index.device).repeat_interleave(count)
        before = count.cumsum(0) - count
        entry = torch.arange(len(row), device=index.device) + (self.first[index] - before)[row]
        return row, self.gaussian[entry].long()


def _halved(ellipsoids: Ellipsoids, gaussian: Tensor, voxel: Tensor, resolution: int) -> tuple[Tensor, Tensor] | None:
    """Gaussians and the halves of their voxels that they may touch; None if these are more than `MOST_ENTRIES`."""
    parts, entries, children = [], 0, CHILDREN.to(voxel.device)
    for some, where in zip(gaussian.split(PAIRS_AT_ONCE // 8), voxel.split(PAIRS_AT_ONCE // 8)):
        of_half, halves = some.repeat_interleave(8), (2 * where[:, None] + children).flatten(0, 1)
        for touch in (ellipsoids.box_touches, ellipsoids.touch):
            kept = touch(of_half, halves, 1 / resolution).nonzero()[:, 0]
            of_half, halves = of_half[kept], halves[kept]
        parts.append((of_half, halves))
        entries += len(of_half)
        if entries > MOST_ENTRIES:
            return None
    of_half, halves = (torch.cat(column) for column in zip(*parts))
    return of_half, halves


def voxel_index(contracted: Float[Tensor, "*n 3"], resolution: int) -> Int[Tensor, "*n"]:
    """Flat index of the voxel of each contracted position in [0, 1]^3."""
    return flat_index(voxel_of(contracted, resolution), resolution)


def voxel_centres(index: Int[Tensor, "n"], resolution: int) -> Float[Tensor, "n 3"]:
    """Contracted positions of the centres of voxels, by flat index."""
    x, y, z = index // resolution**2, index // resolution % resolution, index % resolution
    return (torch.stack([x, y, z], -1) + 0.5) / resolution


def flat_index(voxel: Int[Tensor, "*n 3"], resolution: int) -> Int[Tensor, "*n"]:
    """Index of voxels among all, z fastest."""
    x, y, z = voxel.unbind(-1)
    return (x.long() * resolution + y) * resolution + z


@dataclass(frozen=True, eq=False)
class Ellipsoids:
    """The surfaces at `REACH` standard deviations of gaussians, and voxels that they may reach into."""

    contraction: Contraction
    means: Float[Tensor, "n 3"]
    axes: Float[Tensor, "n 3 3"]
    radii: Float[Tensor, "n 3"]
    boxes: Float[Tensor, "n 2 3"]
    """Boxes around them in contracted space."""

    @classmethod
    def of(cls, splats: Splats, contraction: Contraction) -> Ellipsoids:
        """The ellipsoids of gaussians."""
        axes, radii = splats.axes, REACH * splats.scales
        half = (axes * radii[:, None]).norm(dim=-1)
        boxes = contraction.around(splats.means - half, splats.means + half)
        return cls(contraction, splats.means, axes, radii, boxes)

    def box_touches(self, rows: Int[Tensor, "p"], voxel: Int[Tensor, "p 3"], edge: float) -> Bool[Tensor, "p"]:
        """Whether the boxes of ellipsoids, by row, overlap voxels of an edge."""
        low, high = self.boxes[rows.long()].unbind(1)
        return ((voxel + 1) * edge > low).all(-1) & (voxel * edge < high).all(-1)

    def touch(self, rows: Int[Tensor, "p"], voxel: Int[Tensor, "p 3"], edge: float) -> Bool[Tensor, "p"]:
        """Whether ellipsoids, by row, may reach into spheres around voxels; some reach nearly, none is missed.

        A sphere has the size of the voxel where space is stretched most, in its corner that lies farthest out. The sum
        of an ellipsoid with semi-axes a and a sphere of radius r lies within the ellipsoids with squared semi-axes
        (1 + 1/t) a^2 + (1 + t) r^2, for any t > 0 (Kurzhanski and Valyi, *Ellipsoidal Calculus*, 1997).
        """
        rows, low = rows.long(), voxel * edge
        middle = low + edge / 2
        outermost = torch.where(middle > 0.5, low + edge, low)
        radius = edge * 3**0.5 / 2 * self.contraction.stretch(outermost)
        steps = self.contraction.inverse(middle) - self.means[rows]
        local = torch.einsum("pk,pkj->pj", steps, self.axes[rows])
        own, sphere, squares = self.radii[rows].square(), radius[:, None].square(), local.square()
        within = [(squares / ((1 + 1 / t) * own + (1 + t) * sphere)).sum(-1) <= 1 for t in TIGHT]
        return torch.stack(within).all(0)
