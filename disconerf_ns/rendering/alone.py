"""One object along rays, everything else taken away or in front of it (Eq. 1 with the object's density)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.rendering.rays import SEEN, even_edges, in_chunks, with_background
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.clean import Body
from disconerf_ns.scene.edit_table import belonging
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.occupancy import Occupancy, intersect_box
from disconerf_ns.scene.radiance import RadianceField
from disconerf_ns.surface.intervals import Intervals
from disconerf_ns.surface.samples import weight_quantiles

OCCUPANCY_STEPS = 64
"""Points along an object's box at which its occupancy is looked up."""


def visible(radiance: RadianceField, samples: Intervals) -> Bool[Tensor, "rays samples"]:
    """Samples that are worth a look: all, or those that can be seen where densities come in one launch."""
    if not radiance.fused:
        return torch.ones_like(samples.middles, dtype=torch.bool)
    return dense_enough(radiance.densities(samples), samples)


def dense_enough(density: Float[Tensor, "rays samples"], samples: Intervals) -> Bool[Tensor, "rays samples"]:
    """Samples that can be seen. All others of a ray weigh no more than SEEN together, because the weight of each is no
    more than density times length."""
    return density * samples.edges.diff(dim=-1) > SEEN / samples.middles.shape[-1]


def object_samples(
    scene: ArrangedScene, rays: RayBundle, id: ObjectId, body: Body | None = None
) -> tuple[Int[Tensor, "hit"], Intervals, Float[Tensor, "hit samples"], Float[Tensor, "hit samples 3"]]:
    """Indices of the flat rays that pass an object's voxels, their samples, and its density and own colour there.

    Args:
        body: the object as it is looked at, from front to back: what lies behind samples that let less than SEEN of
            the light through is not. By default all voxels in which the radiance field has it, to the last sample.
    """
    radiance, shown = scene.trained.radiance, body or Body(scene.bodies.occupancy(id))
    count = scene.options.object_samples
    hit, samples = samples_within(scene, rays, id, shown.voxels, count)
    density, rgb = torch.zeros_like(samples.middles), samples.middles.new_zeros(*samples.middles.shape, 3)
    worth, lengths = visible(radiance, samples), samples.edges.diff(dim=-1)
    if shown.completion is not None:
        worth |= (shown.completion.at(samples.positions.flatten(0, 1)).density > 0).view_as(worth)
    stops = (count,) if body is None else (count // 4, count // 2, count)
    for first, last in zip((0, *stops), stops):
        through = (-(density * lengths).sum(-1)).exp() > SEEN
        ray, sample = (worth[:, first:last] & through[:, None]).nonzero(as_tuple=True)
        sample = sample + first
        if len(ray) > 0:
            positions = samples.positions[ray, sample]
            dense, shaded = own_light(scene, id, positions, samples.directions[ray])
            if shown.completion is not None:
                there = shown.completion.at(positions)
                dense, shaded = there.after(dense * there.kept, there.over(shaded))
            density[ray, sample], rgb[ray, sample] = dense, shaded
    return hit, samples, density, rgb


def own_light(
    scene: ArrangedScene, id: ObjectId, positions: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n 3"]]:
    """Density and colour of an object in the radiance field; the networks are asked only where it is."""
    share = belonging(scene.owners(positions), id)
    density, rgb, mine = torch.zeros_like(share), torch.zeros_like(positions), share.nonzero()[:, 0]
    if len(mine) > 0:
        dense, rgb[mine] = scene.trained.radiance.shade(positions[mine], directions[mine])
        density[mine] = dense * share[mine]
    return density, rgb


def samples_within(
    scene: ArrangedScene, rays: RayBundle, id: ObjectId, voxels: Occupancy, count: int
) -> tuple[Int[Tensor, "hit"], Intervals]:
    """Indices of the flat rays that pass voxels of an object, and `count` samples on each.

    Samples divide the part of a ray in the voxels evenly. Voxels of what surrounds a scene, such as walls, are larger
    than its surface is thick; there, samples have equal weights by the object's density at `EVEN_STEPS` points, which
    find what is hidden too, and at the samples of the whole scene, which lie close together on what is seen.
    """
    if id not in scene.bodies.surrounding:
        return voxels.ray_samples(rays, steps=OCCUPANCY_STEPS, count=count)
    enter, leave = intersect_box(rays.origins, rays.directions, voxels.box)
    hit = (enter < leave).nonzero()[:, 0]
    near, far = enter[hit, None], leave[hit, None]
    if len(hit) == 0:  # nerfstudio's networks take no points
        return hit, Intervals(rays.origins[hit], rays.directions[hit], near.expand(0, count + 1))
    of_scene = scene.trained.radiance.sample(rays[hit])
    edges = torch.cat([even_edges(near, far), of_scene.edges.clamp(near, far)], -1).sort(-1).values
    asked = replace(of_scene, edges=edges)
    weights = asked.weights(own_density(scene, id, asked))
    return hit, replace(asked, edges=weight_quantiles(weights, edges, count + 1, spread=0.01))


def own_density(scene: ArrangedScene, id: ObjectId, samples: Intervals) -> Float[Tensor, "rays samples"]:
    """Density of an object in the radiance field; whose it is, is asked only where anything can be seen."""
    density = scene.trained.radiance.densities(samples)
    ray, sample = dense_enough(density, samples).nonzero(as_tuple=True)
    own = torch.zeros_like(density)
    if len(ray) > 0:
        owners = scene.owners(samples.positions[ray, sample])
        own[ray, sample] = density[ray, sample] * belonging(owners, id)
    return own


def render_object(scene: ArrangedScene, rays: RayBundle, id: ObjectId, body: Body | None = None) -> dict[str, Tensor]:
    """One object alone along flat rays, where it was photographed, in the edit's colour on a plain background.

    Args:
        body: the object as it is looked at; by default all that the radiance field has of it.
    """
    background = scene.options.background
    images = {
        "rgb": torch.full((len(rays), 3), background, device=rays.origins.device),
        "accumulation": torch.zeros(len(rays), 1, device=rays.origins.device),
        "depth": torch.zeros(len(rays), 1, device=rays.origins.device),
    }
    hit, samples, density, rgb = object_samples(scene, rays, id, body)
    weights = samples.weights(density)
    accumulation = weights.sum(-1, keepdim=True).clamp(0, 1)
    colors = scene.table.tint(rgb, torch.full_like(weights, id, dtype=torch.long))
    images["rgb"][hit] = (weights[..., None] * colors).sum(-2) + (1 - accumulation) * background
    images["accumulation"][hit] = accumulation
    images["depth"][hit] = scene.trained.radiance.depth(samples, weights)
    return images


def render_visible(scene: ArrangedScene, rays: RayBundle, id: ObjectId) -> dict[str, Tensor]:
    """Render what is visible of one object along flat rays: other objects hide it as in the photographs.

    Returns:
        `rgb` in the edit's colour on a plain background, and `accumulation`: the fraction of the light that comes from
        the object.
    """
    radiance = scene.trained.radiance
    samples = radiance.sample(rays)
    positions = samples.positions
    density, rgb = radiance.shade(positions, samples.directions[:, None])
    own = with_background(radiance, samples.weights(density)) * belonging(scene.owners(positions), id)
    accumulation = own.sum(-1, keepdim=True).clamp(0, 1)
    colors = scene.table.tint(rgb, torch.full_like(own, id, dtype=torch.long))
    rgb = (own[..., None] * colors).sum(-2) + (1 - accumulation) * scene.options.background
    return {"rgb": rgb, "accumulation": accumulation}


def object_images(scene: ArrangedScene, rays: RayBundle, id: ObjectId, body: Body | None = None) -> dict[str, Tensor]:
    """`render_object` for any number of rays; the field is free for others between two chunks of them."""
    return _free_between_chunks(scene, rays, lambda some: render_object(scene, some, id, body))


def visible_images(scene: ArrangedScene, rays: RayBundle, id: ObjectId) -> dict[str, Tensor]:
    """`render_visible` for any number of rays; the field is free for others between two chunks of them."""
    return _free_between_chunks(scene, rays, lambda some: render_visible(scene, some, id))


def _free_between_chunks(
    scene: ArrangedScene, rays: RayBundle, render: Callable[[RayBundle], dict[str, Tensor]]
) -> dict[str, Tensor]:
    radiance = scene.trained.radiance

    def still(some: RayBundle) -> dict[str, Tensor]:
        with radiance.still():
            return render(some)

    return in_chunks(still, rays, scene.options.rays_at_once, radiance.device)
