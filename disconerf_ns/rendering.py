"""Rays through the frozen radiance field, whole or conditioned by an edit (Eq. 1 with the densities of some slots)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from nerfstudio.cameras.rays import RayBundle, RaySamples
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.field_components.field_heads import FieldHeadNames
from torch import Tensor

from disconerf_ns.edit import EditTable, belonging, weigh
from disconerf_ns.occupancy import Occupancy, intersect_box
from disconerf_ns.surface import weight_quantiles

if TYPE_CHECKING:
    from disconerf_ns.model import DiscoNerfModel

Owners = Callable[[Float[Tensor, "*n 3"]], Shaped[Tensor, "..."]]
"""Scene positions to the slots that own them: labels or probabilities, as `weigh` takes them."""


def contract(model: DiscoNerfModel, positions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Scene positions to the unit cube in which radiance and object field live, as nerfacto's fields do it."""
    if model.field.spatial_distortion is None:
        return SceneBox.get_normalized_positions(positions, model.field.aabb).clamp(0, 1)
    return (model.field.spatial_distortion(positions) + 2) / 4


def lit(model: DiscoNerfModel, weights: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples"]:
    """The part of a ray's light that comes from each sample.

    Where the background is the last sample's colour (nerfacto's default), the light that passes everything comes from
    there, for objects as for colours.
    """
    if model.config.background_color != "last_sample":
        return weights
    left = (1 - weights.sum(-1, keepdim=True)).clamp(min=0)
    return torch.cat([weights[:, :-1], weights[:, -1:] + left], -1)


def surface_points(
    model: DiscoNerfModel, samples: RaySamples, weights: Float[Tensor, "rays samples 1"], count: int
) -> tuple[Float[Tensor, "rays count 3"], Float[Tensor, "rays"]]:
    """`count` contracted points that carry equal shares of each ray's weight, and the weight in all, A in [0, 1]."""
    weights = lit(model, weights[..., 0])
    edges = torch.cat([samples.frustums.starts[..., 0], samples.frustums.ends[..., -1:, 0]], -1)
    distances = weight_quantiles(weights, edges, count)
    points = samples.frustums.origins[:, :1] + samples.frustums.directions[:, :1] * distances[..., None]
    return contract(model, points), weights.sum(-1).clamp(0, 1)


def uncontract(model: DiscoNerfModel, positions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Scene positions of points in the unit cube, the inverse of `contract`."""
    if model.field.spatial_distortion is None:
        low, high = model.field.aabb
        return low + positions * (high - low)
    y = positions * 4 - 2
    norm = y.abs().amax(-1, keepdim=True)
    return torch.where(norm > 1, y / (norm * (2 - norm).clamp(min=1e-3)), y)


def in_chunks(
    render: Callable[[RayBundle], dict[str, Tensor]], rays: RayBundle, size: int, device: torch.device | str
) -> dict[str, Tensor]:
    """Apply `render` to flat rays, `size` of them at a time, and join the results."""
    parts = [render(rays[i : i + size].to(device)) for i in range(0, len(rays), size)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def render_surface(model: DiscoNerfModel, rays: RayBundle) -> dict[str, Tensor]:
    """Contracted surface points and accumulation of flat rays; colours are left out."""
    samples, _, _ = model.proposal_sampler(model.collider(rays), density_fns=model.density_fns)
    weights = samples.get_weights(model.field.get_density(samples)[0])
    points, accumulation = surface_points(model, samples, weights, model.config.surface_points)
    return {"points": points, "accumulation": accumulation}


def render_scene(model: DiscoNerfModel, rays: RayBundle) -> dict[str, Tensor]:
    """The whole scene along flat rays: nerfacto's outputs, and the surface points that its objects are seen at."""
    return render_scene_and_samples(model, rays)[0]


def render_scene_and_samples(model: DiscoNerfModel, rays: RayBundle) -> tuple[dict[str, Tensor], ColoredSamples]:
    """`render_scene`, and what the rays met."""
    rays = model.collider(rays)
    samples, _, _ = model.proposal_sampler(rays, density_fns=model.density_fns)
    outputs = model.field(samples)
    weights = samples.get_weights(outputs[FieldHeadNames.DENSITY])
    points, opacity = surface_points(model, samples, weights, model.config.rendered_points)
    images = {
        "rgb": model.renderer_rgb(rgb=outputs[FieldHeadNames.RGB], weights=weights).clamp(0, 1),
        "accumulation": model.renderer_accumulation(weights=weights),
        "depth": model.renderer_depth(weights=weights, ray_samples=samples),
        "expected_depth": model.renderer_expected_depth(weights=weights, ray_samples=samples),
        "points": points,
        "surface_opacity": opacity,
    }
    return images, ColoredSamples(weights[..., 0], outputs[FieldHeadNames.RGB], samples.frustums.get_positions())


class ColoredSamples(NamedTuple):
    """What rays met: from this, images of other colours need no network."""

    weights: Float[Tensor, "rays samples"]
    rgb: Float[Tensor, "rays samples 3"]
    positions: Float[Tensor, "rays samples 3"]
    """Scene positions."""

    @staticmethod
    def cat(parts: Sequence[ColoredSamples]) -> ColoredSamples:
        """Samples of more rays."""
        return ColoredSamples(*(torch.cat(column) for column in zip(*parts)))

    def replaced(self, rays: Int[Tensor, "some"], fresh: ColoredSamples) -> ColoredSamples:
        """The same with others on some rays, given by index."""
        return ColoredSamples(*(old.index_copy(0, rays, new) for old, new in zip(self, fresh)))

    def at(self, rays: Int[Tensor, "some"]) -> ColoredSamples:
        """The samples of some rays, by index."""
        return ColoredSamples(*(column[rays] for column in self))


def sample_edited(
    model: DiscoNerfModel, rays: RayBundle, density: Float[Tensor, "ids"], owners: Owners
) -> tuple[ColoredSamples, Shaped[Tensor, "..."]]:
    """What flat rays meet where objects' densities are scaled by these factors, and its owners.

    The networks are not asked about rays that pass by the boxes of all objects that are left: they meet nothing.
    """
    met = passes_something(model, rays, density)
    met[:1] = True  # at least one, whose samples tell how many there are
    passing, size = rays[met], model.config.eval_num_rays_per_chunk
    parts = [_sample_edited(model, passing[i : i + size], density, owners) for i in range(0, len(passing), size)]
    found, owned = ColoredSamples.cat([part for part, _ in parts]), torch.cat([ids for _, ids in parts])
    samples = ColoredSamples(*(part.new_zeros(len(rays), *part.shape[1:]) for part in found))
    for whole, part in zip(samples, found):
        whole[met] = part
    nobody = 0 if owned.is_floating_point() else int(density.argmin())
    ids = owned.new_full((len(rays), *owned.shape[1:]), nobody)
    ids[met] = owned
    return samples, ids


def passes_something(model: DiscoNerfModel, rays: RayBundle, density: Float[Tensor, "ids"]) -> Bool[Tensor, "rays"]:
    """Rays through the box of an object whose density is not scaled by 0; all, if something is left without box."""
    left = _boxes(model, density > 0)
    met = torch.full((len(rays),), left is None, device=rays.origins.device)
    for box in left if left is not None else ():
        enter, leave = intersect_box(rays.origins, rays.directions, box)
        met |= enter < leave
    return met


def kept_density(model: DiscoNerfModel, density: Float[Tensor, "ids"], owners: Owners) -> Callable[[Tensor], Tensor]:
    """By how much the density at scene positions (..., 3) is scaled, (..., 1).

    An object owns next to nothing outside of its box, so the object field is asked only where something that is removed
    and something that is left may be. That is good enough for where to sample, and not for what is drawn.
    """
    hidden, left = _boxes(model, density <= 0), _boxes(model, density > 0)

    def ask(x: Tensor) -> Tensor:
        return weigh(density[:, None], owners(x))

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

    return kept if model.config.extraction == "hard" else ask


def _boxes(model: DiscoNerfModel, ids: Bool[Tensor, "ids"]) -> Float[Tensor, "boxes 2 3"] | None:
    """Boxes of objects; None where one of them has no box."""
    wanted = set(ids.nonzero()[:, 0].tolist()) - model.edit.merged.keys()
    boxes = {one.slot: one.box for one in model.objects}
    if wanted - boxes.keys():
        return None
    return torch.tensor([boxes[id] for id in sorted(wanted)], device=ids.device).view(-1, 2, 3)


def _inside(points: Float[Tensor, "n 3"], boxes: Float[Tensor, "boxes 2 3"]) -> Bool[Tensor, "n"]:
    """Whether points lie in any of some boxes."""
    inside = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    for low, high in boxes:
        inside |= ((points >= low) & (points <= high)).all(-1)
    return inside


def _sample_edited(
    model: DiscoNerfModel, rays: RayBundle, density: Float[Tensor, "ids"], owners: Owners
) -> tuple[ColoredSamples, Shaped[Tensor, "..."]]:
    """Densities of the proposal networks are scaled too, so that an occluded object is found by the sampler."""
    kept = kept_density(model, density, owners)

    def conditioned(density_fn):
        return lambda x: density_fn(x) * kept(x)

    samples, _, _ = model.proposal_sampler(
        model.collider(rays), density_fns=[conditioned(f) for f in model.density_fns]
    )
    outputs, positions = model.field(samples), samples.frustums.get_positions()
    ids = owners(positions)
    weights = samples.get_weights(outputs[FieldHeadNames.DENSITY] * weigh(density[:, None], ids))
    return ColoredSamples(weights[..., 0], outputs[FieldHeadNames.RGB], positions), ids


def compose(
    model: DiscoNerfModel, samples: ColoredSamples, edit: EditTable, ids: Shaped[Tensor, "..."], background: float
) -> Float[Tensor, "rays 3"]:
    """The picture of samples in the edit's colours; where all is taken away, a plain background.

    Args:
        ids: what owns the samples, as `weigh` takes it.
        background: its grey value.
    """
    colors = edit.tint(samples.rgb, ids)
    left = (1 - samples.weights.sum(-1, keepdim=True)).clamp(0, 1)
    beyond = torch.full_like(left, background).expand(-1, 3)
    if model.config.background_color == "last_sample":
        kept = weigh(edit.density[:, None], ids[:, -1])
        beyond = kept * colors[:, -1] + (1 - kept) * beyond
    return ((samples.weights[..., None] * colors).sum(-2) + left * beyond).clamp(0, 1)


def render_edited(
    model: DiscoNerfModel, rays: RayBundle, edit: EditTable, owners: Owners, background: float
) -> Float[Tensor, "rays 3"]:
    """The radiance field under an edit along flat rays."""
    samples, ids = sample_edited(model, rays, edit.density, owners)
    return compose(model, samples, edit, ids, background)


def render_object(
    model: DiscoNerfModel, rays: RayBundle, id: int, occupancy: Occupancy, background: float
) -> dict[str, Tensor]:
    """One object alone along flat rays, on a plain background; empty space costs no network evaluation."""
    images = {
        "rgb": torch.full((len(rays), 3), background, device=rays.origins.device),
        "accumulation": torch.zeros(len(rays), 1, device=rays.origins.device),
        "depth": torch.zeros(len(rays), 1, device=rays.origins.device),
    }
    hit, samples = occupancy.sample(rays, steps=64, count=model.config.object_samples)
    if samples is None:
        return images
    own = belonging(model.owners(samples.frustums.get_positions()), id)
    owned = own > 0
    density, rgb = torch.zeros_like(own), own.new_zeros(*own.shape, 3)
    if owned.any():  # the networks are asked where the object is, not all along its part of the ray
        outputs = model.field(samples[owned])
        density[owned] = outputs[FieldHeadNames.DENSITY][:, 0].to(own) * own[owned]
        rgb[owned] = outputs[FieldHeadNames.RGB].to(own)
    weights = samples.get_weights(density[..., None])
    accumulation = weights.sum(-2).clamp(0, 1)
    images["rgb"][hit] = (weights * rgb).sum(-2) + (1 - accumulation) * background
    images["accumulation"][hit] = accumulation
    images["depth"][hit] = model.renderer_depth(weights=weights, ray_samples=samples)
    return images
