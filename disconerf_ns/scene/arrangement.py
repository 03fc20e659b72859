"""The objects of a scene under an edit: those of a cut, merged, split into parts, named and in other colours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

from disconerf_ns.palette import object_colors
from disconerf_ns.scene.connected_parts import ConnectedParts
from disconerf_ns.scene.cut import shown_nodes
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import DiscoveredObject, ObjectId, SceneObject, around, box_between
from disconerf_ns.scene.recolor import recolored
from disconerf_ns.scene.tree import ObjectTree

Color = tuple[float, float, float]
NOBODY = (0.5, 0.5, 0.5)
"""Colour of the rest in lists of objects."""


def all_objects(discovered: Sequence[DiscoveredObject], tree: ObjectTree, edit: Edit) -> tuple[SceneObject, ...]:
    """The discovered objects of all cuts, in their order, with the names and colours that an edit gives them."""
    colors, numbers = _colors(len(discovered)), itertools.count()
    every = []
    for each in discovered:
        number = None if each.node == tree.rest else next(numbers)
        own = NOBODY if number is None else colors[number]
        title, color = edit.names.get(each.node, ""), _shown(own, each.node, edit)
        facts = each.share, each.confidence, each.views, each.box, each.reach
        slots = tree.leaves(each.node)
        every.append(SceneObject(ObjectId(each.node), number, title, color, *facts, slots, whole=True))
    return tuple(every)


def arrange(
    discovered: Sequence[DiscoveredObject], tree: ObjectTree, edit: Edit, parts: Callable[[int], ConnectedParts]
) -> tuple[SceneObject, ...]:
    """Objects under an edit, in the order of their names; the rest comes last.

    Discovered objects keep name and colour whatever is merged or split and whatever cut shows them; further connected
    parts come after all of them. A split into more parts than an object has gives the parts that it has.

    Args:
        discovered: the discovered objects of all cuts.
        tree: how they hold each other.
        edit: what a person changed.
        parts: the connected parts of a node; called for nodes that are split.
    """
    nodes = set(shown_nodes(edit, tree))
    every = all_objects(discovered, tree, edit)
    numbered = sum(each.number is not None for each in every)
    firsts, further, rest = [], [], []
    for each in every:
        if each.id in nodes:
            first, *others = _pieces(each, edit, len(tree), parts)
            (firsts if first.number is not None else rest).append(first)
            further += others
    colors = _colors(numbered + len(further))
    named = [
        *firsts,
        *(
            replace(
                piece,
                number=number,
                title=edit.names.get(piece.id, ""),
                color=_shown(colors[number], piece.id, edit),
            )
            for number, piece in enumerate(further, numbered)
        ),
        *rest,
    ]
    there = {piece.id for piece in named}
    merged: dict[int, int] = {id: into for id, into in edit.merged.items() if into in there}
    members: dict[int, list[SceneObject]] = {}
    for piece in named:
        members.setdefault(merged[piece.id] if piece.id in merged else piece.id, []).append(piece)
    return tuple(
        _join(piece, [other for other in members[piece.id] if other is not piece])
        for piece in named
        if piece.id not in merged
    )


def _shown(own: Color, id: int, edit: Edit) -> Color:
    return recolored(edit.colors[id], own) if id in edit.colors else own


def _colors(count: int) -> list[Color]:
    return [(float(red), float(green), float(blue)) for red, green, blue in object_colors(count)]


def _pieces(each: SceneObject, edit: Edit, nodes: int, parts: Callable[[int], ConnectedParts]) -> list[SceneObject]:
    ids = edit.part_ids(each.id, nodes)
    if len(ids) == 1:
        return [each]
    divided = parts(each.id)
    shares, starts = divided.shares or (1.0,), range(len(ids))
    boxes = [box_between(divided.box(number).tolist()) for number in range(len(shares))]
    ends = [*starts[1:], len(shares)]
    return [
        replace(each, id=ObjectId(id), share=each.share * sum(shares[a:b]), box=around(boxes[a:b]), whole=False)
        # the last piece has all parts that are left; a part goes on beyond its cells, so the reach stays the whole's
        for id, a, b in zip(ids, starts, ends)
        if boxes[a:b]
    ]


def _join(first: SceneObject, others: Sequence[SceneObject]) -> SceneObject:
    if not others:
        return first
    members = [first, *others]
    share = sum(member.share for member in members)
    return replace(
        first,
        share=share,
        confidence=sum(member.share * member.confidence for member in members) / max(share, 1e-9),
        views=max(member.views for member in members),
        box=around([member.box for member in members]),
        reach=around([member.reach for member in members]),
        slots=frozenset.union(*(member.slots for member in members)),
        whole=all(member.whole for member in members),
    )
