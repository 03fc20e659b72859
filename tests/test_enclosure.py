"""Space that no photograph saw belongs to an object where seen surface closes it off, down to where it stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import open3d
import pytest
import torch
from made_scene import enclosed
from torch import Tensor

from disconerf_ns.scene.closed_surface import FOOT, ClosedSurface, grounded
from disconerf_ns.scene.completion import own_part
from disconerf_ns.scene.enclosure import OPEN, Enclosure, open_regions
from disconerf_ns.scene.seen_rays import SeenRays


def test_hull_reaches_straight_down_to_the_height_on_which_an_object_stands() -> None:
    """One point of twenty is a splinter below the foot: it counts where it is, and nothing is put below it."""
    points = np.array([[x, 0.0, z] for x, z in zip(range(20), [-3.0, 0.0, *range(1, 19)])])
    foot = np.quantile(points[:, 2], FOOT)
    expected = [[x, 0.0, foot] for x, _, z in points if z > foot]
    np.testing.assert_allclose(grounded(points), np.concatenate([points, expected]))
    assert -3 < foot <= 0


def test_regions_are_open_where_photographs_looked_past_more_than_a_tenth_as_much_as_at_own_surface() -> None:
    generator = torch.Generator().manual_seed(3)
    drawn = torch.rand(9, 10, 11, generator=generator)
    inside, own, past = drawn < 0.25, (drawn > 0.25) & (drawn < 0.8), drawn > 0.95
    inside[:, 5] = False
    found = open_regions(inside, own, past)
    expected = torch.zeros_like(inside)
    for cells in region_by_region(inside):
        faces = [count_faces(cells, border) for border in (past, own)]
        for cell in cells:
            expected[cell] = faces[0] > OPEN * faces[1]
    assert torch.equal(found, expected)
    assert 0 < int(found.sum()) < int(inside.sum())


def region_by_region(inside: Tensor) -> list[set[tuple[int, ...]]]:
    """Connected voxels, found by walking from one to the next."""
    left, regions = {tuple(cell) for cell in inside.nonzero().tolist()}, []
    while left:
        region, border = set(), [left.pop()]
        while border:
            region.add(cell := border.pop())
            beside = left.intersection(neighbours(cell))
            left -= beside
            border.extend(beside)
        regions.append(region)
    return regions


def neighbours(cell: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [tuple(np.add(cell, step)) for step in (*np.eye(3, dtype=int), *-np.eye(3, dtype=int))]


def count_faces(cells: set[tuple[int, ...]], border: Tensor) -> int:
    there = {tuple(cell) for cell in border.nonzero().tolist()}
    return sum(other in there for cell in cells for other in neighbours(cell))


@pytest.mark.parametrize("scatter", [0.0, 0.05])
@pytest.mark.parametrize("walls", [True, False])
def test_space_below_a_board_is_filled_only_if_it_is_walled_in(walls: bool, scatter: float) -> None:
    """Cameras see a box from above and from its sides, or a board on four legs from above and below its edge.

    After a short radiance stage, rays of one surface end at depths that scatter by about two voxels.
    """
    own, rays, strangers = looked_at(walls, scatter)
    box = torch.tensor([[-1.05, -1.05, -0.05], [1.05, 1.05, 1.05]])
    found = enclosed(own, box, rays, strangers)
    below = found.voxels.middles(found.filled)
    deep = (below[:, :2].abs() < 0.7).all(-1) & (below[:, 2] > 0.2) & (below[:, 2] < 0.8)
    assert int(deep.sum()) > 1000 if walls else not deep.any()
    middle = torch.tensor([[0.0, 0.0, 0.8]])
    assert found.surface.holds(middle).item() and found.holds(middle).item() == walls


@pytest.mark.parametrize("taken", [False, True])
def test_hidden_space_in_the_hull_is_completed_unless_another_object_is_there(taken: bool) -> None:
    """A mug had a hole where another one touched it: the smooth surface bends inwards where much was not seen.

    Here it encloses one half of a box, and another object's surface encloses the other half or nothing.
    """
    own, rays, strangers = looked_at(walls=True, scatter=0.0)
    box = torch.tensor([[-1.05, -1.05, -0.05], [1.05, 1.05, 1.05]])
    half, rest = (_box_surface(x) for x in (-0.6, 0.6))
    surface = ClosedSurface.through(own, box)
    assert surface is not None
    bent = Enclosure.of(replace(surface, smooth=half), box, rays, strangers)
    other = Enclosure.of(replace(surface, smooth=rest if taken else half), box, rays, strangers)
    found = own_part(
        bent, [replace(other, filled=torch.zeros_like(other.filled), hulled=torch.zeros_like(other.hulled))]
    )
    places = bent.voxels.middles(found)
    deep = (
        (places[:, 0] > 0.2) & (places[:, 0] < 0.8) & (places[:, 1].abs() < 0.7) & (places[:, 2].sub(0.5).abs() < 0.3)
    )
    volume = float(deep.sum()) * bent.voxels.side**3
    assert volume == pytest.approx(0.0 if taken else 0.6 * 1.4 * 0.6, rel=0.1)


def _box_surface(x: float) -> open3d.t.geometry.RaycastingScene:
    """A box of 1 x 2 x 1 about a place on the x axis."""
    mesh = open3d.t.geometry.TriangleMesh.create_box(1.2, 2.2, 1.2).translate(open3d.core.Tensor([x - 0.6, -1.1, -0.1]))
    surface = open3d.t.geometry.RaycastingScene(nthreads=1)
    surface.add_triangles(mesh)
    return surface


@pytest.mark.parametrize(("every", "deeper"), [(40, 0.3), (40, 0.6), (7, 0.6)])
@pytest.mark.parametrize("half", [False, True])
def test_rays_that_end_deep_inside_keep_nothing_from_being_completed(every: int, deeper: float, half: bool) -> None:
    """A table had holes below books after a short radiance stage, whose rays end where the field is fuzzy.

    Most of the light of every seventh ray is lost deep inside, or half of it.
    """
    own, rays, strangers = looked_at(walls=True, scatter=0.05)
    box = torch.tensor([[-1.05, -1.05, -0.05], [1.05, 1.05, 1.05]])
    off = torch.where(torch.arange(len(rays)) % every == 0, deeper, 0.0)
    deep = replace(rays, ends=rays.ends + off, distances=rays.distances + (off if half else 0.0))
    sharp, fuzzy = (enclosed(own, box, each, strangers) for each in (rays, deep))
    assert not fuzzy.opened.any()
    assert int((sharp.filled & ~fuzzy.filled).sum()) < 0.05 * int(sharp.filled.sum())


def looked_at(walls: bool, scatter: float) -> tuple[SeenRays, SeenRays, SeenRays]:
    """Rays that end on a thing of 2 x 2 x 1 on the ground, all rays, and those that end on the ground.

    Args:
        scatter: standard deviation of the distance at which rays end on the thing.
    """
    generator = torch.Generator().manual_seed(4)
    across = lambda count: 2 * torch.rand(count, generator=generator) - 1
    top = torch.stack([across(3000), across(3000), torch.ones(3000)], -1)
    sides = []
    for normal in ([1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]):
        along, height = across(3000), torch.rand(3000, generator=generator)
        x, y = torch.tensor(normal)
        side = torch.stack([x + y * along, y + x * along, height], -1)
        sides.append((side, torch.tensor([2 * x, 2 * y, 0.6])))
    own, strangers = [to(top, top + torch.tensor([0.0, 0.0, 1.0]))], []
    for side, away in sides:
        legs = walls | ((side[:, :2].abs().amin(-1) > 0.9) | (side[:, 2] > 0.95))
        rays = to(side, side + away)
        own.append(rays[legs])
        strangers.append(past(rays[~legs]))
    ours, theirs = joined(own), joined(strangers)
    off = scatter * torch.randn(len(ours), generator=generator)
    ours = SeenRays(ours.origins, ours.directions, ours.distances + off, ours.ends + off)
    return ours, joined([ours, theirs]), theirs


def to(points: Tensor, origins: Tensor) -> SeenRays:
    """Rays from origins that end on points."""
    away = points - origins
    distances = away.norm(dim=-1)
    return SeenRays(origins, away / distances[:, None], distances, distances)


def past(rays: SeenRays) -> SeenRays:
    """The same rays, which end on the ground."""
    down = -rays.origins[:, 2] / rays.directions[:, 2]
    return SeenRays(rays.origins, rays.directions, down, down)


def joined(parts: list[SeenRays]) -> SeenRays:
    names = ("origins", "directions", "distances", "ends")
    return SeenRays(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
