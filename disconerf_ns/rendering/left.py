"""Samples along rays of the objects that an edit leaves in place (Eq. 1 with the densities of these objects alone)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.rendering.behind import behind_gone, known
from disconerf_ns.rendering.labels import OWNED
from disconerf_ns.rendering.rays import SEEN, ColoredSamples, even_edges
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit_table import likeliest, weigh
from disconerf_ns.scene.occupancy import inside, intersect_box
from disconerf_ns.scene.radiance import Factor
from disconerf_ns.surface.intervals import Intervals, piecewise, piecewise_inverse
from disconerf_ns.surface.samples import weight_quantiles

LOST = 0.02
"""Fraction of a ray's light that may pass all samples before the ray is sampled again."""
FAR = 1e3
"""Distance at which only what surrounds the scene is left; nerfacto's far plane."""
BEHIND = 8
"""Points behind a ray's samples at which it is looked whether something is left there."""
FIRM = 0.9
"""Least opacity of what photographs saw behind something that is gone; otherwise what none saw is shown as well."""
ALONG = 64
"""Points along a ray at which a completed object is looked for, in the common box of it and of what is gone."""


class OwnedSamples(NamedTuple):
    """Samples that rays met, and their owners."""

    samples: ColoredSamples
    ids: Shaped[Tensor, "..."]
    """Owners of the samples, as `weigh` takes them."""

    @property
    def certain(self) -> OwnedSamples:
        """The same samples, each with its likeliest owner alone."""
        return self._replace(ids=likeliest(self.ids))

    def seen(self, chosen: Bool[Tensor, "ids"]) -> Bool[Tensor, "rays"]:
        """Rays in which some of the objects are seen; owners are certain."""
        return (self.samples.weights * chosen[self.ids]).sum(-1) > SEEN

    def replaced(self, rays: Int[Tensor, "some"], fresh: OwnedSamples) -> OwnedSamples:
        """The same with other samples on some rays, given by index."""
        return OwnedSamples(self.samples.replaced(rays, fresh.samples), self.ids.index_copy(0, rays, fresh.ids))

    def at(self, rays: Int[Tensor, "some"]) -> OwnedSamples:
        """The samples of some rays, by index."""
        return OwnedSamples(self.samples.at(rays), self.ids[rays])


class Start(NamedTuple):
    """Samples that an edit starts from."""

    owned: OwnedSamples
    met: Bool[Tensor, "rays"]
    """Rays that see something hidden."""
    thinned: Bool[Tensor, "rays"]
    """Rays that see something that goes with what is hidden, though it belongs to what stays."""

    @property
    def affected(self) -> Int[Tensor, "affected"]:
        """Indices of the rays that have to be sampled again."""
        return (self.met | self.thinned).nonzero()[:, 0]


def sample_edited(scene: ArrangedScene, rays: RayBundle) -> OwnedSamples:
    """Samples that flat rays meet under the scene's edit, and their owners.

    The networks are not asked about rays that meet only reaches of objects that are gone.
    """
    met = passes_something(scene, rays)
    asked = met.clone()
    asked[:1] = True  # at least one, whose samples tell how many there are
    passing, size = rays[asked], scene.options.rays_at_once
    parts = [_sample_edited(scene, passing[i : i + size]) for i in range(0, len(passing), size)]
    sampled, owned = ColoredSamples.cat([part.samples for part in parts]), torch.cat([part.ids for part in parts])
    samples = ColoredSamples(*(part.new_zeros(len(rays), *part.shape[1:]) for part in sampled))
    for whole, part in zip(samples, sampled):
        whole[met] = part[met[asked]]
    nobody = 0 if owned.is_floating_point() else int(scene.table.density.argmin())
    ids = owned.new_full((len(rays), *owned.shape[1:]), nobody)
    ids[met] = owned[met[asked]]
    return OwnedSamples(samples, ids)


def own_colors(scene: ArrangedScene, owned: OwnedSamples) -> Float[Tensor, "rays samples 3"]:
    """Colours of the samples; objects that are gone leave none of theirs on what stood beside them.

    A sample has the radiance field's colour. Beside an object that is gone, that colour may be a mix of both objects,
    so a strange one gives way to the completion's. Samples that are too faint to be seen keep the field's everywhere.
    """
    samples, ids = owned
    if not scene.revealed.gone:
        return samples.rgb
    seen, rgb = samples.weights > SEEN / samples.weights.shape[-1], samples.rgb.clone()
    rgb[seen] = scene.revealed.recolored(samples.positions[seen], rgb[seen], ids[seen])
    return rgb


def thinned(scene: ArrangedScene, owned: OwnedSamples) -> Bool[Tensor, "rays"]:
    """Rays that see bits or crumbs of an object that stays, or what no photograph saw, which go with what is gone."""
    samples, ids = owned
    lost = torch.zeros_like(samples.weights)
    if scene.revealed.gone:
        seen = samples.weights > SEEN / samples.weights.shape[-1]
        before, behind = torch.ones_like(samples.weights[seen]), behind_gone(scene, samples.intervals)[seen]
        after, _, _ = scene.revealed(samples.positions[seen], before, samples.rgb[seen], ids[seen], behind)
        lost[seen] = (before - after).clamp(min=0)
    return ((samples.weights * lost).sum(-1) > SEEN) | _made_up(scene, samples)


def _made_up(scene: ArrangedScene, samples: ColoredSamples) -> Bool[Tensor, "rays"]:
    """Rays that see, behind something that is gone, what no photograph saw."""
    behind = behind_gone(scene, samples.intervals)
    return (samples.weights * ~known(scene, samples.intervals, behind)).sum(-1) > SEEN


def _sample_edited(scene: ArrangedScene, rays: RayBundle) -> OwnedSamples:
    """Densities of the proposal networks are scaled too, so that an occluded object is found by the sampler."""
    first = _owned(scene, scene.trained.radiance.sample(rays, kept_density(scene)))
    far = _fars(rays)
    lost = (_lost(scene, first) | _beside_gone(scene, first, far) | _made_up(scene, first.samples)).nonzero()[:, 0]
    if len(lost) == 0:
        return first
    samples, counts = evenly_refined(scene, first.samples.at(lost), far[lost])
    return first.replaced(lost, _owned(scene, samples, counts))


def _owned(
    scene: ArrangedScene, samples: Intervals, counts: Bool[Tensor, "rays samples"] | None = None
) -> OwnedSamples:
    """Density, colour and owners of samples under the edit.

    Args:
        counts: samples at which the radiance field counts; by default all.
    """
    positions, behind = samples.positions, behind_gone(scene, samples)
    density, rgb = scene.trained.radiance.shade(positions, samples.directions[:, None])
    ids = scene.owners(positions)
    density = density * weigh(scene.table.density[:, None], ids)[..., 0]
    if counts is not None:
        density = density * counts
    density, rgb, ids = scene.revealed(positions, density, rgb, ids, behind)
    weights = samples.weights(density)
    return OwnedSamples(ColoredSamples(weights, rgb, samples.origins, samples.directions, samples.edges), ids)


def _lost(scene: ArrangedScene, owned: OwnedSamples) -> Bool[Tensor, "rays"]:
    """Rays whose samples end inside of what is removed, and let light through although something behind is left.

    The proposal networks never learned what is behind an object, so they may spend all samples where it was. Deep
    inside of it owners are arbitrary, so there a last sample may seem to be left.
    """
    samples, ids = owned
    kept = weigh(scene.table.density[:, None], ids[:, -1])[:, 0]
    ends = kept < 0.5
    if (hidden := scene.reaches(scene.table.density <= 0)) is not None:
        ends |= inside(samples.positions[:, -1], hidden)
    candidates = ((samples.weights.sum(-1) < 1 - LOST) & ends).nonzero()[:, 0]
    steps = torch.linspace(0, 1, BEHIND + 1, device=kept.device)[1:]
    near = piecewise(samples.edges[candidates, -1:])
    distances = piecewise_inverse(near + (piecewise(torch.full_like(near, FAR)) - near) * steps)
    behind = samples.origins[candidates, None] + samples.directions[candidates, None] * distances[..., None]
    probabilities = scene.probabilities(scene.trained.contraction(behind.flatten(0, 1)))
    left = (probabilities * scene.table.density).sum(-1) > OWNED
    lost = torch.zeros_like(kept, dtype=torch.bool)
    lost[candidates] = left.view(-1, BEHIND).any(-1)
    return lost


def _beside_gone(scene: ArrangedScene, owned: OwnedSamples, far: Float[Tensor, "rays 1"]) -> Bool[Tensor, "rays"]:
    """Rays that the proposal networks sample badly, because something is gone.

    The networks know nothing of what is completed there. A ray that grazes a completed object may get samples in what
    is gone instead, and lets light through although it passes the object closely. And its last sample, which stands for
    all that is behind it, may lie in an object that nothing surrounds any more.
    """
    first, ids = owned
    leaky = first.weights.sum(-1) < 1 - LOST
    last = likeliest(ids[:, -1])
    met = leaky & torch.isin(last, torch.tensor(sorted(scene.revealed.free), device=last.device))
    leaky &= (weigh(scene.table.density[:, None], ids)[..., 0] < 0.5).any(-1)
    steps = (torch.arange(ALONG, device=met.device) + 0.5) / ALONG
    for completion, box in scene.revealed.beside_gone():
        enter, leave = intersect_box(first.origins, first.directions, box)
        enter, leave = enter.maximum(first.edges[:, 0]), leave.minimum(far[:, 0])
        through = ((enter < leave) & ~met).nonzero()[:, 0]
        distances = enter[through, None] + (leave - enter)[through, None] * steps
        points = first.origins[through, None] + first.directions[through, None] * distances[..., None]
        there = completion.at(points.flatten(0, 1)).values
        filled, around = ((each > 0).view(-1, ALONG).any(-1) for each in (there.filled, there.around))
        met[through] = filled | (around & leaky[through])
    return met


def _fars(rays: RayBundle) -> Float[Tensor, "rays 1"]:
    farthest = torch.full_like(rays.origins[:, :1], FAR)
    return farthest if rays.fars is None else farthest.minimum(rays.fars)


def evenly_refined(
    scene: ArrangedScene, first: ColoredSamples, far: Float[Tensor, "rays 1"]
) -> tuple[Intervals, Bool[Tensor, "rays samples"]]:
    """As many samples, by the densities of the field under the edit, up to a distance; and where the field counts.

    Densities are looked at in even steps along the rays, and where the first samples are. Rays that are stopped where
    the field is known, and by what is completed, are firm: what no photograph saw does not count along them. A sample
    counts as the even step that holds its middle, because samples in empty space are so long that one which begins in
    seen space may lie in what the field made up.
    """
    near = first.edges[:, :1]
    far = far.maximum(near)
    edges = torch.cat([even_edges(near, far), first.edges.clamp(near, far)], -1).sort(-1).values
    even = Intervals(first.origins, first.directions, edges)
    ids, behind = scene.owners(even.positions), behind_gone(scene, even)
    certain = known(scene, even, behind)
    density = scene.trained.radiance.densities(even) * weigh(scene.table.density[:, None], ids)[..., 0]
    black = torch.zeros_like(even.positions)
    weights = even.weights(scene.revealed(even.positions, density * certain, black, ids, behind)[0])
    firm = weights.sum(-1) >= FIRM
    other = (~firm & ~certain.all(-1)).nonzero()[:, 0]
    everything, _, _ = scene.revealed(even.positions[other], density[other], black[other], ids[other], behind[other])
    weights[other] = even.at(other).weights(everything)
    edges = weight_quantiles(weights, even.edges, first.edges.shape[1], spread=0.01)
    edges[:, 0], edges[:, -1] = even.edges[:, 0], even.edges[:, -1]
    samples = Intervals(first.origins, first.directions, edges)
    steps = torch.searchsorted(even.edges.contiguous(), samples.middles.contiguous()) - 1
    return samples, certain.gather(1, steps.clamp(0, certain.shape[1] - 1)) | ~firm[:, None]


def passes_something(scene: ArrangedScene, rays: RayBundle) -> Bool[Tensor, "rays"]:
    """Rays that may meet something whose density is not scaled by 0.

    These are the rays through the reach of such an object, and those through no reach at all, since reaches leave out
    haze and the farthest space; all rays, if something is left that has no box.
    """
    left = scene.reaches(scene.table.density > 0)
    if left is None:
        return torch.ones(len(rays), dtype=torch.bool, device=rays.origins.device)
    return _through(rays, left) | ~_through(rays, torch.tensor([each.reach for each in scene.objects]).to(left))


def _through(rays: RayBundle, boxes: Iterable[Float[Tensor, "2 3"]]) -> Bool[Tensor, "rays"]:
    met = torch.zeros(len(rays), dtype=torch.bool, device=rays.origins.device)
    for box in boxes:
        enter, leave = intersect_box(rays.origins, rays.directions, box)
        met |= enter < leave
    return met


def kept_density(scene: ArrangedScene) -> Factor:
    """By how much the density at scene positions is scaled under the edit.

    An object owns next to nothing outside of its reach, so the object field is asked only where something that is
    removed and something that is left may be. That is good enough for where to sample, and not for what is drawn.
    """
    density = scene.table.density
    hidden, left = scene.reaches(density <= 0), scene.reaches(density > 0)

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
