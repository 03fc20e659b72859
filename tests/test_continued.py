"""Objects whose masks are cut elsewhere in each view are one object; those that all masks cut alike are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from disconerf_ns.discovery import continued as borders
from disconerf_ns.discovery.cells import Cells
from disconerf_ns.discovery.consensus import Consensus, Evidence
from disconerf_ns.discovery.continued import CLOSE, CONTINUED, LEAST_SEEN, at_borders, continued
from disconerf_ns.discovery.find import find_consensus
from disconerf_ns.scene.tree import DEFAULT, ObjectTree
from disconerf_ns.surface.samples import SurfaceSamples

VIEWS, RAYS = 30, 1200


def two_cloths(fold: float, ragged: float = 0.01, wholes: int = 0) -> list[tuple[SurfaceSamples, Tensor]]:
    """Views of two cloths side by side, each in three masks; folds between these lie within `fold` of fixed places.

    In the first `wholes` views, masks show each cloth as a whole too.
    """
    generator = torch.Generator().manual_seed(0)
    made = []
    for view in range(VIEWS):
        flat = torch.rand(RAYS, 3, generator=generator) * torch.tensor([0.6, 0.2, 0.001]) + 0.2
        surface = SurfaceSamples.pack(flat[:, None].repeat(1, 2, 1), torch.ones(RAYS))
        x, y, _ = surface.positions[:, 0].T
        left = y + ragged * torch.randn(RAYS, generator=generator) < 0.3
        masks = []
        for cloth in (left, ~left):
            first, second = torch.tensor([0.4, 0.6]) + fold * (2 * torch.rand(2, generator=generator) - 1)
            masks += [cloth & (x < first), cloth & (x >= first) & (x < second), cloth & (x >= second)]
            masks += [cloth] if view < wholes else []
        made.append((surface, torch.stack(masks, 1).float()))
    return made


def objects(consensus: Consensus, granularity: float = DEFAULT) -> list[set[bool]]:
    """The cloths that each object of a cut lies on."""
    assert consensus.tree is not None
    left = consensus.points[:, 1] < 0.3
    there = [torch.isin(consensus.groups, torch.tensor(sorted(consensus.tree.leaves(node))))
             for node in consensus.tree.cut(granularity)]  # fmt: skip
    return [{side for side in (True, False) if float((left[each] == side).float().mean()) > 0.05} for each in there]


def test_masks_that_end_at_other_folds_in_each_view_make_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_consensus(two_cloths(fold=0.1))
    assert sorted(objects(found), key=str) == [{False}, {True}]
    assert len(objects(found, 1.0)) > 2, "finer cuts show the pieces"
    finer = [granularity for granularity in found.tree.steps() if granularity > DEFAULT]
    steps = [len(objects(found, granularity)) for granularity in (DEFAULT, *finer)]
    assert len(steps) > 3 and min(np.diff(steps)) > 0, "one after the other, not all at once"
    monkeypatch.setattr(borders, "CONTINUED", 2.0)
    assert len(objects(find_consensus(two_cloths(fold=0.1)))) > 2, "their mean agreement alone is too small"


@pytest.mark.parametrize("wholes", [3, 9])
def test_a_whole_that_some_masks_show_is_in_the_tree_once(wholes: int) -> None:
    """Masks show it too seldom for it to be one object by them alone; it was in the tree twice, once without parts."""
    found = find_consensus(two_cloths(fold=0.1, wholes=wholes))
    tree = found.tree
    assert tree is not None and sorted(objects(found), key=str) == [{False}, {True}]
    assert ObjectTree.from_json(tree.as_json(), tree.slots) == tree
    assert len({tree.leaves(node) for node in range(len(tree))}) == len(tree)


def test_masks_that_end_at_the_same_places_in_all_views_show_objects() -> None:
    found = find_consensus(two_cloths(fold=0.01))
    assert len(objects(found)) == 6 and all(len(each) == 1 for each in objects(found))


def test_similarities_at_borders_equal_their_definition() -> None:
    generator = torch.Generator().manual_seed(1)
    cells, units = Cells(torch.rand(60, 3, generator=generator)), torch.randint(-1, 3, (60,), generator=generator)
    similar = torch.rand(60, 60, generator=generator)
    evidence = Evidence(similar + similar.T, torch.full((60, 60), 2.0))
    expected = torch.zeros(2, 3, 3)
    for one in range(60):
        nearest = (cells.seeds - cells.seeds[one]).norm(dim=-1).argsort()[1 + CLOSE // 4 : 1 + CLOSE]
        for other in nearest.tolist():
            if units[one] >= 0 and units[other] >= 0:
                for a, b in ((one, other), (other, one)):
                    expected[0, units[a], units[b]] += evidence.similar[one, other]
                    expected[1, units[a], units[b]] += 2
    for table, wanted in zip(at_borders(cells, evidence, units, 3), expected):
        torch.testing.assert_close(table, wanted)


@pytest.mark.parametrize(
    ("similar", "views", "joined"),
    [(CONTINUED + 0.01, 10.0, True), (CONTINUED - 0.01, 10.0, False), (1.0, 0.01, False)],
)
def test_units_are_joined_if_enough_views_say_so(similar: float, views: float, joined: bool) -> None:
    """Three units in a row; the last one's cells are alike with nobody's."""
    cells = Cells(torch.linspace(0, 1, 120)[:, None] * torch.tensor([1.0, 0.0, 0.0]))
    groups = torch.arange(120) // 40
    alike = (groups[:, None] < 2) & (groups < 2)
    evidence = Evidence(views * similar * alike, torch.full((120, 120), views))
    units = [frozenset([group]) for group in range(3)]
    expected = [(frozenset([0, 1]), pytest.approx(similar))] if joined else []
    assert continued(cells, evidence, groups, units) == expected
    assert LEAST_SEEN > 0.01 * 40 * CLOSE


@pytest.mark.parametrize(("strays", "joined"), [(3, False), (4, True)])
def test_a_few_stray_cells_join_nothing(strays: int, joined: bool) -> None:
    """Some cells of a unit lie far from it, in the midst of another one, and are alike with what is around them.

    A basket became one object with the lawn under its table by two such cells.
    """
    line = torch.cat([torch.linspace(0, 0.1, 40), torch.linspace(0.5, 1, 200)])
    cells = Cells(line[:, None] * torch.tensor([1.0, 0.0, 0.0]))
    groups = (torch.arange(240) >= 40).long()
    groups[140 : 140 + strays] = 0
    there = torch.arange(240) >= 40
    evidence = Evidence(10.0 * (there[:, None] & there), torch.full((240, 240), 10.0))
    units = [frozenset([0]), frozenset([1])]
    assert (continued(cells, evidence, groups, units) != []) == joined
