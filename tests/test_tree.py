"""The tree of objects: cuts divide the slots, finer ones divide coarser ones, and files keep it."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disconerf_ns.scene.tree import DEFAULT, NEVER, ObjectTree


@st.composite
def trees(draw: st.DrawFn) -> tuple:
    """What a tree is made of. Nodes without a parent are joined, a few at a time; what is joined later is no finer."""
    slots = draw(st.integers(1, 8))
    rest = draw(st.none() | st.integers(0, slots - 1))
    parent, opens = [-1] * slots, [NEVER] * slots
    roots = [slot for slot in range(slots) if slot != rest]
    for step in sorted(draw(st.lists(st.integers(1, 20), max_size=6)), reverse=True):
        if len(roots) < 2:
            break
        joined = draw(st.lists(st.sampled_from(roots), min_size=2, unique=True))
        for node in joined:
            parent[node] = len(parent)
        roots = [node for node in roots if node not in joined] + [len(parent)]
        parent.append(-1)
        opens.append(step / 20)
    support = draw(st.lists(st.floats(0, 1), min_size=len(parent), max_size=len(parent)))
    masks = draw(st.lists(st.integers(0, 99), min_size=len(parent), max_size=len(parent)))
    return (slots, tuple(parent), tuple(opens), tuple(support), tuple(masks), rest)


def nodes(tree: ObjectTree) -> st.SearchStrategy[set[int]]:
    return st.sets(st.sampled_from(range(len(tree))))


@given(st.data(), trees(), st.floats(0, 1))
def test_every_cut_divides_the_slots(data: st.DataObject, columns: tuple, granularity: float) -> None:
    tree = ObjectTree(*columns)
    cut = tree.cut(granularity, data.draw(nodes(tree)), data.draw(nodes(tree)))
    assert sorted(slot for node in cut for slot in tree.leaves(node)) == list(range(tree.slots))
    assert list(cut) == sorted(cut) and (tree.rest is None or tree.rest in cut)


@given(trees(), st.floats(0, 1), st.floats(0, 1))
def test_a_finer_cut_divides_the_objects_of_a_coarser_one(columns: tuple, one: float, other: float) -> None:
    tree = ObjectTree(*columns)
    coarse, fine = tree.cut(min(one, other)), tree.cut(max(one, other))
    assert all(sum(tree.leaves(part) <= tree.leaves(node) for node in coarse) == 1 for part in fine)
    assert tree.cut(0.0) == tree.roots and tree.cut(1.0) == tuple(range(tree.slots))


@given(st.data(), trees(), st.floats(0, 1))
def test_what_is_opened_is_not_shown_and_what_is_closed_is_not_divided(
    data: st.DataObject, columns: tuple, granularity: float
) -> None:
    tree = ObjectTree(*columns)
    opened, closed = data.draw(nodes(tree)), data.draw(nodes(tree))
    shown = tree.cut(granularity, opened)
    assert all(node < tree.slots for node in opened.intersection(shown))
    assert all(set(tree.children(node)).isdisjoint(tree.cut(granularity, closed=closed)) for node in closed)
    for node in range(len(tree)):
        assert node in tree.cut(granularity, tree.ancestors(node), [node]), "any node can be shown"


@given(trees())
def test_the_cut_changes_at_its_steps_alone(columns: tuple) -> None:
    tree = ObjectTree(*columns)
    bounds = [0.0, *tree.steps(), 1.0]
    for low, high in itertools.pairwise(bounds):
        between = {tree.cut(low + part * (high - low)) for part in (0, 0.3, 0.9)}
        assert len(between) == 1 or high == low
    assert len({tree.cut(step) for step in bounds}) == len(tree.steps()) + 1


@given(trees(), st.integers(0, 3))
def test_a_tree_survives_files_and_more_slots(columns: tuple, further: int) -> None:
    tree = ObjectTree(*columns)
    assert ObjectTree.from_json(json.loads(json.dumps(tree.as_json())), tree.slots) == tree
    assert ObjectTree.from_tensors(tree.as_tensors(), tree.slots) == tree
    wider = tree.widened(tree.slots + further)
    new = range(tree.slots, tree.slots + further)
    assert {node for node in wider.cut() if node in new} == {*new}
    of = lambda each, node: sorted(each.leaves(node))
    assert sorted(of(wider, node) for node in wider.cut() if node not in new) == sorted(of(tree, n) for n in tree.cut())


def test_a_flat_tree_is_its_slots() -> None:
    flat = ObjectTree.flat(3)
    assert flat.is_flat and flat.steps() == () and flat.cut(0.0) == flat.cut(DEFAULT) == flat.cut(1.0) == (0, 1, 2)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"parent": [2, 2]}, "columns"),
        ({"opens": [2.0, 2.0]}, "columns"),
        ({"opens": []}, "columns"),
        ({"parent": [1, 2, -1]}, "no later inner node"),
        ({"parent": [2, 2, 2]}, "no later inner node"),
        ({"parent": [-1, -1, -1]}, "has no child"),
        ({"rest": 1}, "no slot without a parent"),
        ({"rest": 2}, "no slot without a parent"),
    ],
)
def test_what_is_no_tree_is_refused(change: dict, fault: str) -> None:
    content = {"parent": [2, 2, -1], "opens": [2.0, 2.0, 0.5], "support": [], "masks": [], "rest": None}
    assert ObjectTree.from_json(content, 2).cut(0.4) == (2,)
    with pytest.raises(ValueError, match=fault):
        ObjectTree.from_json(content | change, 2)
