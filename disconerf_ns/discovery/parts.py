"""Parts of groups: what masks show inside a group again and again.

The masks of a whole object put all of its cells together, so the consensus cannot say where its parts end. The masks
inside the object can: cells of a group are merged by these masks alone, and a part is kept if many views show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from disconerf_ns.discovery.cells import Observation
from disconerf_ns.discovery.consensus import (
    LEAST_CELLS,
    LEAST_POINTS,
    LEAST_VIEWS,
    by_size,
    collect,
    group_weights,
    linkage,
    reassign,
)
from disconerf_ns.discovery.union_affinities import PROPER, UnionAffinities

INSIDE = 0.7
"""Minimum fraction of a mask that lies in a group, for the mask to be inside it."""
PART = 0.4
"""Minimum fraction of views that show a part, of those that could: random pieces of a whole stay below it."""
REMAINDER = 0.1
"""Smallest fraction of a group without parts that is a part of its own, such as a mug without its handle."""


def finest(
    seen: Sequence[Observation], groups: Int[Tensor, "cells"], most: int | None = None
) -> tuple[Int[Tensor, "cells"], list[frozenset[int]]]:
    """Divide groups into the finest parts that masks show.

    Args:
        seen: the cells that each view sees, and its masks.
        groups: group of each cell, numbered from 0, -1 for none.
        most: maximum number of parts; None for no limit.
    Returns:
        The part of each cell, numbered from 0, -1 for none, and the parts of each group that has several, together with
        the parts of each part that is divided again.
    """
    parts, count = groups.clone(), int(groups.max()) + 1
    wave, unions = list(range(count)), {group: {group} for group in range(count)}
    while wave:
        shown, wave = inside_groups(seen, parts, wave), []
        for whole, inside in shown.items():
            room = len(parts) if most is None else most - count
            fresh = divide(parts, whole, inside, range(count, len(parts) + count), room)
            for union in unions.values():
                union.update(fresh if whole in union else ())
            unions |= {part: {part} for part in fresh}
            wave, count = [*wave, *fresh], count + len(fresh)
    return numbered(parts, unions.values())


def divide(parts: Int[Tensor, "cells"], whole: int, inside: Inside, numbers: Sequence[int], room: int) -> list[int]:
    """Give each part that masks show of a group a number of its own, in place.

    What is left of the group keeps the group's number if it is large enough for a part, and belongs to none otherwise.

    Args:
        parts: part of each cell, -1 for none.
        whole: the group's number.
        inside: what views show of the group.
        numbers: numbers that are free, at least one for each cell.
        room: maximum number of new parts.
    Returns:
        The numbers that were given; none if the group is one part, or if its parts are too many.
    """
    own = (parts == whole).nonzero()[:, 0]
    found = inner_parts(inside, own, len(parts))
    rest = own[~torch.isin(own, torch.cat([own[:0], *found]))]
    keeps = len(rest) >= max(LEAST_CELLS, REMAINDER * len(own))
    if len(found) + keeps < 2 or len(found) > room:
        return []
    parts[rest] = whole if keeps else -1
    for number, cells in zip(numbers, found):
        parts[cells] = number
    return list(numbers[: len(found)])


def numbered(
    parts: Int[Tensor, "cells"], unions: Iterable[set[int]]
) -> tuple[Int[Tensor, "cells"], list[frozenset[int]]]:
    """Number the parts that have cells from 0, and name the unions of several by these numbers, each once."""
    used, place = parts[parts >= 0].unique(return_inverse=True)
    rank = {number: index for index, number in enumerate(used.tolist())}
    renamed = (frozenset(rank[each] for each in union if each in rank) for union in unions)
    new = torch.full_like(parts, -1).masked_scatter_(parts >= 0, place)
    return new, [union for union in dict.fromkeys(renamed) if len(union) > 1]


class Inside(NamedTuple):
    """A group of cells, and the masks inside it, in the views that see the group."""

    around: list[Observation]
    """Views that see the group, with all that they see."""
    inner: list[Observation]
    """The same views reduced to the group's cells and to the masks of its parts, which lie inside the group and are
    smaller. Views without such a mask are left out. Cells are numbered by their place in the group."""


def inside_groups(
    seen: Sequence[Observation], groups: Int[Tensor, "cells"], wanted: Sequence[int]
) -> dict[int, Inside]:
    """Look inside several groups at once, in one pass over the views.

    Args:
        seen: the cells that each view sees, and its masks.
        groups: group of each cell, -1 for none.
        wanted: the groups to look into.
    """
    count = int(groups.max()) + 1
    place = torch.zeros_like(groups)
    found = {group: Inside([], []) for group in wanted}
    for group in wanted:
        own = (groups == group).nonzero()[:, 0]
        place[own] = torch.arange(len(own))
    for view in seen:
        image = group_weights(view, groups, count)
        shared, area, size = view.inside.T @ image, view.inside.T @ view.weight, image.sum(0)
        inside = (shared > INSIDE * area[:, None]) & (shared < PROPER * size) & (shared >= LEAST_POINTS)
        for group in found.keys() & set((size >= LEAST_POINTS).nonzero()[:, 0].tolist()):
            found[group].around.append(view)
            if inside[:, group].any():
                own = groups[view.cells] == group
                of_group = Observation(place[view.cells[own]], view.weight[own], view.inside[own][:, inside[:, group]])
                found[group].inner.append(of_group)
    return found


def inner_parts(inside: Inside, group: Int[Tensor, "own"], cells: int) -> list[Int[Tensor, "some"]]:
    """Disjoint sets of a group's cells that many views show as a part of it.

    Args:
        inside: what views show of the group.
        group: indices of the group's cells.
        cells: number of all cells.
    """
    if len(inside.inner) < LEAST_VIEWS:
        return []
    pieces = by_size(linkage(collect(inside.inner, len(group)), doubt=0.0))
    pieces = reassign(inside.inner, torch.where(torch.bincount(pieces)[pieces] >= LEAST_CELLS, pieces, -1), rounds=2)
    count = int(pieces.max()) + 1
    everywhere = torch.full((cells,), -1).index_copy_(0, group, torch.where(pieces >= 0, pieces, count))
    whole = torch.ones(count + 1, 1, dtype=torch.bool)
    shown = UnionAffinities(inside.around, everywhere, torch.cat([torch.eye(count + 1, dtype=torch.bool), whole], 1))
    return [group[pieces == piece] for piece in range(count) if shown.apart(piece, count + 1) >= PART]
