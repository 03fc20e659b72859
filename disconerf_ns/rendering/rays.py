"""Rays through the frozen radiance field (Eq. 1): the whole scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.scene.radiance import RadianceField
from disconerf_ns.surface.intervals import Intervals, piecewise, piecewise_inverse
from disconerf_ns.surface.samples import weight_quantiles

SEEN = 1 / 512
"""Smallest weight that changes an 8-bit pixel."""
EVEN_STEPS = 128
"""Points along a ray at which the field itself is asked where to sample."""


def in_chunks(
    render: Callable[[RayBundle], dict[str, Tensor]], rays: RayBundle, size: int, device: torch.device | str
) -> dict[str, Tensor]:
    """Apply `render` to flat rays, `size` of them at a time, and join the results."""
    parts = [render(rays[i : i + size].to(device)) for i in range(0, len(rays), size)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def with_background(radiance: RadianceField, weights: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples"]:
    """Fraction of a ray's light that comes from each sample, the background's counted to the last one.

    Light that passes every sample has the colour of the last one in nerfacto's default, and so its object too.
    """
    if radiance.background is not None:
        return weights
    left = (1 - weights.sum(-1, keepdim=True)).clamp(min=0)
    return torch.cat([weights[:, :-1], weights[:, -1:] + left], -1)


def surface_distances(
    radiance: RadianceField, samples: Intervals, weights: Float[Tensor, "rays samples"], count: int
) -> tuple[Float[Tensor, "rays count"], Float[Tensor, "rays"]]:
    """`count` distances that carry equal shares of each ray's weight, and the weight in all, A in [0, 1]."""
    light = with_background(radiance, weights)
    return weight_quantiles(light, samples.edges, count), light.sum(-1).clamp(0, 1)


def surface_points(
    radiance: RadianceField, samples: Intervals, weights: Float[Tensor, "rays samples"], count: int
) -> tuple[Float[Tensor, "rays count 3"], Float[Tensor, "rays"]]:
    """The contracted points at `surface_distances`, and the weight in all, A in [0, 1]."""
    distances, opacity = surface_distances(radiance, samples, weights, count)
    points = samples.origins[:, None] + samples.directions[:, None] * distances[..., None]
    return radiance.contraction(points), opacity


def render_surface(radiance: RadianceField, rays: RayBundle, count: int) -> dict[str, Tensor]:
    """`count` contracted surface points, and accumulation, of flat rays; colours are left out."""
    samples = radiance.sample(rays)
    weights = samples.weights(radiance.densities(samples))
    points, accumulation = surface_points(radiance, samples, weights, count)
    return {"points": points, "accumulation": accumulation}


class ColoredSamples(NamedTuple):
    """Samples that rays met: from them, images of other colours need no network."""

    weights: Float[Tensor, "rays samples"]
    rgb: Float[Tensor, "rays samples 3"]
    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    edges: Float[Tensor, "rays edges"]
    """Distances between the samples."""

    @property
    def intervals(self) -> Intervals:
        """The intervals of the samples along the rays."""
        return Intervals(self.origins, self.directions, self.edges)

    @property
    def positions(self) -> Float[Tensor, "rays samples 3"]:
        """Scene positions of the middles of the samples."""
        return self.intervals.positions

    @staticmethod
    def cat(parts: Sequence[ColoredSamples]) -> ColoredSamples:
        """Samples of more rays."""
        return ColoredSamples(*(torch.cat(column) for column in zip(*parts)))

    def replaced(self, rays: Int[Tensor, "some"], fresh: ColoredSamples) -> ColoredSamples:
        """The same with other samples on some rays, given by index."""
        return ColoredSamples(*(old.index_copy(0, rays, new) for old, new in zip(self, fresh)))

    def at(self, rays: Int[Tensor, "some"]) -> ColoredSamples:
        """The samples of some rays, by index."""
        return ColoredSamples(*(column[rays] for column in self))


def render_scene(
    radiance: RadianceField, rays: RayBundle, points_per_ray: int
) -> tuple[dict[str, Tensor], ColoredSamples]:
    """The whole scene along flat rays: nerfacto's images, the surface points that show objects, and the samples.

    Surface points are NaN on rays that miss the scene, such as those beside a crop box.
    """
    samples = radiance.sample(rays)
    positions = samples.positions
    density, rgb = radiance.shade(positions, samples.directions[:, None])
    weights = samples.weights(density)
    points, opacity = surface_points(radiance, samples, weights, points_per_ray)
    images = {**radiance.images(samples, weights, rgb), "points": points, "surface_opacity": opacity}
    return images, ColoredSamples(weights, rgb, samples.origins, samples.directions, samples.edges)


def even_edges(near: Float[Tensor, "rays 1"], far: Float[Tensor, "rays 1"]) -> Float[Tensor, "rays edges"]:
    """Distances from near to far that divide rays into `EVEN_STEPS` parts, even in the spacing of nerfacto."""
    near, far = piecewise(near), piecewise(far)
    steps = torch.linspace(0, 1, EVEN_STEPS + 1, device=near.device)
    return piecewise_inverse(near + (far - near) * steps)
