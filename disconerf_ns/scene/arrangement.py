"""The objects of a scene under an edit: merged, split into parts, named and in other colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from disconerf_ns.palette import object_colors
from disconerf_ns.scene.connected_parts import ConnectedParts
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import Box, DiscoveredObject, ObjectId, SceneObject


def arrange(
    discovered: Sequence[DiscoveredObject], edit: Edit, slots: int, parts: Callable[[int], ConnectedParts]
) -> tuple[SceneObject, ...]:
    """Objects under an edit, in the order of their names.

    Discovered objects keep name and colour whatever is merged or split; further parts come after all of them. A split
    into more parts than a slot has gives the parts that it has.

    Args:
        discovered: the discovered objects.
        edit: what a person changed.
        slots: number N of slots.
        parts: the connected parts of a slot; called for slots that are split.
    """
    firsts, further = [], []
    for each in discovered:
        first, *others = _pieces(each, edit, slots, parts)
        firsts.append(first)
        further += others
    pieces = firsts + further
    colors = object_colors(len(pieces))
    named = [
        replace(
            piece,
            name=f"object_{number:02d}",
            title=edit.names.get(piece.id, ""),
            color=edit.colors.get(piece.id, tuple(float(channel) for channel in colors[number])),
        )
        for number, piece in enumerate(pieces)
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


def _pieces(
    each: DiscoveredObject, edit: Edit, slots: int, parts: Callable[[int], ConnectedParts]
) -> list[SceneObject]:
    ids = edit.part_ids(each.slot, slots)
    piece = SceneObject(
        ObjectId(each.slot), "", "", (0.0, 0.0, 0.0), each.share, each.confidence, each.views, each.box,
        slots=frozenset([each.slot]), whole=len(ids) == 1,
    )  # fmt: skip
    if piece.whole:
        return [piece]
    divided = parts(each.slot)
    return [
        replace(piece, id=ObjectId(id), share=each.share * share, box=_corners(divided.box(number)))
        for number, (id, share) in enumerate(zip(ids, divided.shares or (1.0,)))
    ]


def _corners(box) -> Box:
    low, high = (tuple(corner) for corner in box.tolist())
    return low, high


def _join(first: SceneObject, others: Sequence[SceneObject]) -> SceneObject:
    if not others:
        return first
    members = [first, *others]
    share = sum(member.share for member in members)
    lows, highs = zip(*(member.box for member in members))
    return replace(
        first,
        share=share,
        confidence=sum(member.share * member.confidence for member in members) / max(share, 1e-9),
        views=max(member.views for member in members),
        box=(tuple(map(min, zip(*lows))), tuple(map(max, zip(*highs)))),
        slots=frozenset.union(*(member.slots for member in members)),
        whole=all(member.whole for member in members),
    )
