"""Rays through the frozen radiance field, whole or under an edit (Eq. 1 with the densities of some objects)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.clean import Body
from disconerf_ns.scene.edit_table import belonging, weigh
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.occupancy import Occupancy, intersect_box
from disconerf_ns.scene.radiance import Factor, RadianceField
from disconerf_ns.surface.intervals import Intervals, piecewise, piecewise_inverse
from disconerf_ns.surface.samples import weight_quantiles

SEEN = 1 / 512
"""Smallest weight that changes an 8-bit pixel."""
LOST = 0.02
"""Fraction of a ray's light that may pass all samples before the ray is sampled again."""
FAR = 1e3
"""Distance at which only what surrounds the scene is left; nerfacto's far plane."""
BEHIND = 8
"""Points behind a ray's samples at which it is looked whether something is left there."""
OWNED = 1e-5
"""Probability, summed over the objects that may own a point, below which it is nobody's."""
ALONG = 64
"""Points along a ray, in the box of an object that is gone, at which it is looked for what is completed there."""
EVEN_STEPS = 128
"""Points along a ray at which the field itself is asked where to sample."""
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
    if radiance.background is not None:
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
    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    edges: Float[Tensor, "rays edges"]
    """Distances between the samples."""

    @property
    def positions(self) -> Float[Tensor, "rays samples 3"]:
        """Scene positions of the middles of the samples."""
        return Intervals(self.origins, self.directions, self.edges).positions

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


# -------------------------------------------------------------------- the edited scene


def sample_edited(scene: ArrangedScene, rays: RayBundle) -> tuple[ColoredSamples, Shaped[Tensor, "..."]]:
    """Samples that flat rays meet under the scene's edit, and their owners.

    The networks are not asked about rays that pass by the boxes of all objects that are left: they meet nothing.
    """
    met = passes_something(scene, rays)
    asked = met.clone()
    asked[:1] = True  # at least one, whose samples tell how many there are
    passing, size = rays[asked], scene.options.rays_at_once
    parts = [_sample_edited(scene, passing[i : i + size]) for i in range(0, len(passing), size)]
    sampled, owned = ColoredSamples.cat([part for part, _ in parts]), torch.cat([ids for _, ids in parts])
    samples = ColoredSamples(*(part.new_zeros(len(rays), *part.shape[1:]) for part in sampled))
    for whole, part in zip(samples, sampled):
        whole[met] = part[met[asked]]
    nobody = 0 if owned.is_floating_point() else int(scene.table.density.argmin())
    ids = owned.new_full((len(rays), *owned.shape[1:]), nobody)
    ids[met] = owned[met[asked]]
    return samples, ids


def _sample_edited(scene: ArrangedScene, rays: RayBundle) -> tuple[ColoredSamples, Shaped[Tensor, "..."]]:
    """Densities of the proposal networks are scaled too, so that an occluded object is found by the sampler."""
    sampled, ids = _colored(scene, scene.trained.radiance.sample(rays, kept_density(scene)))
    lost = (_lost(scene, sampled, ids) | _meets_completed(scene, rays)).nonzero()[:, 0]
    if len(lost) > 0:
        fresh, fresh_ids = _colored(scene, evenly_refined(scene, sampled.at(lost), _fars(rays)[lost]))
        sampled, ids = sampled.replaced(lost, fresh), ids.index_copy(0, lost, fresh_ids)
    return sampled, ids


def _colored(scene: ArrangedScene, samples: Intervals) -> tuple[ColoredSamples, Shaped[Tensor, "..."]]:
    positions = samples.positions
    density, rgb = scene.trained.radiance.shade(positions, samples.directions[:, None])
    ids = scene.owners(positions)
    density = density * weigh(scene.table.density[:, None], ids)[..., 0]
    density, rgb, ids = scene.revealed(positions, density, rgb, ids)
    return ColoredSamples(samples.weights(density), rgb, samples.origins, samples.directions, samples.edges), ids


def _lost(scene: ArrangedScene, samples: ColoredSamples, ids: Shaped[Tensor, "..."]) -> Bool[Tensor, "rays"]:
    """Rays whose samples end inside of what is removed, and let light through although something behind is left.

    The proposal networks never learned what is behind an object, so they may spend all samples where it was.
    """
    kept = weigh(scene.table.density[:, None], ids[:, -1])[:, 0]
    candidates = ((samples.weights.sum(-1) < 1 - LOST) & (kept < 0.5)).nonzero()[:, 0]
    steps = torch.linspace(0, 1, BEHIND + 1, device=kept.device)[1:]
    near = piecewise(samples.edges[candidates, -1:])
    distances = piecewise_inverse(near + (piecewise(torch.full_like(near, FAR)) - near) * steps)
    behind = samples.origins[candidates, None] + samples.directions[candidates, None] * distances[..., None]
    owned = scene.probabilities(scene.trained.contraction(behind.flatten(0, 1)))
    left = (owned * scene.table.density).sum(-1) > OWNED
    lost = torch.zeros_like(kept, dtype=torch.bool)
    lost[candidates] = left.view(-1, BEHIND).any(-1)
    return lost


def _meets_completed(scene: ArrangedScene, rays: RayBundle) -> Bool[Tensor, "rays"]:
    """Rays that meet something completed where an object is gone: the proposal networks know nothing of it."""
    met = torch.zeros_like(rays.origins[:, 0], dtype=torch.bool)
    steps = (torch.arange(ALONG, device=met.device) + 0.5) / ALONG
    for box in scene.revealed.boxes:
        enter, leave = intersect_box(rays.origins, rays.directions, box)
        if rays.nears is not None:
            enter = enter.maximum(rays.nears[:, 0])
        leave = leave.minimum(_fars(rays)[:, 0])
        through = ((enter < leave) & ~met).nonzero()[:, 0]
        distances = enter[through, None] + (leave - enter)[through, None] * steps
        points = rays.origins[through, None] + rays.directions[through, None] * distances[..., None]
        met[through] |= scene.revealed.fills(points).any(-1)
    return met


def even_edges(near: Float[Tensor, "rays 1"], far: Float[Tensor, "rays 1"]) -> Float[Tensor, "rays edges"]:
    """Distances from near to far that divide rays into `EVEN_STEPS` parts, even in the spacing of nerfacto."""
    near, far = piecewise(near), piecewise(far)
    steps = torch.linspace(0, 1, EVEN_STEPS + 1, device=near.device)
    return piecewise_inverse(near + (far - near) * steps)


def _fars(rays: RayBundle) -> Float[Tensor, "rays 1"]:
    farthest = torch.full_like(rays.origins[:, :1], FAR)
    return farthest if rays.fars is None else farthest.minimum(rays.fars)


def evenly_refined(scene: ArrangedScene, first: ColoredSamples, far: Float[Tensor, "rays 1"]) -> Intervals:
    """As many samples, by the densities of the field itself under the edit, up to a distance.

    Densities are looked at in even steps along the rays, and where the first samples are.
    """
    near = first.edges[:, :1]
    far = far.maximum(near)
    edges = torch.cat([even_edges(near, far), first.edges.clamp(near, far)], -1).sort(-1).values
    even = Intervals(first.origins, first.directions, edges)
    ids = scene.owners(even.positions)
    density = scene.trained.radiance.densities(even) * weigh(scene.table.density[:, None], ids)[..., 0]
    density, _, _ = scene.revealed(even.positions, density, torch.zeros_like(even.positions), ids)
    weights = even.weights(density)
    edges = weight_quantiles(weights, even.edges, first.edges.shape[1], spread=0.01)
    edges[:, 0], edges[:, -1] = even.edges[:, 0], even.edges[:, -1]
    return Intervals(first.origins, first.directions, edges)


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
        scale = torch.ones(len(points), 1, device=x.device)
        unsure = torch.arange(len(points), device=x.device)
        if hidden is not None:
            unsure = inside(points, hidden).nonzero()[:, 0]
        if left is not None:
            scale[unsure] = 0
            unsure = unsure[inside(points[unsure], left)]
        scale[unsure] = ask(points[unsure])
        return scale.view(*x.shape[:-1], 1)

    return kept if scene.options.extraction == "hard" else ask


def inside(points: Float[Tensor, "n 3"], boxes: Float[Tensor, "boxes 2 3"]) -> Bool[Tensor, "n"]:
    """Whether points lie in any of some boxes; one axis at a time, because a CPU compares long rows fastest."""
    axes, within = points.T.contiguous(), torch.zeros(len(points), dtype=torch.bool, device=points.device)
    for low, high in boxes:
        of_axes = ((low[k] <= axis).logical_and_(axis <= high[k]) for k, axis in enumerate(axes))
        within |= reduce(torch.Tensor.logical_and_, of_axes)
    return within


# -------------------------------------------------------------------- one object


def visible(radiance: RadianceField, samples: Intervals) -> Bool[Tensor, "rays samples"]:
    """Samples that are worth a look: where densities come in one launch, without those so thin that nobody sees them.

    All that are left out on a ray weigh no more than SEEN together, because the weight of each is no more than density
    times length.
    """
    if not radiance.fused:
        return torch.ones_like(samples.middles, dtype=torch.bool)
    return radiance.densities(samples) * samples.edges.diff(dim=-1) > SEEN / samples.middles.shape[-1]


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
                dense, shaded = there.after(dense * (1 - there.hidden), shaded)
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
    if not scene.bodies.is_wide(id):
        return voxels.ray_samples(rays, steps=OCCUPANCY_STEPS, count=count)
    enter, leave = intersect_box(rays.origins, rays.directions, voxels.box)
    hit = (enter < leave).nonzero()[:, 0]
    near, far = enter[hit, None], leave[hit, None]
    of_scene = scene.trained.radiance.sample(rays[hit])
    edges = torch.cat([even_edges(near, far), of_scene.edges.clamp(near, far)], -1).sort(-1).values
    asked = replace(of_scene, edges=edges)
    own = belonging(scene.owners(asked.positions), id)
    weights = asked.weights(scene.trained.radiance.densities(asked) * own)
    return hit, replace(asked, edges=weight_quantiles(weights, edges, count + 1, spread=0.01))


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
