"""Several media along the same rays, each in its own intervals: what stands in one another's way, and what is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import pad


class Medium(NamedTuple):
    """What rays pass: intervals that absorb and shine evenly."""

    edges: Float[Tensor, "rays edges"]
    """Distances between the intervals, not decreasing; one more than there are intervals."""
    depth: Float[Tensor, "rays samples"]
    """Optical depth of each interval: density times length."""
    values: Float[Tensor, "rays samples c"]
    """What is seen of each interval, such as its colour."""
    ids: Int[Tensor, "rays samples"]
    """Whose each interval is."""

    @property
    def transmittance(self) -> Float[Tensor, "rays edges"]:
        """Fraction of the light that comes through from beyond each edge."""
        return pad(self.depth.cumsum(-1), (1, 0)).neg().exp()

    @property
    def weights(self) -> Float[Tensor, "rays samples"]:
        """Rendering weights of the intervals (Eq. 1)."""
        passed = self.transmittance
        return passed[:, :-1] - passed[:, 1:]

    @property
    def left(self) -> Float[Tensor, "rays"]:
        """Fraction of the light that passes everything."""
        return self.transmittance[:, -1]

    def image(self) -> Float[Tensor, "rays c"]:
        """Values, composited."""
        return (self.weights[..., None] * self.values).sum(-2)

    def at(self, rays: Int[Tensor, "some"]) -> Medium:
        """The medium along some rays, by index."""
        return Medium(*(column[rays] for column in self))

    def spread(self, rays: Int[Tensor, "some"], count: int) -> Medium:
        """The medium along `count` rays, of which it is about those with these indices; others meet nothing."""
        return Medium(
            *(column.new_zeros(count, *column.shape[1:]).index_copy_(0, rays, column) for column in self),
        )


def optical_depth(weights: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples"]:
    """Optical depths of intervals that have these rendering weights: the inverse of Eq. 1."""
    before = 1 - pad(weights.cumsum(-1), (1, 0))[:, :-1]
    return -torch.log1p(-(weights / before.clamp(min=1e-6)).clamp(0, 1 - 1e-6))


def together(media: Sequence[Medium]) -> Medium:
    """All media in one. Densities add up; values are means weighted by them; the densest says whose an interval is.

    Every edge of a medium divides the intervals of the others, so this is exact for media that are even in each.
    """
    edges, _ = torch.cat([medium.edges for medium in media], -1).sort(-1)
    middles, lengths = (edges[:, 1:] + edges[:, :-1]) / 2, edges.diff(dim=-1)
    depth, values, ids = torch.zeros_like(middles), 0.0, torch.full_like(middles, -1, dtype=torch.long)
    densest = torch.zeros_like(middles)
    for medium in media:
        interval = torch.searchsorted(medium.edges.contiguous(), middles) - 1
        inside = (interval >= 0) & (interval < medium.depth.shape[1])
        interval = interval.clamp(0, medium.depth.shape[1] - 1)
        whole = medium.edges.diff(dim=-1).gather(1, interval)
        share = torch.where(inside & (whole > 0), lengths / whole.clamp(min=1e-12), 0.0)
        part = medium.depth.gather(1, interval) * share
        ids = torch.where(part > densest, medium.ids.gather(1, interval), ids)
        densest, depth = torch.maximum(densest, part), depth + part
        index = interval[..., None].expand(-1, -1, medium.values.shape[-1])
        values = values + part[..., None] * medium.values.gather(1, index)
    return Medium(edges, depth, values / depth.clamp(min=1e-12)[..., None], ids)


class Part(NamedTuple):
    """A medium that some rays meet."""

    rays: Int[Tensor, "hit"]
    """Indices of these rays."""
    medium: Medium


def seen_through(
    base: Medium, parts: Sequence[Part], see: Callable[[Medium, Int[Tensor, "some"]], Tensor], at_once: int
) -> Shaped[Tensor, "rays *c"]:
    """What is seen of a medium along all rays, and of media that stand in it.

    Args:
        base: medium along all rays.
        parts: media along some of them.
        see: what is seen, (some, *c), of a medium along some rays, given their indices.
        at_once: most rays that meet a part and are computed together.
    """
    every = torch.arange(len(base.edges), device=base.edges.device)
    seen = see(base, every)
    met = torch.cat([every[:0], *(part.rays for part in parts)]).unique()
    for rays in met.split(at_once):
        place = torch.full_like(every, -1)
        place[rays] = torch.arange(len(rays), device=rays.device)
        media = [base.at(rays)]
        for part in parts:
            here = (place[part.rays] >= 0).nonzero()[:, 0]
            media.append(part.medium.at(here).spread(place[part.rays[here]], len(rays)))
        seen[rays] = see(together(media), rays)
    return seen
