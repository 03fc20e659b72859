"""The discovered objects as a person arranged them: merged, split into parts, named and in other colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from disconerf_ns.edit import Edit
from disconerf_ns.objects import SceneObject
from disconerf_ns.palette import object_colors
from disconerf_ns.parts import Parts


def arrange(found: Sequence[SceneObject], edit: Edit, slots: int, parts: Callable[[int], Parts]) -> list[SceneObject]:
    """Objects under an edit; `slot` is their id.

    Discovered objects keep name and colour whatever is merged or split; further parts come after all of them.

    Args:
        found: the discovered objects.
        edit: what a person changed.
        slots: number N of slots.
        parts: the parts of a slot that is split.
    """
    pieces, further = [], []
    for one in found:
        first, *others = _divided(one, edit, slots, parts)
        pieces.append(first)
        further += others
    pieces += further
    colors = object_colors(len(pieces))
    named = [
        replace(
            one,
            name=f"object_{number:02d}",
            title=edit.names.get(one.slot, ""),
            color=edit.colors.get(one.slot, tuple(float(channel) for channel in colors[number])),
        )
        for number, one in enumerate(pieces)
    ]
    there = {one.slot for one in named}
    joined = {part for part, into in edit.merged.items() if into in there}
    taken: dict[int, list[SceneObject]] = {}
    for one in named:
        taken.setdefault(edit.merged.get(one.slot, one.slot), []).append(one)
    return [
        _join(one, [other for other in taken[one.slot] if other is not one]) for one in named if one.slot not in joined
    ]


def _divided(one: SceneObject, edit: Edit, slots: int, parts: Callable[[int], Parts]) -> list[SceneObject]:
    ids = edit.part_ids(one.slot, slots)
    if len(ids) == 1:
        return [one]
    found = parts(one.slot)
    shares = [*found.shares, *[0.0] * len(ids)]
    boxes = [tuple(tuple(corner) for corner in found.box(number).tolist()) for number in range(len(ids))]
    return [replace(one, slot=id, share=one.share * shares[k], box=boxes[k]) for k, id in enumerate(ids)]


def _join(one: SceneObject, others: Sequence[SceneObject]) -> SceneObject:
    if not others:
        return one
    members = [one, *others]
    share = sum(member.share for member in members)
    corners = list(zip(*(member.box for member in members)))
    low, high = (tuple(map(pick, zip(*corner))) for pick, corner in zip((min, max), corners))
    return replace(
        one,
        share=share,
        confidence=sum(member.share * member.confidence for member in members) / max(share, 1e-9),
        views=max(member.views for member in members),
        box=(low, high),
    )
