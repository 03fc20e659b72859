"""The objects that all views agree on, and the masks explained by them: laws, loops, and a world with known objects."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from helpers import assert_close
from torch import Tensor

from disconerf_ns.discovery.cells import Cells, Observation, observe, similarity
from disconerf_ns.discovery.consensus import (
    Consensus,
    Evidence,
    Sightings,
    ViewAgreement,
    agreement,
    by_size,
    collect,
    group_weights,
    likeness,
    linkage,
    prune,
    reassign,
)
from disconerf_ns.discovery.explanation import Explanation, explain
from disconerf_ns.discovery.find import draw_cells, find_consensus
from disconerf_ns.discovery.report import ObjectReport, ViewReport, load_report, report_masks, save_report
from disconerf_ns.evaluation.metrics import labels_table, weighted_iou
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training import objective
from disconerf_ns.training.objective import MaskTargets

BALLS = torch.tensor([[0.3, 0.3, 0.3], [0.36, 0.3, 0.3], [0.7, 0.6, 0.4], [0.5, 0.7, 0.7]])
"""Middles of four balls of radius 0.03; the first two touch."""


def sample(objects: Tensor, generator: torch.Generator) -> SurfaceSamples:
    """One view's rays, each of which meets an object at two nearby points."""
    middle = BALLS[objects] + 0.03 * torch.nn.functional.normalize(torch.randn(len(objects), 3, generator=generator))
    return SurfaceSamples.pack(middle[:, None].repeat(1, 2, 1), torch.ones(len(objects)))


def one_hot(objects: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(objects, len(BALLS)).float()


def noisy_world(views: int = 24, rays: int = 300) -> list[tuple[SurfaceSamples, Tensor]]:
    """Views of the balls: a ball has no mask, two share one, one is cut in two, or all is well, in turn."""
    generator = torch.Generator().manual_seed(3)
    world = []
    for view in range(views):
        objects = torch.randint(len(BALLS), (rays,), generator=generator)
        surface, masks = sample(objects, generator), one_hot(objects)
        if view % 4 == 0:
            masks = masks[:, torch.arange(4) != (view // 4) % 4]
        elif view % 4 == 1:
            masks = torch.stack([masks[:, 0] + masks[:, 1], masks[:, 2], masks[:, 3]], 1)
        elif view % 4 == 2:
            left = (surface.positions[:, 0, 0] < BALLS[objects, 0]).float()
            masks = torch.cat([masks[:, 1:], (masks[:, 0] * left)[:, None], (masks[:, 0] * (1 - left))[:, None]], 1)
        world.append((surface, masks))
    return world


def test_similarity_is_the_jaccard_index_of_the_sets_of_masks() -> None:
    inside = torch.tensor([[1, 1, 0], [0.9, 0.2, 0], [0, 0, 0.1], [0, 1, 1], [1, 0.8, 0]])
    kind, similar, masked = similarity(inside)
    sets = [{m for m in range(3) if row[m] > 0.5} for row in inside]
    for a, b in itertools.product(range(len(sets)), repeat=2):
        expected = len(sets[a] & sets[b]) / max(len(sets[a] | sets[b]), 1)
        assert float(similar[kind[a], kind[b]]) == pytest.approx(expected)
    assert masked[kind].tolist() == [bool(s) for s in sets]


def test_observation_counts_points_per_cell() -> None:
    cells = Cells(torch.tensor([[0.1, 0.1, 0.1], [0.5, 0.5, 0.5], [0.9, 0.9, 0.9]]))
    positions = torch.tensor([[0.1, 0.1, 0.1], [0.9, 0.9, 0.88], [0.88, 0.9, 0.9], [0.5, 0.5, 0.5]])
    surface = SurfaceSamples.pack(positions[:, None].repeat(1, 2, 1), torch.tensor([1.0, 1.0, 1.0, 0.2]))
    masks = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    (seen,) = observe(cells, [(surface, masks)])
    assert seen.cells.tolist() == [0, 2]
    assert seen.weight.tolist() == [2.0, 4.0]
    assert_close(seen.inside, torch.tensor([[1.0, 0.0], [0.5, 1.0]]))


def test_a_view_without_masks_is_legal() -> None:
    seen = Observation(torch.arange(3), torch.ones(3), torch.zeros(3, 0))
    groups = torch.tensor([0, 0, 1])
    assert Sightings.of([seen], groups).like.tolist() == [0.0, 0.0]
    assert prune([seen], groups).tolist() == [-1, -1, -1]
    assert reassign([seen], groups).tolist() == [-1, -1, -1]
    assert explain(seen, groups, 2).sets.shape == (0, 2)


def test_groups_are_numbered_by_size_and_none_stays_none() -> None:
    assert by_size(torch.tensor([7, 7, -1, 3, 3, 3, 9])).tolist() == [1, 1, -1, 0, 0, 0, 2]
    assert by_size(torch.tensor([5, 2, 2])).tolist() == [1, 0, 0]


def linkage_by_loops(seen: list[Observation], cells: int, doubt: float) -> list[set[int]]:
    """Average linkage from its definition: the mean over all evidence between two groups, looked up pair by pair."""

    def mean(a: set[int], b: set[int]) -> float:
        evidence = []
        for view in seen:
            sets = {
                int(c): {m for m in range(view.inside.shape[1]) if row[m] > 0.5}
                for c, row in zip(view.cells, view.inside)
            }
            for i, j in itertools.product(a, b):
                if sets.get(i) and sets.get(j):
                    evidence.append(len(sets[i] & sets[j]) / len(sets[i] | sets[j]))
        return sum(evidence) / (len(evidence) + doubt) if len(evidence) >= 2 else -1.0

    groups = [{i} for i in range(cells)]
    while len(groups) > 1:
        value, a, b = max((mean(a, b), i, j) for (i, a), (j, b) in itertools.combinations(enumerate(groups), 2))
        if value < 0.5:
            break
        groups[a] |= groups.pop(b)
    return groups


def collect_by_loops(seen: list[Observation], cells: int) -> Evidence:
    """The evidence by its definition, pair by pair."""
    evidence = Evidence(torch.zeros(cells, cells), torch.zeros(cells, cells))
    for view in seen:
        member = view.inside > 0.5
        for (a, of_a), (b, of_b) in itertools.product(zip(view.cells, member), repeat=2):
            if of_a.any() and of_b.any():
                evidence.similar[a, b] += (of_a & of_b).sum() / (of_a | of_b).sum()
                evidence.views[a, b] += 1
    return evidence


@pytest.mark.parametrize("views", [1, 5, 70])
def test_evidence_equals_its_definition(views: int) -> None:
    generator = torch.Generator().manual_seed(views)
    seen = []
    for view in range(views):
        cells = torch.randperm(12, generator=generator)[: 1 + view % 12].sort().values
        inside = torch.rand(len(cells), view % 5, generator=generator)
        seen.append(Observation(cells, torch.ones(len(cells)), inside))
    torch.testing.assert_close(tuple(collect(seen, 12)), tuple(collect_by_loops(seen, 12)))


@pytest.mark.parametrize("doubt", [0.0, 3.0])
@pytest.mark.parametrize("seed", range(6))
def test_linkage_equals_its_definition(seed: int, doubt: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(3, (12,), generator=generator)
    seen = []
    for _ in range(7):
        cells = torch.randperm(12, generator=generator)[:9].sort().values
        inside = torch.nn.functional.one_hot(truth[cells], 3).float()
        flip = torch.rand(inside.shape, generator=generator) < 0.15
        seen.append(Observation(cells, torch.ones(9), torch.where(flip, 1 - inside, inside)))
    found = linkage(collect(seen, 12), doubt)
    groups = {frozenset(torch.nonzero(found == g)[:, 0].tolist()) for g in found.unique()}
    assert groups == {frozenset(group) for group in linkage_by_loops(seen, 12, doubt)}


def test_doubt_keeps_a_stray_cell_from_joining_objects_that_are_never_seen_together() -> None:
    one, other = torch.arange(5), torch.arange(5, 10)
    stray = torch.tensor([10])
    seen = [Observation(cells, torch.ones(5), torch.ones(5, 1)) for cells in [one, other] * 4]
    seen += [Observation(torch.cat([part[:1], stray]), torch.ones(2), torch.ones(2, 1)) for part in (one, other)] * 2
    assert len(linkage(collect(seen, 11), doubt=0.0).unique()) == 1
    careful = linkage(collect(seen, 11), doubt=3.0)
    assert careful[one].unique().tolist() != careful[other].unique().tolist()


def test_a_group_that_no_mask_shows_is_dropped() -> None:
    inside = torch.tensor([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 5)
    seen = [Observation(torch.arange(10), torch.full((10,), 2.0), inside)] * 3
    groups = torch.tensor([0, 0, 0, 0, 2, 1, 1, 1, 1, 1])
    sightings = Sightings.of(seen, groups)
    assert sightings.views.tolist() == [3.0, 3.0, 0.0] and sightings.like.tolist() == [3.0, 3.0, 0.0]
    assert sightings.affinity.tolist() == pytest.approx([2.4, 3.0, 0.0])
    assert prune(seen, groups).tolist() == [1, 1, 1, 1, -1, 0, 0, 0, 0, 0]
    assert reassign(seen, prune(seen, groups)).tolist() == [1] * 5 + [0] * 5


def seen_with(*masks: list[int], times: int) -> list[Observation]:
    """Views of the cells 0 to 19, in which each mask holds a range of them."""
    inside = torch.zeros(20, len(masks))
    for column, (first, end) in enumerate(masks):
        inside[first:end, column] = 1
    return [Observation(torch.arange(20), torch.full((20,), 2.0), inside)] * times


VASE, SHELF = [0, 5], [5, 20]


def test_an_object_whose_masks_are_joined_with_its_neighbour_s_in_most_views_is_kept() -> None:
    """Its mean affinity is 0.25 and less, so it was dropped, and its cells went to neighbours."""
    seen = seen_with(VASE, SHELF, times=3) + seen_with([0, 20], times=12)
    groups = (torch.arange(20) < 5).long()
    assert Sightings.of(seen, groups).affinity[1] / len(seen) < 0.25
    assert torch.equal(prune(seen, groups), groups)


def test_a_group_that_masks_are_only_a_little_like_is_dropped() -> None:
    """Masks that are 0.4 like it were enough."""
    seen = seen_with([0, 2], SHELF, times=15)
    groups = (torch.arange(20) < 5).long()
    assert Sightings.of(seen, groups).affinity[1] / len(seen) == pytest.approx(0.4)
    assert prune(seen, groups).tolist() == [-1] * 5 + [0] * 15


def test_an_object_that_few_views_see_needs_half_of_them() -> None:
    groups = (torch.arange(20) < 5).long()
    apart, joined = seen_with(VASE, SHELF, times=1), seen_with([0, 20], times=1)
    assert torch.equal(prune(apart, groups), groups) and torch.equal(prune(apart + joined, groups), groups)
    assert prune(apart + joined * 2, groups).tolist() == [-1] * 5 + [0] * 15


def test_objects_are_found_through_missing_joined_and_cut_masks() -> None:
    world = noisy_world()
    consensus = find_consensus(world)
    assert len(consensus) == len(BALLS)
    nearest = torch.cdist(consensus.points, BALLS).argmin(1)
    assert weighted_iou(labels_table(consensus.groups.numpy(), nearest.numpy())) > 0.97
    again = find_consensus(world)
    assert torch.equal(again.groups, consensus.groups) and torch.equal(again.points, consensus.points)


def agreed(seen: list[Observation], groups: Tensor) -> float:
    return agreement(ViewAgreement.of(view, groups) for view in seen)


def test_agreement_falls_where_objects_are_joined_cut_or_missing() -> None:
    """By hand: four cells of equal size, one mask each of the first two and the last two."""
    inside = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    seen = [Observation(torch.arange(4), torch.ones(4), inside)]
    assert agreed(seen, torch.tensor([0, 0, 1, 1])) == pytest.approx(1.0)
    assert agreed(seen, torch.tensor([0, 0, 0, 0])) == pytest.approx(2 * 0.5 / (2 + 1))
    assert agreed(seen, torch.tensor([0, 0, 1, 2])) == pytest.approx(2 * 1.5 / (2 + 3))
    assert agreed(seen, torch.tensor([0, 0, -1, -1])) == pytest.approx(2 * 1.0 / (2 + 1))


def test_groupings_are_alike_in_the_cells_that_matched_groups_share() -> None:
    one = torch.tensor([0, 0, 0, 1, 1, -1])
    assert likeness(one, one) == 1.0
    assert likeness(one, torch.tensor([1, 1, 1, 0, 0, -1])) == 1.0
    assert likeness(one, torch.tensor([0, 0, 0, 0, 0, -1])) == pytest.approx(4 / 6)
    assert likeness(one, torch.tensor([0, 0, 0, -1, -1, -1])) == pytest.approx(5 / 6)


@pytest.mark.parametrize(("same", "draws"), [(1.0, [0]), (0.99, [0, 1, 2, 3])])
def test_cells_are_drawn_again_where_doubt_makes_a_difference(
    monkeypatch: pytest.MonkeyPatch, same: float, draws: list[int]
) -> None:
    drawn = []

    def draw(views, seed):
        drawn.append(seed)
        return draw_cells(views, seed)

    monkeypatch.setattr("disconerf_ns.discovery.find.draw_cells", draw)
    monkeypatch.setattr("disconerf_ns.discovery.find.likeness", lambda *groups: same)
    find_consensus(noisy_world())
    assert drawn == draws


def test_agreement_without_masks_or_groups_is_nothing() -> None:
    blind = Observation(torch.arange(2), torch.ones(2), torch.zeros(2, 0))
    assert agreed([blind], torch.tensor([0, 0])) == 0.0
    assert agreed([blind], torch.tensor([-1, -1])) == agreed([], torch.tensor([-1, -1])) == 0.0


def test_samples_lie_between_cells_of_one_object() -> None:
    torch.manual_seed(0)
    points = torch.cat([torch.rand(60, 3) * 0.2, torch.rand(60, 3) * 0.2 + torch.tensor([0.2, 0.0, 0.0])])
    groups = (points[:, 0] > 0.2).long()
    consensus = Consensus.of(points, groups)
    distance = torch.cdist(points, points).fill_diagonal_(torch.inf)
    assert_close(consensus.neighbours.sort(1).values, distance.topk(8, largest=False).indices.sort(1).values)
    positions, objects = consensus.draw_points(4000)
    assert len(positions) == 4000 and 2000 < int((objects >= 0).sum()) < 4000
    for number in (0, 1):
        own, nearest = points[groups == number], torch.cdist(positions[objects == number], points[groups == number])
        reach = torch.cdist(own, own).fill_diagonal_(torch.inf).topk(8, largest=False).values.max()
        assert nearest.min(1).values.max() <= reach / 2 + 1e-6
    assert bool((positions[objects == 0, 0] <= 0.2).all() and (positions[objects == 1, 0] >= 0.2).all())


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_cells_have_the_neighbours_that_there_are(count: int) -> None:
    consensus = Consensus.of(torch.rand(count, 3), torch.zeros(count, dtype=torch.long))
    assert consensus.neighbours.shape == (count, 1)
    if count:
        positions, objects = consensus.draw_points(5)
        assert len(positions) == len(objects) == 5


def test_only_the_largest_objects_are_kept_where_slots_are_few() -> None:
    world = noisy_world()
    assert len(find_consensus(world, most=2)) == 2


def test_explanations_name_the_union_and_refuse_pieces() -> None:
    groups = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2])
    both, cut, stranger = [1, 1, 1, 1, 1, 1, 1, 0], [1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]
    inside = torch.tensor([both, cut, stranger]).T.float()
    found = explain(Observation(torch.arange(8), torch.ones(8), inside), groups, slots=4)
    assert found.sets.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert found.affinity.tolist() == [1.0, 0.0, 1.0]
    assert found.explained.tolist() == [True, False, True]


@pytest.mark.parametrize("seed", range(5))
def test_losses_and_gradients_equal_loops(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    slots = torch.randn(30, 5, generator=generator).softmax(-1)
    masks = (torch.rand(30, 4, generator=generator) < 0.4).float()
    sets = (torch.rand(4, 5, generator=generator) < 0.4).float()
    about = Explanation(sets, torch.tensor([0.9, 0.2, 0.5, 0.7]))
    fast, slow = slots.clone().requires_grad_(), slots.clone().requires_grad_()
    matching, positive = torch.zeros(()), torch.zeros(())
    for m in (0, 2, 3):
        union = sum(slow[:, n] for n in range(5) if sets[m, n])
        matching = matching + ((masks[:, m] - union) ** 2).sum() / 4 / 30
        others = [n for n in range(5) if not sets[m, n]]
        positive = positive + sum(((masks[:, m] * slow[:, n]) ** 2).sum() for n in others) / 4 / 30
    targets = MaskTargets(about.sets[None], about.affinity[None], about.explained[None])
    found = objective.mask_losses(fast[None], masks[None], targets, torch.tensor([4]), torch.tensor([30]))
    assert_close(found.matching, matching)
    assert_close(found.false_positive, positive)
    (found.matching + 0.3 * found.false_positive).backward()
    (matching + 0.3 * positive).backward()
    assert_close(fast.grad, slow.grad)
    assert targets.used.tolist() == sets[[0, 2, 3]].any(0).tolist()


def test_each_cell_weighs_in_the_column_of_its_group() -> None:
    view = Observation(torch.tensor([0, 2, 3]), torch.tensor([2.0, 3.0, 5.0]), torch.zeros(3, 1))
    assert group_weights(view, torch.tensor([1, 0, -1, 0]), 2).tolist() == [[0, 2], [0, 0], [5, 0]]


def test_report_has_the_worst_first(tmp_path: Path) -> None:
    whole, joined, piece = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    views = [
        Explanation(torch.stack([whole, joined]), torch.tensor([1.0, 0.5])),
        Explanation(torch.zeros(0, 3), torch.zeros(0)),
        Explanation(piece[None], torch.tensor([0.25])),
    ]
    box = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    objects = [
        SceneObject(ObjectId(i), i, "", (0.0, 0.0, 0.0), 0.3, 0.9, 3, box, box, frozenset({i}), whole=True)
        for i in range(3)
    ]
    save_report(report_masks(["a", "b", "c"], views, objects), tmp_path / "masks.json")
    report = load_report(tmp_path / "masks.json")
    assert report.views == [ViewReport("b", 0, 0, 0.0), ViewReport("c", 1, 0, 0.25), ViewReport("a", 2, 2, 0.75)]
    assert report.objects == [
        ObjectReport("object_02", 0, 0, 0.0),
        ObjectReport("object_01", 1, 1, 0.25),
        ObjectReport("object_00", 1, 1, 1.0),
    ]
