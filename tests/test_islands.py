"""Islands: pieces of an object that no mask puts together with it, told from objects that are seen in two pieces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from disconerf_ns.discovery.cells import Cells, Observation
from disconerf_ns.discovery.consensus import LEAST_CELLS
from disconerf_ns.discovery.grouping import fallen_apart
from disconerf_ns.discovery.islands import islands, pieces, without_islands

TABLE, BOX = 0, 1
OBJECTS = torch.tensor([TABLE] * 30 + [BOX] * 30 + [TABLE] * 12)
"""A row of cells: a table, a box on it, and what lies on the other side of the box."""
ROW = Cells(torch.stack([torch.linspace(0.1, 0.9, 72), torch.full((72,), 0.5), torch.full((72,), 0.5)], 1))
NEAR, FAR = slice(0, 30), slice(60, 72)


def view(*masks: Tensor, hidden: slice = slice(0)) -> Observation:
    """A view of all cells but some hidden ones, with the masks of it."""
    shown = torch.ones(72, dtype=torch.bool)
    shown[hidden] = False
    inside = torch.stack([mask.float() for mask in masks], 1) if masks else torch.zeros(72, 0)
    return Observation(shown.nonzero()[:, 0], torch.ones(int(shown.sum())), inside[shown])


def mask(*ranges: slice) -> Tensor:
    held = torch.zeros(72, dtype=torch.bool)
    for each in ranges:
        held[each] = True
    return held


BOTH, ONE, OTHER = mask(NEAR, FAR), mask(NEAR), mask(FAR)


def found(*seen: Observation) -> list[bool]:
    """Whether the table on the near side, the box, and the table on the far side are islands."""
    alone = islands(seen, ROW, OBJECTS)
    return [bool(alone[part].float().mean() > 0.5) for part in (NEAR, slice(30, 60), FAR)]


def test_cells_of_an_object_fall_into_pieces_of_neighbours() -> None:
    piece, of = pieces(ROW, OBJECTS.clone().index_fill_(0, torch.arange(3), -1))
    assert piece.tolist() == [-1] * 3 + [0] * 27 + [1] * 30 + [2] * 12
    assert of.tolist() == [TABLE, BOX, TABLE]


@pytest.mark.parametrize(
    ("seen", "island"),
    [
        ([view(BOTH)] * 12, False),  # every mask joins the two sides
        ([view(ONE, OTHER)] * 6 + [view(BOTH)] * 6, False),  # masks cut the table now and then
        ([view(ONE)] * 12, True),  # nothing ever holds the far side
        ([view(ONE, OTHER)] * 12, True),  # the far side is an object of its own
        ([view(ONE)] * 11 + [view(BOTH)], True),  # one mask is no evidence
        ([view(OTHER, hidden=NEAR), view(ONE, hidden=FAR)] * 6, False),  # one side always hides the other
        ([view(OTHER, hidden=NEAR)] * 6 + [view(BOTH)] * 6, False),  # views that see one side say nothing
    ],
)
def test_an_island_is_a_piece_that_masks_do_not_join_with_its_object(seen: list[Observation], island: bool) -> None:
    assert found(*seen) == [False, False, island]


def test_half_of_the_views_that_show_both_pieces_decide() -> None:
    assert found(*[view(BOTH)] * 5, *[view(ONE)] * 6) == [False, False, True]
    assert found(*[view(BOTH)] * 5, *[view(ONE)] * 5) == [False, False, False]
    assert found(*[view(BOTH)] * 5, *[view(ONE)] * 5, *[view(OTHER, hidden=NEAR)] * 9) == [False, False, False]


@pytest.mark.parametrize(("size", "island"), [(3, True), (4, False)])
def test_a_piece_of_few_cells_is_an_island_whatever_masks_say(size: int, island: bool) -> None:
    objects = OBJECTS.clone()
    objects[60 + size :] = BOX
    joining = view(mask(NEAR, slice(60, 60 + size)))
    assert islands([joining] * 4, ROW, objects)[60 : 60 + size].tolist() == [island] * size
    assert not islands([joining] * 4, ROW, objects)[:60].any()


@pytest.mark.parametrize("around", [1, 2, -1])
def test_an_island_has_the_slot_of_what_surrounds_it(around: int) -> None:
    """Slot 0 is the table's, slot 1 the box's, slot 2 the rest's; -1 is none. Two cells among others are strays."""
    slots = torch.tensor([0] * 30 + [around] * 42)
    slots[50:52] = 0
    expected = slots.clone()
    expected[50:52] = around
    owner = torch.tensor([TABLE, BOX, -1])
    assert torch.equal(without_islands([view(ONE)] * 4, ROW, slots, owner), expected)


def test_parts_of_one_object_are_one_piece() -> None:
    """The far side is another slot of the table, next to it: neither is an island of the other."""
    slots = torch.tensor([0] * 30 + [1] * 3 + [0] * 39)
    seen = [view(mask(slice(0, 72)))] * 4
    assert torch.equal(without_islands(seen, ROW, slots, torch.tensor([5, 5])), slots)
    assert without_islands(seen, ROW, slots, torch.tensor([5, 6])).unique().tolist() == [0, 1]


def test_without_objects_there_are_no_islands() -> None:
    nobody = torch.full((72,), -1)
    assert not islands([view()], ROW, nobody).any()
    assert torch.equal(without_islands([view()], ROW, nobody, torch.tensor([-1])), nobody)


@pytest.mark.parametrize(
    ("seen", "groups"),
    [
        ([view(ONE, OTHER)] * 12, 3),  # the far side is an object of its own
        ([view(BOTH)] * 12, 2),  # masks join the two sides
        ([view(OTHER, hidden=NEAR), view(ONE, hidden=FAR)] * 6, 3),  # no view shows both, nor that they are one
        ([view(OTHER, hidden=NEAR)] * 6 + [view(BOTH)] * 6, 2),  # a view that shows one side says nothing
    ],
)
def test_a_group_falls_apart_where_no_mask_joins_its_pieces(seen: list[Observation], groups: int) -> None:
    found = fallen_apart(seen, ROW, OBJECTS)
    assert int(found.max()) + 1 == groups
    assert bool(found[FAR].unique() == found[NEAR].unique()) == (groups == 2)


def test_what_falls_off_a_group_is_larger_than_a_crumb() -> None:
    few = OBJECTS.clone()
    few[60:] = -1
    few[60 : 60 + LEAST_CELLS - 1] = TABLE
    assert torch.equal(fallen_apart([view(ONE, OTHER)] * 12, ROW, few), few)


def test_a_view_that_shows_a_few_stray_cells_of_a_piece_joins_nothing() -> None:
    """Rays that pass beside a table in another room end in cells of it, inside the mask of something else."""
    strays = slice(0, 6)
    stray = view(mask(strays, FAR), hidden=slice(6, 30))
    seen = [replace(stray, weight=2 * stray.weight)] * 6 + [view(ONE, hidden=FAR)] * 6
    assert int(fallen_apart(seen, ROW, OBJECTS).max()) + 1 == 3


PARTS = slice(0, 25), slice(30, 42), slice(48, 72)
THREE = torch.tensor([TABLE] * 25 + [BOX] * 5 + [TABLE] * 12 + [BOX] * 6 + [TABLE] * 24)
"""A table in three parts, between which boxes stand."""


@pytest.mark.parametrize(
    ("held", "groups"),
    [
        ([(0, 1), (1, 2)], [0, 0, 0]),  # the outer parts hold together through the middle one
        ([(1, 2)], [0, 1, 1]),  # two parts fall off together
        ([], [0, 1, 2]),
    ],
)
def test_pieces_hold_together_through_others(held: list[tuple[int, int]], groups: list[int]) -> None:
    boxes = mask(slice(25, 30), slice(42, 48))
    seen = [view(boxes, mask(*(PARTS[part] for part in pair)), hidden=PARTS[3 - sum(pair)]) for pair in held] * 6
    seen += [view(boxes, *(mask(part) for part in PARTS))] if not held else []
    found = fallen_apart(seen, ROW, THREE)
    of_parts = [int(found[part].unique()) for part in PARTS]
    assert [of_parts.index(each) for each in of_parts] == [groups.index(each) for each in groups]
