"""Groups that at least half of several groupings have."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from disconerf_ns.discovery.cells import Cells, Observation
from disconerf_ns.discovery.consensus import Evidence, ViewAgreement, agreement
from disconerf_ns.discovery.graft import grafted
from disconerf_ns.discovery.grouping import Grouping
from disconerf_ns.discovery.majority import majority, votes

CELLS = Cells(torch.stack([torch.linspace(0.1, 0.9, 60), torch.full((60,), 0.5), torch.full((60,), 0.5)], 1))
TRUE = torch.arange(60) // 20
"""A sofa, a table and a chair in a row."""
JOINED, CUT = TRUE.clamp(max=1), torch.where(torch.arange(60) < 10, 3, TRUE)
"""Two wrong groupings: table and chair are one, and the sofa is two."""
SEEN = [Observation(torch.arange(60), torch.ones(60), torch.nn.functional.one_hot(TRUE).float())] * 3


def grouping(groups: Tensor, agreement: float = 0.0) -> Grouping:
    return Grouping(agreement, CELLS, SEEN, Evidence(*torch.zeros(2, 60, 60)), groups)


def found(stock: Tensor, *others: Tensor) -> Tensor:
    """Groups of the majority, numbered as they come along the row."""
    every = [grouping(each).grouped for each in (stock, *others)]
    groups = majority(grouping(stock), every).groups
    return groups.unique(return_inverse=True)[1] if (groups >= 0).all() else groups


@pytest.mark.parametrize("stock", [JOINED, CUT, TRUE])
def test_each_object_is_as_most_groupings_have_it(stock: Tensor) -> None:
    """No two of the wrong ones are wrong about the same object."""
    groups = found(stock, *(each for each in (JOINED, CUT, TRUE) if each is not stock))
    pairs = torch.stack([groups, TRUE], 1).unique(dim=0)
    assert len(pairs) == 3


def test_the_grouping_that_agrees_most_is_outvoted() -> None:
    """Grafts alone leave it as it is where its agreement is largest."""
    best, right = grouping(JOINED, agreement=1.0), grouping(TRUE).grouped
    every = [best.grouped, right, right]
    assert torch.equal(grafted(best, every).groups, JOINED)
    assert len(torch.stack([majority(best, every).groups, TRUE], 1).unique(dim=0)) == 3


def test_votes_do_not_hang_on_what_masks_agree_with() -> None:
    """Bad masks agree most with a wrong grouping, and grafts do not mend it: they ask the same masks."""
    bad = [Observation(torch.arange(60), torch.ones(60), torch.nn.functional.one_hot(JOINED).float())] * 3
    agreed = {each: agreement(ViewAgreement.of(view, each) for view in bad) for each in (JOINED, TRUE)}
    best = Grouping(agreed[JOINED], CELLS, bad, Evidence(*torch.zeros(2, 60, 60)), JOINED)
    right = best._replace(agreement=agreed[TRUE], groups=TRUE).grouped
    every = [best.grouped, right, right]
    assert agreed[JOINED] > agreed[TRUE]
    assert len(grafted(best, every).groups.unique()) == 2
    both = votes(best, every)
    assert both[20, 40] == 1 and both[20, 30] == 3


def test_groups_of_other_draws_are_looked_up_by_place_and_cells_without_a_group_vote_against() -> None:
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    other = grouping(TRUE)._replace(draw=Cells(CELLS.seeds[order]), groups=TRUE[order]).grouped
    nobody = grouping(torch.full((60,), -1)).grouped
    expected = (TRUE[:, None] == TRUE).float()
    assert torch.equal(votes(grouping(TRUE), [other]), expected)
    assert torch.equal(votes(grouping(TRUE), [other, other, nobody]), 2 * expected)


def test_its_agreement_is_that_of_its_groups() -> None:
    every = [grouping(TRUE).grouped] * 2
    assert majority(grouping(JOINED), every).agreement == agreement(ViewAgreement.of(view, TRUE) for view in SEEN)
