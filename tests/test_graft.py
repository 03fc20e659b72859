"""Groups of other groupings, taken over where the masks agree more with them."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from disconerf_ns.discovery.cells import Cells, Observation
from disconerf_ns.discovery.consensus import Evidence, ViewAgreement, agreement
from disconerf_ns.discovery.find import best_of
from disconerf_ns.discovery.graft import LEAST_GAIN, NEARLY, grafted, scions
from disconerf_ns.discovery.grouping import Grouping

CELLS = Cells(torch.stack([torch.linspace(0.1, 0.9, 60), torch.full((60,), 0.5), torch.full((60,), 0.5)], 1))
TRUE = torch.arange(60) // 20
"""A sofa, a table and a chair in a row."""
JOINED, CUT = TRUE.clamp(max=1), torch.where(torch.arange(60) < 10, 3, TRUE)
"""Two wrong groupings: table and chair are one, and the sofa is two."""


def view(true: Tensor, wrong: bool = False) -> Observation:
    """A view of all cells with a mask of each object; one with an error joins all of them."""
    masks = torch.nn.functional.one_hot(true.clamp(max=0) if wrong else true).float()
    return Observation(torch.arange(60), torch.ones(60), masks)


SEEN = [view(TRUE)] * 5 + [view(TRUE, wrong=True)]


def grouping(groups: Tensor, similarity: float = 0.0) -> Grouping:
    """A grouping of cells that all six views see, any two of them as similar as it is said."""
    evidence = Evidence(torch.full((60, 60), 6 * similarity), torch.full((60, 60), 6.0))
    return Grouping(agreed(groups), CELLS, SEEN, evidence, groups)


def agreed(groups: Tensor) -> float:
    return agreement(ViewAgreement.of(view, groups) for view in SEEN)


def mended(*groupings: Grouping) -> Grouping:
    return grafted(*best_of(groupings))


def same(groups: Tensor, others: Tensor) -> bool:
    """Whether two groupings differ in their numbers at most."""
    pairs = torch.stack([groups, others], 1).unique(dim=0)
    return len(pairs) == len(groups.unique()) == len(others.unique())


@pytest.mark.parametrize("best", [JOINED, CUT])
def test_what_another_grouping_knows_better_is_taken_over(best: Tensor) -> None:
    other = JOINED if best is CUT else CUT
    found = mended(grouping(other)._replace(agreement=0.0), grouping(best))
    assert same(found.groups, TRUE)
    assert found.agreement == agreed(TRUE) > max(agreed(JOINED), agreed(CUT))


def test_nothing_is_taken_over_that_masks_do_not_agree_more_with() -> None:
    assert torch.equal(mended(grouping(TRUE), grouping(JOINED), grouping(CUT)).groups, TRUE)


@pytest.mark.parametrize(("gain", "known"), [(LEAST_GAIN / 2, JOINED), (2 * LEAST_GAIN, TRUE)])
def test_a_gain_that_noise_could_make_is_none(gain: float, known: Tensor) -> None:
    stock = grouping(JOINED)._replace(agreement=agreed(TRUE) - gain)
    assert same(mended(stock, grouping(TRUE)._replace(agreement=0.0)).groups, known)


def test_groups_of_another_draw_are_looked_up_by_place() -> None:
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    other = grouping(TRUE)._replace(draw=Cells(CELLS.seeds[order]), groups=TRUE[order], agreement=0.0)
    assert same(mended(grouping(JOINED), other).groups, TRUE)


def test_an_object_that_several_groupings_have_is_tried_once() -> None:
    tried = list(scions(grouping(JOINED), [each.grouped for each in (grouping(TRUE), grouping(TRUE), grouping(CUT))]))
    assert [cells.nonzero()[:, 0].tolist() for cells in tried] == [
        list(range(20, 40)),
        list(range(40, 60)),
        list(range(10, 20)),
        list(range(10)),
    ]
    assert not list(scions(grouping(TRUE), [grouping(TRUE).grouped]))


@pytest.mark.parametrize(("similarity", "known"), [(NEARLY + 0.01, TRUE), (NEARLY - 0.01, CUT)])
def test_groups_that_were_nearly_merged_are_tried_as_one(similarity: float, known: Tensor) -> None:
    """Both halves of the sofa are joined; that all other pairs are as similar joins nothing against the masks."""
    assert same(mended(grouping(CUT, similarity)).groups, known)


def test_only_the_best_draws_evidence_stays_in_memory() -> None:
    """Evidence is two numbers for every pair of cells; training/memory_estimate.py counts it for two draws."""
    held = []

    def draws() -> Iterator[Grouping]:
        for groups in (CUT, TRUE, JOINED):
            drawn = grouping(groups)
            held.append(weakref.ref(drawn.evidence.similar))
            yield drawn

    best, every = best_of(draws())
    assert [evidence() is not None for evidence in held] == [False, True, False]
    assert best.evidence.similar is held[1]() and len(every) == 3


def test_things_that_no_view_shows_together_are_not_tried_as_one() -> None:
    """A mask of the sofa holds two stray cells of the chair, which the sofa hides, so it is most like both together."""
    sofa = Observation(torch.arange(42), torch.ones(42), torch.nn.functional.one_hot(TRUE[:42] % 2).float())
    chair = Observation(torch.arange(20, 60), torch.ones(40), torch.nn.functional.one_hot(TRUE[20:] - 1).float())
    seen, both = [sofa, chair] * 3, torch.where(TRUE == 2, 0, TRUE)
    alone, joined = (agreement(ViewAgreement.of(view, groups) for view in seen) for groups in (TRUE, both))
    assert joined > alone + LEAST_GAIN
    stock = grouping(TRUE, NEARLY + 0.01)._replace(seen=seen, agreement=alone)
    assert torch.equal(grafted(stock, [stock.grouped]).groups, TRUE)
