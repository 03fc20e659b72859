"""Rays through the frozen radiance field, whole or under an edit (Eq. 1 with the densities of some objects)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import belonging, weigh
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.occupancy import Occupancy, intersect_box
from disconerf_ns.scene.radiance import Factor, RadianceField
from disconerf_ns.surface.intervals import Intervals
from disconerf_ns.surface.samples import weight_quantiles

SEEN = 1 / 512
"""Smallest weight that changes an 8-bit pixel."""
OCCUPANCY_STEPS = 64
"""Points along an object's box at which its occupancy is looked up."""


def in_chunks(
    render: Callable[[RayBundle], dict[str, Tensor]], rays: RayBundle, size: int, device: torch.device | str
) -> dict[str, Tensor]:
    """Apply `render` to flat rays, `size` of them at a time, and join the results."""
    parts = [render(rays[i : i + size].to(device)) for i in range(0, len(rays), size)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


# -------------------------------------------------------------------- the whole scene


def with_background(radiance: RadianceField, weights: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples"]:
    """Fraction of a ray's light that comes from each sample, the background's counted to the last one.

    Light that passes every sample has the colour of the last one in nerfacto's default, and so its object too.
    """
    if not radiance.last_sample_is_background:
        return weights
    left = (1 - weights.sum(-1, keepdim=True)).clamp(min=0)
    return torch.cat([weights[:, :-1], weights[:, -1:] + left], -1)


def surface_points(
    radiance: RadianceField, samples: Intervals, weights: Float[Tensor, "rays samples"], count: int
) -> tuple[Float[Tensor, "rays count 3"], Float[Tensor, "rays"]]:
    """`count` contracted points that carry equal shares of each ray's weight, and the weight in all, A in [0, 1]."""
    light = with_background(radiance, weights)
    distances = weight_quantiles(light, samples.edges, count)
    points = samples.origins[:, None] + samples.directions[:, None] * distances[..., None]
    return radiance.contraction(points), light.sum(-1).clamp(0, 1)


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
    positions: Float[Tensor, "rays samples 3"]
    """Scene positions."""

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
    return images, ColoredSamples(weights, rgb, positions)


# -------------------------------------------------------------------- the edited scene


def sample_edited(scene: ArrangedScene, rays: RayBundle) -> tuple[ColoredSamples, Shaped[Tensor, "..."]]:
    """Samples that flat rays meet under the scene's edit, and their owners.

    The networks are not asked about rays that pass by the boxes of all objects that are left: they meet nothing.
    """
    met = passes_something(scene, rays)
    met[:1] = True  # at least one, whose samples tell how many there are
    passing, size = rays[met], scene.options.rays_at_once
    parts = [_sample_edited(scene, passing[i : i + size]) for i in range(0, len(passing), size)]
    sampled, owned = ColoredSamples.cat([part for part, _ in parts]), torch.cat([ids for _, ids in parts])
    samples = ColoredSamples(*(part.new_zeros(len(rays), *part.shape[1:]) for part in sampled))
    for whole, part in zip(samples, sampled):
        whole[met] = part
    nobody = 0 if owned.is_floating_point() else int(scene.table.density.argmin())
    ids = owned.new_full((len(rays), *owned.shape[1:]), nobody)
    ids[met] = owned
    return samples, ids


def _sample_edited(scene: ArrangedScene, rays: RayBundle) -> tuple[ColoredSamples, Shaped[Tensor, "..."]]:
    """Densities of the proposal networks are scaled too, so that an occluded object is found by the sampler."""
    samples = scene.trained.radiance.sample(rays, kept_density(scene))
    positions = samples.positions
    density, rgb = scene.trained.radiance.shade(positions, samples.directions[:, None])
    ids = scene.owners(positions)
    weights = samples.weights(density * weigh(scene.table.density[:, None], ids)[..., 0])
    return ColoredSamples(weights, rgb, positions), ids


def passes_something(scene: ArrangedScene, rays: RayBundle) -> Bool[Tensor, "rays"]:
    """Rays through the box of an object whose density is not scaled by 0; all, if something is left without box."""
    left = scene.boxes(scene.table.density > 0)
    met = torch.full((len(rays),), left is None, device=rays.origins.device)
    for box in left if left is not None else ():
        enter, leave = intersect_box(rays.origins, rays.directions, box)
        met |= enter < leave
    return met


def kept_density(scene: ArrangedScene) -> Factor:
    """By how much the density at scene positions is scaled under the edit.

    An object owns next to nothing outside of its box, so the object field is asked only where something that is removed
    and something that is left may be. That is good enough for where to sample, and not for what is drawn.
    """
    density = scene.table.density
    hidden, left = scene.boxes(density <= 0), scene.boxes(density > 0)

    def ask(x: Tensor) -> Tensor:
        return weigh(density[:, None], scene.owners(x))

    def kept(x: Tensor) -> Tensor:
        points = x.reshape(-1, 3)
        unsure = torch.ones(len(points), dtype=torch.bool, device=x.device)
        scale = torch.ones(len(points), 1, device=x.device)
        if left is not None:
            unsure = _inside(points, left)
            scale[~unsure] = 0
        if hidden is not None:
            within = _inside(points, hidden)
            unsure &= within
            scale[~within] = 1
        scale[unsure] = ask(points[unsure])
        return scale.view(*x.shape[:-1], 1)

    return kept if scene.options.extraction == "hard" else ask


def _inside(points: Float[Tensor, "n 3"], boxes: Float[Tensor, "boxes 2 3"]) -> Bool[Tensor, "n"]:
    """Whether points lie in any of some boxes."""
    inside = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    for low, high in boxes:
        inside |= ((points >= low) & (points <= high)).all(-1)
    return inside


def compose(scene: ArrangedScene, samples: ColoredSamples, ids: Shaped[Tensor, "..."]) -> Float[Tensor, "rays 3"]:
    """The picture of samples in the edit's colours; where all is taken away, a plain background.

    Args:
        ids: owners of the samples, as `weigh` takes them.
    """
    colors = scene.table.tint(samples.rgb, ids)
    left = (1 - samples.weights.sum(-1, keepdim=True)).clamp(0, 1)
    beyond = torch.full_like(left, scene.options.background).expand(-1, 3)
    if scene.trained.radiance.last_sample_is_background:
        kept = weigh(scene.table.density[:, None], ids[:, -1])
        beyond = kept * colors[:, -1] + (1 - kept) * beyond
    return ((samples.weights[..., None] * colors).sum(-2) + left * beyond).clamp(0, 1)


# -------------------------------------------------------------------- one object


def visible(radiance: RadianceField, samples: Intervals) -> Bool[Tensor, "rays samples"]:
    """Samples that are worth a look: where densities come in one launch, without those so thin that nobody sees them.

    All that are left out on a ray weigh no more than SEEN together, because the weight of each is no more than density
    times length.
    """
    if not radiance.fused:
        return torch.ones_like(samples.middles, dtype=torch.bool)
    return radiance.densities(samples) * samples.edges.diff(dim=-1) > SEEN / samples.middles.shape[-1]


def render_object(
    scene: ArrangedScene, rays: RayBundle, id: ObjectId, within: Occupancy | None = None
) -> dict[str, Tensor]:
    """One object alone along flat rays, in the edit's colour, on a plain background; empty space costs no network.

    Args:
        within: the voxels that are looked at; by default all in which the object absorbs light.
    """
    radiance, background = scene.trained.radiance, scene.options.background
    images = {
        "rgb": torch.full((len(rays), 3), background, device=rays.origins.device),
        "accumulation": torch.zeros(len(rays), 1, device=rays.origins.device),
        "depth": torch.zeros(len(rays), 1, device=rays.origins.device),
    }
    voxels = scene.occupancy(id) if within is None else within
    hit, samples = voxels.ray_samples(rays, steps=OCCUPANCY_STEPS, count=scene.options.object_samples)
    density, rgb = torch.zeros_like(samples.middles), samples.middles.new_zeros(*samples.middles.shape, 3)
    ray, sample = visible(radiance, samples).nonzero(as_tuple=True)
    if len(ray) > 0:  # the networks are asked where the object is, not all along its part of the ray
        positions = samples.positions[ray, sample]
        own = belonging(scene.owners(positions), id)
        mine = own.nonzero()[:, 0]
        ray, sample, positions, own = ray[mine], sample[mine], positions[mine], own[mine]
    if len(ray) > 0:
        dense, shaded = radiance.shade(positions, samples.directions[ray])
        density[ray, sample] = dense * own
        rgb[ray, sample] = scene.table.tint(shaded, torch.full_like(ray, id))
    weights = samples.weights(density)
    accumulation = weights.sum(-1, keepdim=True).clamp(0, 1)
    images["rgb"][hit] = (weights[..., None] * rgb).sum(-2) + (1 - accumulation) * background
    images["accumulation"][hit] = accumulation
    images["depth"][hit] = radiance.depth(samples, weights)
    return images
