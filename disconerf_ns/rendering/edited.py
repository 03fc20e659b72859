"""The edited scene along rays: what stays where it was photographed, and what stands somewhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.rendering.alone import object_samples
from disconerf_ns.rendering.behind import behind_gone, looked_into
from disconerf_ns.rendering.media import Medium, Part, optical_depth, seen_through
from disconerf_ns.rendering.rays import ColoredSamples
from disconerf_ns.scene.arranged import ArrangedScene, Placement
from disconerf_ns.scene.clean import Body
from disconerf_ns.scene.edit_table import likeliest, weigh
from disconerf_ns.scene.lazy import lazy
from disconerf_ns.scene.occupancy import intersect_box
from disconerf_ns.surface.intervals import Intervals
from disconerf_ns.surface.samples import SOLID


class PlacedSamples(NamedTuple):
    """Samples that rays meet of an object that stands somewhere else; they are where it was photographed."""

    rays: Int[Tensor, "hit"]
    """Indices of the rays that meet it."""
    samples: Intervals
    density: Float[Tensor, "hit samples"]
    rgb: Float[Tensor, "hit samples 3"]
    """The object's own colours."""

    def at(self, index: Int[Tensor, "some"]) -> PlacedSamples:
        """Some of the rays, by their place in `rays`."""
        return PlacedSamples(self.rays[index], self.samples.at(index), self.density[index], self.rgb[index])

    def among(self, rays: Int[Tensor, "some"]) -> PlacedSamples:
        """The samples of some of the rays, which are given by index; the rays are numbered anew in their order."""
        rays = rays.to(self.rays.device)
        place = torch.full((int(torch.cat([rays, self.rays]).max()) + 1,), -1, device=rays.device)
        place[rays] = torch.arange(len(rays), device=rays.device)
        new = place[self.rays]
        hit = (new >= 0).nonzero()[:, 0]
        order = hit[new[hit].argsort()]
        return self.at(order)._replace(rays=new[order])

    @staticmethod
    def cat(parts: Sequence[PlacedSamples]) -> PlacedSamples:
        """Samples of more rays."""
        samples = Intervals(*(torch.cat(column) for column in zip(*(_columns(each.samples) for each in parts))))
        rays, density, rgb = (torch.cat(column) for column in zip(*((each.rays, *each[2:]) for each in parts)))
        return PlacedSamples(rays, samples, density, rgb)


def _columns(samples: Intervals) -> tuple[Tensor, Tensor, Tensor]:
    return samples.origins, samples.directions, samples.edges


def moved_back(each: Placement, rays: RayBundle) -> RayBundle:
    """Rays as they pass an object where it was photographed.

    Directions keep length 1, so a distance there is one here divided by the scale.
    """
    back, scale = each.place.inverse(), each.place.scale
    return replace(
        rays,
        origins=back.points(rays.origins),
        directions=back.directions(rays.directions),
        nears=None if rays.nears is None else rays.nears / scale,
        fars=None if rays.fars is None else rays.fars / scale,
    )


def meets(each: Placement, rays: RayBundle, body: Body) -> Bool[Tensor, "rays"]:
    """Rays through the voxels' box of an object where it is shown."""
    back = moved_back(each, rays)
    enter, leave = intersect_box(back.origins, back.directions, body.voxels.box.to(rays.origins))
    return enter < leave


def place(each: Placement, rays: RayBundle, body: Body | None = None) -> PlacedSamples:
    """Samples that flat rays meet of an object where it is shown, without the haze that surrounds it elsewhere.

    Args:
        each: the object, and where it is shown.
        rays: flat rays.
        body: the object as it is looked at; by default as the scene's options have it.
    """
    size, device = each.scene.options.rays_at_once, each.scene.trained.radiance.device
    body = body or each.body
    parts = []
    for start in range(0, max(len(rays), 1), size):
        back = moved_back(each, rays[start : start + size].to(device))
        hit, samples, density, rgb = object_samples(each.scene, back, each.id, body)
        parts.append(PlacedSamples(hit + start, samples, density, rgb))
    return PlacedSamples.cat(parts)


@dataclass(frozen=True, eq=False)
class EditedRays:
    """What rays meet under the edit of a scene."""

    scene: ArrangedScene
    samples: ColoredSamples
    """Samples of the objects that stay where they were photographed, without colours of what is gone."""
    ids: Shaped[Tensor, "..."]
    """Owners of these samples, as `weigh` takes them."""
    placed: tuple[PlacedSamples, ...] = ()
    """Samples of each of the scene's placements."""

    def rgb(self) -> Float[Tensor, "rays 3"]:
        """The picture in the edit's colours; where all is taken away, the scene's background or a plain one."""
        scene, samples = self.scene, self.samples
        colors = scene.table.tint(samples.rgb, self.ids)
        background = scene.trained.radiance.background
        plain = scene.options.background if background is None else background
        beyond = self._beyond * colors[:, -1] + (1 - self._beyond) * plain
        return self._seen(
            colors,
            lambda each, met: each.scene.table.tint(met.rgb, met.rays.new_full(met.density.shape, each.id)),
            lambda medium, rays: (medium.image() + medium.left[:, None] * beyond[rays]).clamp(0, 1),
        )

    def opacity(self) -> Float[Tensor, "rays 1"]:
        """Fraction of the light that is stopped, in [0, 1]; a last sample that is the background stops all."""
        return self._plain(lambda medium, rays: 1 - medium.left[:, None] * (1 - self._beyond[rays]))

    def depth(self) -> Float[Tensor, "rays 1"]:
        """Distance at which half of the light is stopped; of the last sample where less is."""
        return self._plain(_median)

    def visible_ids(self) -> Int[Tensor, "rays"]:
        """The id that weighs most, `Placement.seen_as` of what was placed; -1 where little is left."""
        count, last = self.scene.ids + len(self.scene.guests), self._certain[:, -1:]

        def see(medium: Medium, rays: Tensor) -> Tensor:
            weights = medium.depth.new_zeros(len(rays), count + 1)
            weights.scatter_add_(1, medium.ids % (count + 1), medium.weights)
            weights.scatter_add_(1, last[rays], medium.left[:, None] * self._beyond[rays])
            largest, id = weights[:, :count].max(-1)
            return torch.where(largest > SOLID / 2, id, -1)

        return self._plain(see)

    def unseen(self) -> Float[Tensor, "rays 1"]:
        """Fraction of the light that comes from where no photograph looked, in [0, 1]."""
        positions, behind = self.samples.positions, behind_gone(self.scene, self.samples.intervals)
        unseen = (~looked_into(self.scene, positions, behind))[..., None].float()
        beyond = self._beyond * unseen[:, -1]
        return self._seen(
            unseen,
            lambda each, met: (~each.scene.bodies.looked_into(met.samples.positions, each.id))[..., None].float(),
            lambda medium, rays: (medium.image() + medium.left[:, None] * beyond[rays]).clamp(0, 1),
        )

    @lazy
    def _beyond(self) -> Float[Tensor, "rays 1"]:
        """How much of what shines from beyond all samples is there: the last sample's object, or nothing."""
        there = weigh(self.scene.table.density[:, None], self.ids[:, -1])
        return there if self.scene.trained.radiance.background is None else torch.zeros_like(there)

    @lazy
    def _depth(self) -> Float[Tensor, "rays samples"]:
        """Optical depths of the samples."""
        return optical_depth(self.samples.weights)

    @lazy
    def _certain(self) -> Int[Tensor, "rays samples"]:
        """The likeliest owners of the samples."""
        return likeliest(self.ids)

    def _plain(self, see: Callable[[Medium, Tensor], Tensor]) -> Tensor:
        nothing = self.samples.rgb[..., :0]
        return self._seen(nothing, lambda each, met: met.rgb[..., :0], see)

    def _seen(
        self,
        values: Float[Tensor, "rays samples c"],
        placed_values: Callable[[Placement, PlacedSamples], Tensor],
        see: Callable[[Medium, Tensor], Tensor],
    ) -> Tensor:
        """What `see` says of everything together, with some value of each sample."""
        base = Medium(self.samples.edges, self._depth, values, self._certain)
        parts = []
        for each, met in zip(self.scene.placements, self.placed):
            depth = met.density * met.samples.edges.diff(dim=-1)
            ids = met.rays.new_full(depth.shape, each.seen_as)
            edges = met.samples.edges * each.place.scale
            parts.append(Part(met.rays, Medium(edges, depth, placed_values(each, met), ids)))
        return seen_through(base, parts, see, self.scene.options.rays_at_once)


def _median(medium: Medium, rays: Tensor) -> Tensor:
    before = (medium.weights.cumsum(-1) < 0.5).sum(-1, keepdim=True)
    middles = (medium.edges[:, 1:] + medium.edges[:, :-1]) / 2
    return middles.gather(-1, before.clamp(max=middles.shape[-1] - 1))
