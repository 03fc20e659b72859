"""Small things beside large ones: cells are drawn evenly over masks too, and no large part speaks for a small one."""

from __future__ import annotations

import pytest
import torch
from helpers import assert_close
from torch import Tensor

from disconerf_ns.discovery import find
from disconerf_ns.discovery.cells import OF_MASKS, Cells, drawing_weight, observe
from disconerf_ns.discovery.consensus import collect
from disconerf_ns.discovery.find import find_consensus
from disconerf_ns.discovery.nobody import share
from disconerf_ns.discovery.unions import tops, tree_of
from disconerf_ns.scene.tree import DEFAULT
from disconerf_ns.surface.samples import SurfaceSamples

DESK, MUG, DIE, WALL = range(4)
SHARE = torch.tensor([0.45, 0.01, 0.002, 0.538])
"""Of the rays of each view."""
VIEWS, RAYS = 40, 3000


def desk(masked: tuple[int, ...] = (DESK, MUG, DIE, WALL)) -> list[tuple[SurfaceSamples, Tensor]]:
    """Views of a wall, and of a desk with two small things: each is a square of an area in proportion to its share."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.tensor([[0.1, 0.1, 0.3], [0.85, 0.2, 0.3], [0.85, 0.5, 0.3], [0.1, 0.1, 0.8]])
    views = []
    for view in range(VIEWS):
        thing = torch.multinomial(SHARE, RAYS, replacement=True, generator=generator)
        flat = torch.rand(RAYS, 3, generator=generator) * SHARE[thing, None].sqrt() * torch.tensor([1.0, 1.0, 0.001])
        surface = SurfaceSamples.pack((corner[thing] + flat)[:, None].repeat(1, 2, 1), torch.ones(RAYS))
        shown = [each for each in masked if (view + each) % 5]
        views.append((surface, torch.stack([thing == each for each in shown], 1).float()))
    return views


def test_a_thing_of_a_few_pixels_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The die has a five-hundredth of the rays: one of 500 coarse cells, were they drawn evenly."""
    monkeypatch.setattr(find, "COARSE", 500)
    consensus = find_consensus(desk())
    assert consensus.tree is not None
    assert (consensus.tree.slots, consensus.tree.rest) == (4, None)
    die = consensus.groups[Cells(consensus.points).at(torch.tensor([[0.86, 0.51, 0.3], [0.88, 0.53, 0.3]]))]
    mug = consensus.groups[Cells(consensus.points).at(torch.tensor([[0.9, 0.25, 0.3]]))]
    assert die.unique().numel() == 1
    assert int(die[0]) != int(mug)


def test_points_are_drawn_evenly_over_pixels_and_over_masks() -> None:
    views = desk()
    weight = drawing_weight(views)
    points, masks = 2 * VIEWS * RAYS, sum(inside.shape[1] for _, inside in views)
    expected = []
    for _, inside in views:
        sizes = 2 * inside.sum(0)
        for ray in inside.tolist():
            of_masks = sum(float(held / size) for held, size in zip(ray, sizes) if held)
            expected += 2 * [(1 - OF_MASKS) / points + OF_MASKS * of_masks / masks]
    assert_close(weight, torch.tensor(expected))
    assert float(weight.sum()) == pytest.approx(1.0, abs=1e-4)
    on_wall = Cells.draw(views, 1000).seeds[:, 2] > 0.6
    assert float(on_wall.float().mean()) == pytest.approx((1 - OF_MASKS) * float(SHARE[WALL]) + OF_MASKS / 4, abs=0.04)


def test_views_without_masks_and_with_empty_ones_are_drawn_from_evenly() -> None:
    surface, _ = desk()[0]
    for masks in (torch.zeros(RAYS, 0), torch.zeros(RAYS, 2)):
        assert_close(drawing_weight([(surface, masks)]), torch.full((2 * RAYS,), (1 - OF_MASKS) / (2 * RAYS)))


def test_the_first_cells_are_those_of_a_smaller_draw() -> None:
    views = desk()
    assert Cells.draw(views, 300, seed=4).seeds.equal(Cells.draw(views, 900, seed=4).seeds[:300])
    assert not Cells.draw(views, 300, seed=4).seeds.equal(Cells.draw(views, 300, seed=5).seeds)


def test_the_rest_is_told_by_its_points_not_by_its_cells() -> None:
    """A wall without masks has few cells, because no mask asks for more."""
    views = desk(masked=(DESK, MUG, DIE))
    cells = Cells.draw(views, 2000)
    wall = cells.seeds[:, 2] > 0.6
    assert float(wall.float().mean()) < 0.45
    assert share(list(observe(cells, views)), wall) == pytest.approx(float(SHARE[WALL]), abs=0.02)


def shelf(view: int, part: Tensor) -> list[Tensor]:
    """A vase and the shelf that it stands on in most views, the shelf's halves in some, all three as one in others."""
    left, right, vase = (part == each for each in range(3))
    return [vase, *([left | right] if view % 4 else [left, right]), *([left | right | vase] if view % 9 < 4 else [])]


def test_a_shelf_does_not_hold_a_vase_by_what_its_own_halves_have_in_common() -> None:
    generator = torch.Generator().manual_seed(2)
    corner = torch.tensor([[0.2, 0.2, 0.3], [0.3, 0.2, 0.3], [0.7, 0.6, 0.3]])
    views = []
    for view in range(30):
        part = torch.multinomial(torch.tensor([0.45, 0.45, 0.1]), 400, replacement=True, generator=generator)
        surface = SurfaceSamples.pack(
            (corner[part] + 0.09 * torch.rand(400, 3, generator=generator))[:, None].repeat(1, 2, 1), torch.ones(400)
        )
        views.append((surface, torch.stack(shelf(view, part), 1).float()))
    cells = Cells.draw(views, 300)
    seen = list(observe(cells, views))
    part = torch.cdist(cells.seeds, corner + 0.045).argmin(1)
    tree, _ = tree_of(seen, cells, collect(seen, len(cells)), part)
    default = {tree.leaves(node) for node in tree.cut(DEFAULT)}
    assert default == {frozenset({0, 1}), frozenset({2})}
    assert frozenset({0, 1, 2}) in {tree.leaves(node) for node in tree.inner}, "a coarser cut has all three"


def test_tops_are_the_largest_wholes_and_what_lies_in_none() -> None:
    wholes = [frozenset({0, 1}), frozenset({0, 1, 2}), frozenset({4, 5})]
    assert tops(wholes, range(7)) == [frozenset({0, 1, 2}), frozenset({4, 5}), frozenset({3}), frozenset({6})]
    assert tops(wholes[:1], [0, 1, 2]) == [frozenset({0, 1}), frozenset({2})]
    assert tops([frozenset({0, 1, 2})], range(3)) == [frozenset({0, 1, 2})]
