"""Scenes at every granularity: unions by hand, and names and edits that survive a change of the cut."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from helpers import alike, assert_close
from hypothesis import given
from hypothesis import strategies as st
from test_tree import trees

from disconerf_ns.discovery.objects import discover
from disconerf_ns.rendering.labels import label_pixels
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.cut import _looks, said_of_shown, shown_nodes
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import DiscoveredObject
from disconerf_ns.scene.ownership import OUTSIDE
from disconerf_ns.scene.trained import TrainedScene
from disconerf_ns.scene.tree import NEVER, ObjectTree
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.viewer.editor import Editor
from disconerf_ns.viewer.selection import Selection
from disconerf_ns.viewer.thumbnails import showing

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
CUP, SET = 5, 6
TREE = ObjectTree(5, (CUP, CUP, SET, -1, -1, SET, -1), (*[NEVER] * 5, 0.7, 0.4), rest=4)
"""A cup of two slots, 0 and 1; a set of the cup and slot 2; slot 3; the rest, slot 4."""
COARSE, DEFAULT, FINE = 0.2, 0.5, 0.8
CUTS = {COARSE: (3, 4, SET), DEFAULT: (2, 3, 4, CUP), FINE: (0, 1, 2, 3, 4)}


class Smoke:
    """A radiance field that is equally dense everywhere in a cube of side 2."""

    background, fused = torch.ones(3), False
    device = torch.device("cpu")
    contraction = Contraction(torch.tensor([[-1.0] * 3, [1.0] * 3]), None)

    def still(self):
        return nullcontext()

    def density(self, positions):
        return torch.full(positions.shape[:-1], 50.0)

    def unused(self, *_):
        raise AssertionError

    sample = densities = shade = images = depth = unused


LOGITS = torch.randn(3, 5, generator=torch.Generator().manual_seed(1)) * 6


def field(positions):
    return ((positions - 0.5) @ LOGITS).softmax(-1)


@pytest.fixture(scope="module")
def trained() -> TrainedScene:
    generator = torch.Generator().manual_seed(2)
    points = torch.rand(400, 3, generator=generator)

    def box(*slots: int):
        own = points[torch.isin(field(points).argmax(-1), torch.tensor(slots))] * 2 - 1
        return tuple((own.amin(0) * 0.8).tolist()), tuple((own.amax(0) * 0.8).tolist())

    shares = {3: 0.3, CUP: 0.25, 2: 0.2, SET: 0.45, 0: 0.15, 1: 0.1, 4: 0.25}
    discovered = [
        DiscoveredObject(node, share, 0.9, 3, **alike(box(*TREE.leaves(node)))) for node, share in shares.items()
    ]
    return TrainedScene(Smoke(), field, TREE, tuple(discovered), points, field(points).argmax(-1))


@pytest.fixture
def scene(trained: TrainedScene) -> ArrangedScene:
    return ArrangedScene(trained)


def ids(scene: ArrangedScene) -> list[int]:
    return [each.id for each in scene.objects]


@pytest.mark.parametrize("granularity", CUTS)
def test_an_object_is_the_sum_of_its_slots_where_it_is_and_was_seen(scene: ArrangedScene, granularity: float) -> None:
    """Point by point, node by node, slot by slot."""
    trained, nodes = scene.trained, CUTS[granularity]
    points = torch.rand(120, 3, generator=torch.Generator().manual_seed(3))
    expected = torch.zeros(120, len(TREE))
    slots, seen = field(points) + 1e-9, trained.seen_voxels(points)
    for row, point in enumerate(points):
        for node in nodes:
            low, high = (torch.tensor(corner) for corner in trained.by_node[node].box)
            here = bool(((low <= 2 * point - 1) & (2 * point - 1 <= high)).all())
            around = any(seen[row, slot] for slot in TREE.leaves(node))
            sum_of_slots = sum(slots[row, slot] for slot in TREE.leaves(node))
            expected[row, node] = sum_of_slots * (1 if here else OUTSIDE) * (1 if around else OUTSIDE)
    cut = scene.with_edit(Edit().at(granularity))
    assert cut.nodes == nodes
    assert_close(cut.probabilities(points), expected)
    labels = label_pixels(cut, points[:, None], torch.ones(120))
    assert torch.equal(labels.id, expected.argmax(-1))
    assert torch.equal(cut.owners(2 * points - 1), expected.argmax(-1))
    soft = cut.with_options(extraction="soft")
    assert_close(soft.owners(2 * points - 1), expected / expected.sum(-1, keepdim=True))


def test_a_union_may_rule_where_none_of_its_slots_does(scene: ArrangedScene) -> None:
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(3))
    everywhere = tuple(replace(each, **alike(((-1.0,) * 3, (1.0,) * 3))) for each in scene.trained.discovered)
    free = scene.with_trained(replace(scene.trained, discovered=everywhere, agreed_points=None, agreed_slots=None))
    coarse = free.with_edit(Edit().at(COARSE)).owners(2 * points - 1)
    in_set, finest = coarse == SET, field(points).argmax(-1)
    assert torch.isin(finest, torch.tensor([0, 1, 2])).logical_and(~in_set).sum() == 0
    assert (in_set & (finest == 3)).any()


def test_the_rest_is_nobody(scene: ArrangedScene) -> None:
    points = torch.rand(300, 1, 3, generator=torch.Generator().manual_seed(3))
    labels = label_pixels(scene, points, torch.ones(300))
    rest = labels.id == TREE.rest
    assert 10 < rest.sum() < 290
    assert (labels.confidence[rest] == 0).all() and (labels.confidence[~rest] > 0).all()
    last = scene.objects[-1]
    assert (last.name, last.label_number, last.id) == ("rest", 0, TREE.rest) and scene.counted == 3
    unlisted = tuple(each for each in scene.trained.discovered if each.node != TREE.rest)
    hidden = scene.with_trained(replace(scene.trained, discovered=unlisted))
    assert TREE.rest not in ids(hidden) and (label_pixels(hidden, points, torch.ones(300)).id[rest] == TREE.rest).all()


def test_a_number_means_the_same_object_at_every_granularity(scene: ArrangedScene) -> None:
    numbers = {node: f"object_{number:02d}" for number, node in enumerate((3, CUP, 2, SET, 0, 1))} | {4: "rest"}
    for granularity, nodes in CUTS.items():
        shown = scene.with_edit(Edit().at(granularity))
        assert {each.id: each.name for each in shown.objects} == {node: numbers[node] for node in nodes}
        assert len({each.color for each in shown.objects}) == len(nodes)
    assert [each.id for each in scene.all_objects] == [3, CUP, 2, SET, 0, 1, 4]


def test_names_and_looks_survive_other_cuts(scene: ArrangedScene) -> None:
    edit = Edit().hide(CUP).recolor(CUP, RED).rename(CUP, "cup").recolor(3, BLUE)
    fine = scene.with_edit(edit).with_edit(edit.at(FINE))
    assert fine.edit.hidden == {0, 1} and fine.edit.colors == {0: RED, 1: RED, 3: BLUE}
    assert fine.table.density[[0, 1, 2, 3, 4]].tolist() == [0, 0, 1, 1, 1]
    back = fine.with_edit(fine.edit.at(DEFAULT))
    assert back.edit == edit and back.find("cup").id == CUP


def test_an_object_whose_parts_look_different_stays_open(scene: ArrangedScene) -> None:
    fine = scene.with_edit(Edit().at(FINE).recolor(0, RED))
    for granularity in CUTS:
        assert fine.with_edit(fine.edit.at(granularity)).nodes == CUTS[FINE]
    alike = fine.edit.recolor(1, RED)
    assert fine.with_edit(alike.at(DEFAULT)).nodes == CUTS[DEFAULT]
    assert fine.with_edit(alike.at(DEFAULT)).edit.colors == {CUP: RED}
    assert fine.with_edit(alike.at(COARSE)).nodes == CUTS[DEFAULT], "the set is red in part"


def test_what_is_merged_stays_merged_at_every_cut(scene: ArrangedScene) -> None:
    edit = Edit().merge([CUP], 3).recolor(3, BLUE)
    for granularity in CUTS:
        shown = scene.with_edit(edit.at(granularity))
        assert shown.nodes == CUTS[DEFAULT] and ids(shown) == [3, 2, 4]
        assert shown.by_id[3].slots == {0, 1, 3} and shown.by_id[3].color == BLUE
    points = torch.rand(50, 3)
    apart = scene.probabilities(points)
    assert_close(scene.with_edit(edit).probabilities(points)[:, 3], apart[:, 3] + apart[:, CUP])


def test_what_is_split_stays_split_at_every_cut(scene: ArrangedScene, halves: None) -> None:
    edit = Edit().divide(CUP, 2).hide(7)
    points = torch.rand(50, 3)
    for granularity in CUTS:
        shown = scene.with_edit(edit.at(granularity))
        assert shown.nodes == CUTS[DEFAULT] and ids(shown) == [3, CUP, 2, 7, 4]
        assert shown.by_id[7].name == "object_06" and shown.by_id[7].slots == {0, 1} and not shown.by_id[7].whole
        of_parts = shown.probabilities(points)
        assert of_parts.shape == (50, 8) and shown.edit.hidden == {7}
        assert_close(of_parts[:, [CUP, 7]].sum(1), scene.probabilities(points)[:, CUP])
        assert (of_parts[:, [CUP, 7]] > 0).sum(1).max() == 1
    assert shown.parts(CUP) is scene.with_edit(edit.at(FINE)).parts(CUP)


def test_what_is_opened_is_open_at_every_cut(scene: ArrangedScene) -> None:
    assert scene.with_edit(Edit().at(COARSE).open(SET)).nodes == CUTS[DEFAULT]
    assert scene.with_edit(Edit().at(COARSE).open(CUP)).nodes == CUTS[FINE]
    assert scene.with_edit(Edit().open(SET).merge([SET], 3)).nodes == CUTS[COARSE], "merged later, so it is whole again"


def test_an_isolated_object_is_alone_at_every_cut(scene: ArrangedScene) -> None:
    alone = scene.edit.isolate([CUP], scene.ids_in_use)
    for granularity in CUTS:
        shown = scene.with_edit(alone.at(granularity))
        assert {slot for id in set(ids(shown)) - shown.edit.hidden for slot in shown.by_id[id].slots} == {0, 1}


def test_results_are_taken_over_where_the_cut_is_the_same(scene: ArrangedScene) -> None:
    occupancy = scene.bodies.occupancy(3)
    same = scene.with_edit(Edit().at(0.6).recolor(CUP, RED))
    assert same.ownership == scene.ownership and same.bodies.occupancy(3) is occupancy
    for other in (Edit().at(FINE), Edit().open(CUP), Edit().recolor(0, RED)):
        changed = scene.with_edit(other)
        assert changed.ownership != scene.ownership and changed.bodies is not scene.bodies


@given(
    trees(), st.floats(0, 1), st.floats(0, 1),
    st.sets(st.integers(0, 99)), st.dictionaries(st.integers(0, 99), st.sampled_from([RED, BLUE])),
)  # fmt: skip
def test_what_a_person_said_of_any_object_holds_for_its_slots_at_every_cut(
    columns: tuple, one: float, other: float, hidden: set[int], colors: dict
) -> None:
    tree = ObjectTree(*columns)
    of = lambda id: id % len(tree)
    edit = Edit(hidden=frozenset(map(of, hidden)), colors={of(id): rgb for id, rgb in colors.items()})
    looks = _looks(edit, tree)[: tree.slots]
    for granularity in (one, other, one):
        edit = said_of_shown(edit.at(granularity), tree)
        nodes = shown_nodes(edit, tree)
        assert _looks(edit, tree)[: tree.slots] == looks
        assert {*edit.hidden, *edit.colors} <= {*nodes} and said_of_shown(edit, tree) == edit
        assert sorted(slot for node in nodes for slot in tree.leaves(node)) == list(range(tree.slots))


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (Edit().merge([CUP], SET), "merges or splits an object and a part of it"),
        (Edit().merge([3], SET).divide(0, 2), "merges or splits an object and a part of it"),
        (Edit().open(3), "opens object 3, which has no parts"),
        (Edit().open(7), "about object 7"),
        (Edit().at(-0.1), "granularity is -0.1"),
        (Edit().merge([CUP], 3).open(CUP).divide(2, 2).hide(7), None),
    ],
)
def test_edits_that_no_scene_with_this_tree_has(edit: Edit, fault: str | None) -> None:
    assert edit.fault(TREE) is None if fault is None else fault in str(edit.fault(TREE))


def test_discovery_counts_each_node_by_its_slots() -> None:
    """Rays of slots 0 to 4: 1, 2, 4, 8 and 1 of 16; a tenth is 1.6, so slot 0 and the rest are no objects."""
    rays = torch.tensor([0, 1, 1, 2, 2, 2, 2, *[3] * 8, 4])
    places = (torch.arange(5) + 0.5) / 5

    def own(positions):
        slot = (positions[:, 0] * 5).long()
        return 0.5 * torch.eye(5)[slot] + 0.1

    points = torch.stack([places[rays], torch.full((16,), 0.5), torch.full((16,), 0.5)], -1)[:, None]
    views = [SurfaceSamples.pack(points[:4], torch.ones(4)), SurfaceSamples.pack(points[4:], torch.ones(12))]
    found = discover(own, views, lambda x: x, TREE, 0.1)
    assert [each.node for each in found] == [3, 2, CUP, SET, 1]
    assert [each.share for each in found] == pytest.approx([8 / 16, 4 / 16, 3 / 16, 7 / 16, 2 / 16])
    assert [each.confidence for each in found] == pytest.approx([0.6, 0.6, 0.7, 0.8, 0.6], abs=1e-3)
    assert [each.views for each in found] == [1, 2, 1, 2, 1]
    boxes = {each.node: each.box for each in found}
    assert boxes[SET][0][0] == boxes[CUP][0][0] < boxes[1][0][0] and boxes[SET][1][0] == boxes[2][1][0]
    assert [each.node for each in discover(own, views, lambda x: x, TREE, 0.05)] == [3, 2, CUP, SET, 1, 0, 4]
    again = discover(own, views, lambda x: x, TREE, 0.05, known=[1, SET, 3])
    assert [each.node for each in again] == [1, SET, 3, 2, CUP, 0, 4]


def test_pieces_of_the_rest_are_all_in_its_box() -> None:
    """Of an object, a piece of a twentieth is a stray."""
    points = torch.cat([torch.full((95, 1, 3), 0.2), torch.full((5, 1, 3), 0.8)])
    views = [SurfaceSamples.pack(points, torch.ones(100))]
    for rest, reach in ((0, 0.8), (None, 0.2)):
        tree = ObjectTree(1, (-1,), (NEVER,), rest=rest)
        (found,) = discover(lambda x: torch.ones(len(x), 1), views, lambda x: x, tree, 0.1)
        assert max(found.box[1]) == max(found.reach[1]) == pytest.approx(reach, abs=0.05)


# ---------------------------------------------------------------- a person's changes


@pytest.fixture
def editor(scene: ArrangedScene) -> Editor:
    editor = Editor(CurrentScene(scene))
    editor.told = []
    editor.tell = editor.told.append
    return editor


@pytest.fixture
def hand(editor: Editor) -> Selection:
    return Selection(editor)


def do(editor: Editor, wish, *arguments) -> None:
    editor.ask(wish, *arguments)
    editor.drain()


def test_dragging_the_granularity_is_one_change_and_the_selection_follows(editor: Editor, hand: Selection) -> None:
    do(editor, hand.select, [CUP])
    for granularity in (0.55, 0.6, 0.7, FINE):
        do(editor, editor.refine, granularity)
    assert ids(editor.scene) == [3, 2, 0, 1, 4] and hand.ids == (0, 1)
    do(editor, editor.undo)
    assert editor.edit == Edit() and hand.ids == (CUP,)
    do(editor, editor.redo)
    assert editor.edit == Edit().at(FINE) and hand.ids == (0, 1)
    do(editor, editor.refine, COARSE)
    assert hand.ids == (SET,)


def test_split_opens_an_object_into_its_parts_and_merging_them_closes_it(editor: Editor, hand: Selection) -> None:
    do(editor, hand.select, [CUP])
    do(editor, hand.rename, "cup")
    do(editor, hand.toggle)
    do(editor, hand.split)
    assert editor.edit == Edit().rename(CUP, "cup").hide(0, 1).open(CUP) and hand.ids == (0, 1)
    do(editor, hand.merge)
    assert editor.edit == Edit().rename(CUP, "cup").hide(CUP) and hand.ids == (CUP,)
    do(editor, editor.undo)
    do(editor, hand.select, [0])
    do(editor, hand.toggle)
    assert editor.edit.hidden == {1}, "one part of a hidden object is back"
    do(editor, editor.refine, COARSE)
    assert set(ids(editor.scene)) == {0, 1, 2, 3, 4}
    assert editor.told == []


def test_parts_that_a_person_merged_are_taken_apart_at_any_granularity(editor: Editor, hand: Selection) -> None:
    do(editor, editor.refine, FINE)
    do(editor, hand.select, [2, 0])
    do(editor, hand.merge)
    do(editor, editor.refine, COARSE)
    assert set(ids(editor.scene)) == {1, 2, 3, 4} and hand.ids == (2,)
    do(editor, hand.split)
    assert set(ids(editor.scene)) == {0, 1, 2, 3, 4} and hand.ids == (2, 0)
    do(editor, hand.isolate)
    do(editor, hand.isolate)
    assert editor.edit.hidden == frozenset() and editor.told == []


def test_a_part_is_entered_from_the_whole(editor: Editor, hand: Selection) -> None:
    do(editor, editor.refine, COARSE)
    do(editor, hand.enter, 1)
    assert editor.edit.opened == {CUP} and hand.ids == (1,) and set(ids(editor.scene)) == {0, 1, 2, 3, 4}
    do(editor, editor.undo)
    assert ids(editor.scene) == [3, SET, 4] and hand.ids == (SET,)
    do(editor, hand.enter, SET)
    assert editor.edit.opened == frozenset() and hand.ids == (SET,)


def test_slots_in_one_piece_are_told(editor: Editor, hand: Selection, halves: None) -> None:
    do(editor, hand.select, [3])
    do(editor, hand.split)
    assert editor.edit == Edit().divide(3, 2) and hand.ids == (3, len(TREE))
    do(editor, hand.split)
    assert editor.told == ["The selection is in one piece."]


@pytest.mark.parametrize("granularity", [COARSE, 0.5, FINE])
def test_every_object_of_the_tree_can_be_shown_for_its_small_picture(scene: ArrangedScene, granularity: float) -> None:
    """Rows of parts had none, nor had those beside an object in pieces of which one is coloured."""
    scene = scene.with_edit(Edit().at(granularity).divide(3, 2).recolor(len(TREE), (0.0, 0.0, 1.0)))
    for each in scene.all_objects:
        shown = showing(scene, each.id)
        assert shown.by_id[each.id].slots == each.slots and shown.table.color.shape == (shown.ids, 3, 3)
