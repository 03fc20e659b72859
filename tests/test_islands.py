"""Islands: pieces of an object that no mask puts together with it, told from objects that are seen in two pieces."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from disconerf_ns.discovery.cells import Cells, Observation
from disconerf_ns.discovery.islands import islands, pieces

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
    piece = pieces(ROW, OBJECTS.clone().index_fill_(0, torch.arange(3), -1))
    assert piece[:3].tolist() == [-1, -1, -1]
    assert [len(piece[part].unique()) for part in (slice(3, 30), slice(30, 60), FAR)] == [1, 1, 1]
    assert len(piece.unique()) == 4


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


def test_a_mask_of_everything_joins_nothing_that_other_views_do_not() -> None:
    """By hand: 3 of 12 views join the sides, which with 2 doubtful views more is 3 of 14, under a quarter."""
    assert found(*[view(BOTH)] * 3, *[view(ONE)] * 9) == [False, False, True]
    assert found(*[view(BOTH)] * 5, *[view(ONE)] * 7) == [False, False, False]


def test_without_objects_there_are_no_islands() -> None:
    assert not islands([view()], ROW, torch.full((72,), -1)).any()
    assert not islands([view()], ROW, OBJECTS)[NEAR].any()
