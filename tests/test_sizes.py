"""Objects of every size: parts that masks show, wholes that hold together, and the rest that no mask covers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tiny_run import Run
from torch import Tensor

from disconerf_ns import object_stage
from disconerf_ns.discovery.cells import Cells, Observation
from disconerf_ns.discovery.consensus import Consensus, collect
from disconerf_ns.discovery.explanation import explain_all
from disconerf_ns.discovery.find import agreed_on, find_consensus
from disconerf_ns.discovery.nobody import beyond_border, uncovered
from disconerf_ns.discovery.parts import Inside, finest, inside_groups
from disconerf_ns.discovery.union_affinities import UnionAffinities
from disconerf_ns.discovery.unions import HOLDS, Whole, chained, coarser, nested, opens_at, tree_of
from disconerf_ns.object_stage import ObjectStage
from disconerf_ns.scene.tree import DEFAULT, ObjectTree
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training.devices import Devices

PLACES = torch.tensor([[0.2, 0.2, 0.3], [0.3, 0.2, 0.3], [0.7, 0.6, 0.3], [0.45, 0.7, 0.3]])
"""Corners of four squares: a screen, a keyboard beside it, a cup, and a sheet under nothing."""
SCREEN, KEYBOARD, CUP, SHEET = range(4)
VIEWS = 30
SPREAD = Cells(torch.rand(64, 3, generator=torch.Generator().manual_seed(0)))
"""Places of 64 cells that say nothing."""


def world(
    masks_of, views: int = VIEWS, rays: int = 400, seed: int = 0, places: Tensor = PLACES
) -> list[tuple[SurfaceSamples, Tensor]]:
    """Views of squares of side 0.09; `masks_of` gives a view's masks from its number and each ray's square."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for view in range(views):
        square = torch.randint(len(places), (rays,), generator=generator)
        flat = torch.tensor([0.09, 0.09, 0.001]) * torch.rand(rays, 3, generator=generator)
        surface = SurfaceSamples.pack((places[square] + flat)[:, None].repeat(1, 2, 1), torch.ones(rays))
        masks = masks_of(view, square, surface.positions[:, 0])
        made.append((surface, torch.stack(masks, 1).float() if masks else torch.zeros(rays, 0)))
    return made


def levels(view: int, square: Tensor, _: Tensor) -> list[Tensor]:
    """A cup, and a laptop whose whole and parts have masks in most views, as SAM's levels have."""
    laptop = (square == SCREEN) | (square == KEYBOARD)
    masks = [square == CUP]
    masks += [laptop] if view % 4 else []
    masks += [square == SCREEN] if view % 3 else []
    masks += [square == KEYBOARD] if view % 3 != 1 else []
    return masks


def groups_at(consensus, squares: int = len(PLACES)) -> list[set[int]]:
    """Slots of the consensus' points in each square."""
    square = torch.cdist(consensus.points[:, :2], PLACES[:squares, :2] + 0.045).argmin(1)
    return [set(consensus.groups[square == each].tolist()) for each in range(squares)]


def test_whole_and_parts_make_a_tree() -> None:
    consensus = find_consensus([(s, m) for s, m in world(levels)])
    tree = consensus.tree
    assert tree is not None
    screen, keyboard, cup, sheet = groups_at(consensus)
    assert [len(slots) for slots in (screen, keyboard, cup, sheet)] == [1, 1, 1, 1]
    assert len(screen | keyboard | cup) == 3
    assert sheet == {tree.rest}
    (laptop,) = tree.inner
    assert tree.leaves(laptop) == screen | keyboard
    assert set(tree.cut(DEFAULT)) == {laptop, *cup, tree.rest}
    assert set(tree.cut(1.0)) == screen | keyboard | cup | sheet
    assert tree.masks[laptop] == sum(view % 4 > 0 for view in range(VIEWS))
    assert tree.support[laptop] > 0.8
    said = "the masks of all views agree on 2 objects, of 3 parts; masks never cover the rest of the surface"
    assert agreed_on(consensus) == said


def test_random_pieces_of_an_object_are_no_parts() -> None:
    def pieces(view: int, square: Tensor, positions: Tensor) -> list[Tensor]:
        angle = torch.tensor(2.4 * view)
        side = (positions[:, 0] * angle.cos() + positions[:, 1] * angle.sin()) > float(
            (PLACES[CUP, 0] + 0.045) * angle.cos() + (PLACES[CUP, 1] + 0.045) * angle.sin()
        )
        cup = square == CUP
        return [square == SCREEN, square == KEYBOARD, square == SHEET, *([cup] if view % 2 else []), cup & side]

    tree = find_consensus(world(pieces)).tree
    assert tree is not None
    assert (tree.slots, len(tree.inner), tree.rest) == (4, 0, None)


def test_what_is_never_covered_is_the_rest_and_explains_nothing() -> None:
    views = world(lambda view, square, _: [square == SCREEN, square == CUP])
    consensus = find_consensus(views)
    tree = consensus.tree
    assert tree is not None
    assert tree.rest == tree.slots - 1 == 2
    assert groups_at(consensus)[KEYBOARD] == groups_at(consensus)[SHEET] == {tree.rest}
    for explanation in explain_all(views, consensus, tree.slots):
        assert explanation.sets[:, tree.rest].sum() == 0
        assert explanation.explained.all()


def test_what_masks_put_to_an_object_now_and_then_is_no_island_of_it() -> None:
    """A corner of the sheet that nobody owns lies in the masks of three other squares, a sixth of the views each."""

    def corner(positions: Tensor) -> Tensor:
        return ((positions[:, :2] - PLACES[SHEET, :2]) < 0.03).all(1)

    def spilling(view: int, square: Tensor, positions: Tensor) -> list[Tensor]:
        masks = [square == each for each in (SCREEN, KEYBOARD, CUP)]
        if view % 2 == 0:
            masks[view // 2 % 3] |= (square == SHEET) & corner(positions)
        return masks

    consensus = find_consensus(world(spilling, rays=1600))
    tree = consensus.tree
    assert tree is not None
    sheet = torch.cdist(consensus.points[:, :2], PLACES[:, :2] + 0.045).argmin(1) == SHEET
    stray = sheet & corner(consensus.points)
    assert int(stray.sum()) > 30
    assert float((consensus.groups[stray] == tree.rest).float().mean()) > 0.9, "a seventh with islands"
    assert bool((consensus.groups[sheet & ~stray] == tree.rest).all())
    assert all(tree.rest not in slots for slots in groups_at(consensus)[:SHEET])


def test_masks_missing_now_and_then_leave_no_rest() -> None:
    views = world(lambda view, square, _: [square == each for each in range(4) if (view + each) % 3])
    tree = find_consensus(views).tree
    assert tree is not None
    assert (tree.slots, tree.rest) == (4, None)


@pytest.mark.parametrize("most", [2, 3])
def test_slots_that_are_few_hold_the_largest_objects_and_the_rest(most: int) -> None:
    tree = find_consensus(world(levels), most=most).tree
    assert tree is not None
    assert (tree.slots, tree.rest) == (most, most - 1)


def test_without_masks_there_are_no_objects() -> None:
    nothing = find_consensus(world(lambda *_: [], views=4))
    assert (len(nothing), agreed_on(nothing)) == (0, "the masks of all views agree on no object")


@pytest.mark.parametrize(("rays", "opaque"), [(400, False), (3, True)])
def test_where_hardly_any_ray_has_a_surface_there_are_no_objects(rays: int, opaque: bool) -> None:
    """An empty radiance field, and so few rays that 16 points a cell leave no cell."""
    views = [(SurfaceSamples.pack(torch.rand(rays, 2, 3), torch.full((rays,), float(opaque))), torch.ones(rays, 1))]
    for most in (None, 2):
        assert len(find_consensus(2 * views, most)) == 0


@pytest.mark.parametrize(
    ("fault", "said_of_it"),
    [(None, "because the masks do not agree"), ("the surfaces do not fit", "because the surfaces do not fit")],
)
def test_the_log_counts_objects_not_the_slots_of_the_model(
    monkeypatch: pytest.MonkeyPatch, fault: str | None, said_of_it: str
) -> None:
    """Where masks agree on nothing, the model keeps a slot for each of twice the most masks, in a flat tree."""
    nothing = Consensus.of(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    said = []
    monkeypatch.setattr("disconerf_ns.object_stage.find_consensus", lambda *_: nothing)
    monkeypatch.setattr("disconerf_ns.object_stage.CONSOLE", SimpleNamespace(log=said.append))
    field = torch.nn.Module()
    field.slots = 8
    model = SimpleNamespace(
        object_field=field, consensus_points=nothing.points, slots_by_masks=True,
        agree_on=lambda _: None, consensus=replace(nothing, tree=ObjectTree.flat(8)),
    )  # fmt: skip
    stage = SimpleNamespace(
        config=SimpleNamespace(consensus_rays=1),
        model=model,
        _thinned_views=lambda _: [],
        check_slots=lambda: None,
        devices=Devices(),
        _why_not_the_masks=lambda: fault,
    )
    assert ObjectStage.explain_masks(stage) == []
    assert said[0] == "consensus: the masks of all views agree on no object" and "view by view" in said[1]
    assert said[1].endswith(said_of_it)


def test_coverage_counts_views_and_a_little_the_neighbours() -> None:
    cells = Cells(torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.2, 0.0, 0.0]]))
    masked, bare = torch.ones(1, 1), torch.zeros(1, 1)
    first = [Observation(torch.tensor([0]), torch.ones(1), masked) for _ in range(8)]
    second = [Observation(torch.tensor([1]), torch.ones(1), bare) for _ in range(2)]
    assert uncovered([*first, *second], cells).tolist() == [False, False, False], "two views say little"
    assert uncovered([*first, *second * 6], cells).tolist() == [False, True, False]


def test_seldom_covered_cells_are_beyond_the_border_if_the_rest_reaches_them() -> None:
    """Cells in a row, 20 of an object and 20 of the rest; the object's are covered in 0.517 of the views."""
    cells = Cells(torch.tensor([[0.02 * i, 0.0, 0.0] for i in range(40)]))
    slots = torch.arange(40) // 20
    covered = torch.cat([torch.full((16,), 0.6), torch.tensor([0.4, 0.4, 0.24, 0.2]), torch.full((20,), 0.1)])
    covered[2] = 0.1
    assert beyond_border(covered, cells, slots, rest=1).nonzero()[:, 0].tolist() == [18, 19], "2 is inside"


def test_the_consensus_does_not_push_an_object_to_where_a_quarter_of_its_masks_reach() -> None:
    """Masks of a board's left half end up to 0.1 left or right of its middle, evenly: a quarter of them beyond 0.55."""
    generator = torch.Generator().manual_seed(0)
    views = []
    for view in range(VIEWS):
        points = torch.tensor([1.0, 0.3, 0.001]) * torch.rand(1000, 3, generator=generator)
        surface = SurfaceSamples.pack(points[:, None].repeat(1, 2, 1), torch.ones(1000))
        end = 0.5 + 0.1 * (2 * (7 * view % VIEWS + 0.5) / VIEWS - 1)
        views.append((surface, (points[:, :1] < end).float()))
    consensus = find_consensus(views)
    assert consensus.tree is not None
    rest, beyond = consensus.groups == consensus.tree.rest, consensus.points[:, 0] > 0.5
    assert float((beyond & ~rest).float().mean() - (~beyond & rest).float().mean()) < 0.025


def test_masks_inside_a_group_are_seen_from_its_cells_alone() -> None:
    inside = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 1]]).float()
    view = Observation(torch.tensor([1, 2, 3, 5]), torch.full((4,), 20.0), inside)
    (found,) = inside_groups([view], torch.tensor([-1, 0, 0, 1, -1, 0]), [0])[0].inner
    assert found.cells.tolist() == [0, 1, 2]
    assert found.inside.tolist() == [[1], [0], [1]], "the first mask is the whole group, the third lies half outside"
    alone = inside_groups([view], torch.tensor([-1, 0, 0, 1, -1, 0]), [1])
    assert alone == {1: Inside([view], [])}


def observed(masks_of, seed: int = 0) -> tuple[list[Observation], Tensor]:
    """The squares as one cell for each sixteenth, seen by all views, and the square of each cell."""
    square = torch.arange(4).repeat_interleave(16)
    return [
        Observation(torch.arange(64), torch.full((64,), 10.0), torch.stack(masks_of(view, square, square), 1).float())
        for view in range(VIEWS)
    ], square


def test_parts_are_divided_again() -> None:
    half = torch.arange(64) % 16 < 8

    def nested_levels(view: int, square: Tensor, _: Tensor) -> list[Tensor]:
        return [*levels(view, square, _), (square == SCREEN) & half, (square == SCREEN) & ~half]

    seen, square = observed(nested_levels)
    whole = torch.where(square == KEYBOARD, 0, torch.where(square == SHEET, -1, (square == CUP).long()))
    parts, divided = finest(seen, whole)
    assert len(parts.unique()) == 5
    assert (parts[square == SHEET] == -1).all()
    of = lambda chosen: frozenset(parts[chosen].unique().tolist())
    assert divided == [of((square == SCREEN) | (square == KEYBOARD))]
    tree, _ = tree_of(seen, SPREAD, collect(seen, 64), parts, divided)
    screen, laptop = tree.inner
    assert tree.parent[screen] == laptop
    assert tree.leaves(screen) == of(square == SCREEN)


def test_a_wall_around_a_room_is_one_object_though_no_view_sees_all_of_it() -> None:
    """Each view sees two neighbouring sides of four, with a mask of each and one of both."""

    def sides(view: int) -> Observation:
        side = torch.arange(2).add(view).remainder(4).repeat_interleave(16)
        cells = 16 * side + torch.arange(16).repeat(2)
        masks = [torch.ones(32), *(side == each for each in side.unique())]
        order = cells.argsort()
        return Observation(cells[order], torch.full((32,), 10.0), torch.stack(masks, 1).float()[order])

    seen = [sides(view) for view in range(16)]
    tree, continued = tree_of(seen, SPREAD, collect(seen, 64), torch.arange(4).repeat_interleave(16))
    assert continued == () and tree.cut(DEFAULT) == (len(tree) - 1,)
    assert tree.leaves(len(tree) - 1) == frozenset(range(4))
    assert tree.masks[-1] == 16
    assert chained([frozenset({0, 1}), frozenset({1, 2}), frozenset({1})]) == {frozenset({0, 1, 2})}


def test_coarser_cuts_join_what_masks_put_together_now_and_then() -> None:
    """A pair that masks show, two groups that they join less and less, and one that they never do."""
    similar = torch.tensor([[0, 8, 4, 1, 0], [8, 0, 2, 0, 0], [4, 2, 0, 2, 0], [1, 0, 2, 0, 0], [0.0] * 5])
    views = torch.full((5, 5), 10.0)
    pair = Whole(frozenset({0, 1}), 0.7)
    joint = torch.full((5, 5), 9.0)
    assert coarser((similar, views), joint, [pair], 5) == [frozenset({0, 1, 2}), frozenset({0, 1, 2, 3})]
    assert coarser((similar, views), joint, [pair, Whole(frozenset({0, 1, 2, 3}), 0.5)], 5) == []
    assert coarser((similar, views), torch.eye(5), [pair], 5) == [], "borders alone join nothing"


def test_shown_equals_loops() -> None:
    generator = torch.Generator().manual_seed(1)
    seen = []
    for count in (3, 0, 2):
        cells = torch.randperm(20, generator=generator)[:14].sort().values
        weight = torch.randint(1, 9, (14,), generator=generator).float()
        seen.append(Observation(cells, weight, torch.rand(14, count, generator=generator)))
    groups = torch.randint(-1, 3, (20,), generator=generator)
    unions = torch.tensor([[True, False, True], [False, True, True], [False, False, False]])
    shown = UnionAffinities(seen, groups, unions)
    for v, view in enumerate(seen):
        for u in range(3):
            own = [i for i, cell in enumerate(view.cells) if groups[cell] >= 0 and unions[groups[cell], u]]
            size = sum(float(view.weight[i]) for i in own)
            assert float(shown.size[v, u]) == pytest.approx(size)
            for m in range(view.inside.shape[1]):
                both = sum(float(view.weight[i] * view.inside[i, m]) for i in own)
                area = float((view.weight * view.inside[:, m]).sum())
                assert float(shown.affinity[v][m, u]) == pytest.approx(both / (area + size - both), abs=1e-6)
        best = shown.affinity[v].amax(0) if view.inside.shape[1] else torch.zeros(3)
        assert shown.best[v].tolist() == pytest.approx(best.tolist())


def test_wholes_nest_and_open_from_the_least_firm_to_the_firmest() -> None:
    wholes = [Whole(frozenset({0, 1, 2}), 0.9), Whole(frozenset({0, 1}), 0.3), Whole(frozenset({3, 4}), 0.2)]
    tree = nested(6, wholes, [0.0] * 9, [0] * 9)
    pair, other, triple = tree.inner
    assert (tree.parent[pair], tree.parent[2], tree.parent[other], tree.parent[5]) == (triple, triple, -1, -1)
    assert tree.opens[pair] == tree.opens[triple] > DEFAULT > tree.opens[other]
    assert tree.cut(0.0) == (5, other, triple)
    assert tree.cut(DEFAULT) == (3, 4, 5, triple)
    assert tree.cut(1.0) == tuple(range(6))


def test_the_default_cut_opens_what_does_not_hold() -> None:
    assert opens_at(HOLDS) > DEFAULT >= opens_at(HOLDS - 1e-3)
    values = [opens_at(each / 50) for each in range(51)]
    assert values == sorted(values)
    assert 0 < values[0] < values[-1] == 1


def test_masks_are_explained_by_many_rays_of_a_view_however_few_each_has_in_the_search(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 2,000 views, each had 250 rays, and a mask had one or two of them."""
    stage = run.trainer.pipeline.object_stage
    explained = stage.explain_masks()
    monkeypatch.setattr(stage.config, "consensus_rays", len(explained))
    for before, after in zip(explained, stage.explain_masks(), strict=True):
        assert torch.equal(before.sets, after.sets) and torch.equal(before.affinity, after.affinity)
    monkeypatch.setattr(object_stage, "EXPLAINING_RAYS", 1)
    few = stage.explain_masks()
    assert any(not torch.equal(before.sets, after.sets) for before, after in zip(explained, few, strict=True))
