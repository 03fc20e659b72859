"""3D gaussians as a radiance field: sampled along rays, looked up at points, conditioned by an edit."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor
from torch.nn.functional import avg_pool3d

from disconerf_ns.compat.proposals import propose
from disconerf_ns.gaussians.density import Clouds, thickened
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.gaussians.touched import TouchedVoxels, voxel_centres, voxel_index
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.lazy import lazy
from disconerf_ns.scene.radiance import Factor, distance_images, median_distance
from disconerf_ns.surface.intervals import PIECEWISE, Intervals

RESOLUTION = 256
"""Voxels along an axis of contracted space."""
FLOOR, COARSE_FLOOR = 0.1, 0.35
"""Smallest standard deviation of a gaussian, as a fraction of the voxel around it: of the field itself, and of the
grid that says where to sample."""

PASSING = 0.85
"""Fraction of light that passes a voxel at least, where the grid says where to sample: a ray may miss what is in it."""
NEAR, FAR = 0.05, 1000.0
"""Distances between which rays are sampled, as in nerfacto."""
COUNTS = (256, 96, 48)
"""Samples of a ray: spread evenly, by the pooled grid, and by the grid."""
POOLED = 8
"""Voxels along an axis that are one in the pooled grid."""
PADDING = 0.003
"""Weight that is added to every sample of a grid, which makes fewer mistakes than a network."""
LONGEST = 0.1
"""Longest edge of a voxel that counts for this, as a fraction of the distance from the scene's middle."""
POINTS_AT_ONCE = 2**18


@dataclass(frozen=True, eq=False)
class SplatRadiance:
    """A radiance field of gaussians."""

    splats: Splats
    """The gaussians, in scene coordinates; those with a value that is not finite are not there."""
    contraction: Contraction
    """Scene positions to the unit cube in which the object field lives."""
    background: Float[Tensor, "3"]
    """RGB of light that passes all gaussians."""
    still: Callable[[], AbstractContextManager[None]]
    """Context in which the field may be evaluated."""
    fused: bool = False

    @property
    def device(self) -> torch.device:
        """Device that holds the gaussians."""
        return self.splats.means.device

    @lazy
    def clouds(self) -> Clouds:
        """The gaussians as clouds, with a floor on their standard deviations."""
        drawn = thickened(self.splats, FLOOR * self._voxel)
        return Clouds.of(drawn, TouchedVoxels.of(drawn, self.contraction, RESOLUTION), self.contraction)

    @lazy
    def grid(self) -> Float[Tensor, "voxels"]:
        """Density in the middle of each voxel, with thicker gaussians; no more than lets `PASSING` light through."""
        touched = self.clouds.touched
        coarse = Clouds.of(thickened(self.splats, COARSE_FLOOR * self._voxel), touched, self.contraction)
        density = torch.zeros(RESOLUTION**3, device=self.device)
        for some in touched.occupied(RESOLUTION).split(POINTS_AT_ONCE):
            centres = self.contraction.inverse(voxel_centres(some, RESOLUTION))
            density[some] = coarse.density(centres).minimum(self._most(some, RESOLUTION))
        return density

    @lazy
    def pooled(self) -> Float[Tensor, "blocks"]:
        """Mean of `grid` in blocks of `POOLED` voxels along each axis, which steps of a whole ray do not leap over."""
        mean = avg_pool3d(self.grid.view(1, 1, *[RESOLUTION] * 3), POOLED).flatten()
        return mean.minimum(self._most(torch.arange(len(mean), device=self.device), RESOLUTION // POOLED))

    def _most(self, index: Int[Tensor, "some"], resolution: int) -> Float[Tensor, "some"]:
        """Density that lets `PASSING` light through voxels, by flat index, along an axis."""
        return -math.log(PASSING) * resolution / self.contraction.stretch(voxel_centres(index, resolution))

    @property
    def _voxel(self) -> Float[Tensor, "n"]:
        """Edge of the voxel around each gaussian, in scene units; voxels far out are long, and are held shorter."""
        means = self.splats.means
        edge = self.contraction.stretch(self.contraction(means)) / RESOLUTION
        return edge.minimum(LONGEST * means.abs().amax(-1).clamp(min=1))

    # ---------------------------------------------------------------- what a radiance field can say

    def density(self, positions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Density at scene positions."""
        return self.clouds.density(positions.reshape(-1, 3)).view(positions.shape[:-1])

    def shade(
        self, positions: Float[Tensor, "*n 3"], directions: Float[Tensor, "*#n 3"]
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """Density at scene positions, and colour there as seen along unit directions."""
        along = directions.expand_as(positions).reshape(-1, 3)
        density, rgb = self.clouds.shade(positions.reshape(-1, 3), along)
        return density.view(positions.shape[:-1]), rgb.view(positions.shape)

    def sample(self, rays: RayBundle, factor: Factor | None = None) -> Intervals:
        """Samples along flat rays, where the grid has density; `factor` conditions it as well."""
        near = torch.full_like(rays.origins[:, :1], NEAR) if rays.nears is None else rays.nears
        far = torch.full_like(near, FAR) if rays.fars is None else rays.fars
        grids = partial(self._looked_up, self.pooled, factor), partial(self._looked_up, self.grid, factor)
        return propose(replace(rays, nears=near, fars=far), grids, COUNTS, PIECEWISE, padding=PADDING)

    def _looked_up(
        self, grid: Float[Tensor, "voxels"], factor: Factor | None, samples: Intervals
    ) -> Float[Tensor, "rays samples"]:
        positions = samples.positions
        resolution = round(len(grid) ** (1 / 3))
        density = grid[voxel_index(self.contraction(positions), resolution)]
        return density if factor is None else density * factor(positions)[..., 0]

    def densities(self, samples: Intervals) -> Float[Tensor, "rays samples"]:
        """Density of samples."""
        return self.density(samples.positions)

    def images(
        self, samples: Intervals, weights: Float[Tensor, "rays samples"], rgb: Float[Tensor, "rays samples 3"]
    ) -> dict[str, Float[Tensor, "rays _"]]:
        """The images `rgb`, `accumulation`, `depth` and `expected_depth` of rendering weights and colours."""
        images = distance_images(samples.middles.nan_to_num(FAR, FAR), weights)
        light = torch.einsum("rs,rsc->rc", weights, rgb) + (1 - images["accumulation"]) * self.background
        return {"rgb": light.clamp(0, 1), **images}

    def depth(self, samples: Intervals, weights: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays 1"]:
        """Distance along each ray at which half of its weight is reached."""
        return median_distance(samples.middles.nan_to_num(FAR, FAR), weights)
