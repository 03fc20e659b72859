"""Density and colour of 3D gaussians at points, as a radiance field has them.

A splat with opacity a is drawn as one layer. Here it is a cloud of the same gaussian shape, with density

    sigma(x) = k exp(-|W (x - mu)|^2 / 2),    k = -log(1 - a) / (sqrt(2 pi) s),

W whitens its covariance and s is its smallest standard deviation. A ray through its middle along that axis then loses
the fraction a of its light, and gaussians one behind the other lose 1 - (1 - a_1) (1 - a_2) ..., as drawn splats do.

A cloud much thinner than the distance between a ray's samples would be missed. So s has a floor, a fraction of the
voxel around the gaussian.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from disconerf_ns.gaussians.spherical_harmonics import basis
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.gaussians.touched import TouchedVoxels
from disconerf_ns.scene.contraction import Contraction

MOST_OPAQUE = 0.999
"""Opacity above which all gaussians are alike, as rasterizers hold it."""
PAIRS_AT_ONCE = 2**23
"""Points and gaussians whose densities are in memory together."""
THINNEST = 1e-3
"""Smallest standard deviation along other axes, as a fraction of the floor: of one that vanishes, densities are NaN."""
FAINT = 0.02
"""Fraction of the strongest gaussian's density at a point below which another one does not colour it."""


def thickened(splats: Splats, floor: Float[Tensor, "n"]) -> Splats:
    """Gaussians whose smallest standard deviation s is sqrt(s^2 + floor^2), in scene units; none of the others is 0."""
    smallest, axis = splats.log_scales.min(-1, keepdim=True)
    thicker = torch.logaddexp(2 * smallest, 2 * floor.log()[:, None]) / 2
    held = splats.log_scales.maximum((THINNEST * floor).log()[:, None])
    return replace(splats, log_scales=held.scatter(-1, axis, thicker))


def peaks(splats: Splats) -> Float[Tensor, "n"]:
    """Densities k at the means of gaussians."""
    depth = softplus(splats.opacity_logits).clamp(max=-math.log(1 - MOST_OPAQUE))
    return depth / math.sqrt(2 * math.pi) / splats.scales.amin(-1)


@dataclass(frozen=True, eq=False)
class Clouds:
    """Gaussians as clouds, and the voxels in which each is looked for."""

    touched: TouchedVoxels
    contraction: Contraction
    shapes: Float[Tensor, "n 13"]
    """Of each gaussian, the mean, W row by row, which is an axis over its standard deviation, and k in 1 / scene units,
    side by side because a CPU fetches them from memory together."""
    sh: Float[Tensor, "n bases 3"]
    """Spherical harmonics of the colour, less 1/2."""

    @classmethod
    def of(cls, splats: Splats, touched: TouchedVoxels, contraction: Contraction) -> Clouds:
        """Clouds of gaussians.

        Args:
            splats: finite gaussians, in scene coordinates.
            touched: the voxels that each touches.
            contraction: scene positions to the cube of voxels.
        """
        whitening = splats.axes.mT / splats.scales[..., None]
        shapes = torch.cat([splats.means, whitening.flatten(1), peaks(splats)[:, None]], 1)
        return cls(touched, contraction, shapes, splats.sh)

    def density(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """Density at scene positions."""
        return self._summed(positions, None)[0]

    def shade(
        self, positions: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n 3"]]:
        """Density at scene positions, and the mean colour there along unit directions, weighted by density."""
        return self._summed(positions, directions)

    def _summed(
        self, positions: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"] | None
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n 3"]]:
        density, rgb = positions.new_zeros(len(positions)), torch.zeros_like(positions)
        index = self.touched.index(self.contraction(positions))
        count = self.touched.count(index)
        asked = count.nonzero()[:, 0]
        index, count = index[asked], count[asked]
        for some in _parts(count):
            rows = asked[some]
            point, gaussian = self.touched.pairs(index[some], count[some])
            weights = self._weights(positions[rows], point, gaussian)
            total = torch.segment_reduce(weights, "sum", lengths=count[some], unsafe=True)
            density[rows] = total
            if directions is not None:
                strongest = torch.segment_reduce(weights, "max", lengths=count[some], unsafe=True)
                rgb[rows] = self._colors(directions[rows], point, gaussian, weights, strongest)
        return density, rgb

    def _weights(self, positions: Tensor, point: Tensor, gaussian: Tensor) -> Float[Tensor, "pairs"]:
        mean, whitening, peak = self.shapes.index_select(0, gaussian).split((3, 9, 1), -1)
        steps = positions.index_select(0, point) - mean
        local = torch.bmm(whitening.view(-1, 3, 3), steps[..., None])[..., 0]
        return peak[:, 0] * torch.exp(-0.5 * local.square().sum(-1))

    def _colors(
        self, directions: Tensor, point: Tensor, gaussian: Tensor, weights: Tensor, strongest: Tensor
    ) -> Float[Tensor, "points 3"]:
        strong = (weights > FAINT * strongest[point]).nonzero()[:, 0]
        point, gaussian, weights = point[strong], gaussian[strong], weights[strong]
        bases = basis(directions, round(math.sqrt(self.sh.shape[1])) - 1)
        rgb = (torch.einsum("pb,pbc->pc", bases[point], self.sh.index_select(0, gaussian)) + 0.5).clamp(min=0)
        summed = torch.zeros_like(directions).index_add_(0, point, weights[:, None] * rgb)
        return summed / torch.zeros_like(strongest).index_add_(0, point, weights).clamp(min=1e-20)[:, None]


def _parts(count: Tensor) -> list[slice]:
    """Runs of points: in each, all points but one have at most `PAIRS_AT_ONCE` gaussians together."""
    ends = torch.searchsorted(
        count.cumsum(0),
        torch.arange(PAIRS_AT_ONCE, int(count.sum()) + PAIRS_AT_ONCE, PAIRS_AT_ONCE, device=count.device),
    )
    edges = [0, *ends.clamp(max=len(count)).tolist(), len(count)]
    return [slice(a, b) for a, b in pairwise(edges) if b > a]
