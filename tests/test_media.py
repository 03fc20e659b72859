"""Several media along the same rays, against sums over many short steps."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import assert_close

from disconerf_ns.rendering.media import Medium, Part, optical_depth, seen_through, together
from disconerf_ns.surface.intervals import Intervals

GENERATOR = torch.Generator().manual_seed(0)


def medium(rays: int, samples: int, id: int) -> Medium:
    edges = torch.rand(rays, samples + 1, generator=GENERATOR).cumsum(-1)
    depth = torch.rand(rays, samples, generator=GENERATOR)
    values = torch.rand(rays, samples, 3, generator=GENERATOR)
    return Medium(edges, depth, values, torch.full((rays, samples), id))


def marched(media: list[Medium], ray: int, steps: int = 20_000) -> torch.Tensor:
    """The picture of one ray by many short steps: at each, densities of all media add up."""
    end = max(float(each.edges.max()) for each in media)
    length, passed, image = end / steps, 1.0, torch.zeros(3)
    for t in (torch.arange(steps) + 0.5).tolist():
        density, emitted = 0.0, torch.zeros(3)
        for each in media:
            interval = int((each.edges[ray] < t * length).sum()) - 1
            if 0 <= interval < each.depth.shape[1]:
                own = float(each.depth[ray, interval] / (each.edges[ray, interval + 1] - each.edges[ray, interval]))
                density, emitted = density + own, emitted + own * each.values[ray, interval]
        alpha = 1 - math.exp(-density * length)
        image += passed * alpha * emitted / max(density, 1e-12)
        passed *= 1 - alpha
    return image


def test_the_picture_of_all_media_is_that_of_many_short_steps() -> None:
    media = [medium(2, 4, 0), medium(2, 7, 1), medium(2, 1, 2)]
    joined = together(media)
    for ray in range(2):
        assert_close(joined.image()[ray], marched(media, ray), 2e-3)
    assert_close(joined.left, torch.stack([each.left for each in media]).prod(0))


def test_alone_it_is_as_it_was() -> None:
    alone = medium(5, 6, 3)
    assert_close(together([alone]).image(), alone.image())
    assert_close(together([alone]).weights, alone.weights)


def test_what_stands_in_front_hides_what_is_behind() -> None:
    """An opaque blue slab before a red one: the picture is blue and its id is seen, in whatever order they come."""
    edges = torch.tensor([[1.0, 2.0]])
    red = Medium(edges + 2, torch.tensor([[20.0]]), torch.tensor([[[1.0, 0, 0]]]), torch.tensor([[7]]))
    blue = Medium(edges, torch.tensor([[20.0]]), torch.tensor([[[0.0, 0, 1]]]), torch.tensor([[8]]))
    for media in ([red, blue], [blue, red]):
        joined = together(media)
        assert_close(joined.image(), torch.tensor([[0.0, 0, 1]]))
        assert int(joined.ids[0, joined.weights.argmax()]) == 8


def test_optical_depths_are_found_from_weights() -> None:
    samples = Intervals(torch.zeros(3, 3), torch.ones(3, 3), torch.rand(3, 9, generator=GENERATOR).cumsum(-1))
    density = 2 * torch.rand(3, 8, generator=GENERATOR)
    assert_close(optical_depth(samples.weights(density)), density * samples.edges.diff(dim=-1), 1e-4)


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_parts_change_only_the_rays_that_meet_them(at_once: int) -> None:
    base, one, other = medium(6, 4, 0), medium(2, 3, 1), medium(3, 5, 2)
    parts = [Part(torch.tensor([1, 4]), one), Part(torch.tensor([4, 0, 5]), other)]
    seen = seen_through(base, parts, lambda medium, rays: medium.image(), at_once)
    assert_close(seen[[2, 3]], base.at(torch.tensor([2, 3])).image())
    of_four = [base.at(torch.tensor([4])), one.at(torch.tensor([1])), other.at(torch.tensor([0]))]
    assert_close(seen[4], together(of_four).image()[0])
    assert_close(seen[5], together([base.at(torch.tensor([5])), other.at(torch.tensor([2]))]).image()[0])
