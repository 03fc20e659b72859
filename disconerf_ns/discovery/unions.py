"""The tree of objects: which of the finest objects masks show together, and how firmly these wholes hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from disconerf_ns.discovery.cells import Cells, Observation
from disconerf_ns.discovery.consensus import LEAST_VIEWS, Evidence
from disconerf_ns.discovery.continued import CONTINUED, continued, largest
from disconerf_ns.discovery.explanation import Explanation, explain
from disconerf_ns.discovery.joining import joined
from disconerf_ns.discovery.union_affinities import LEAST_SHOWN, UnionAffinities
from disconerf_ns.scene.tree import DEFAULT, NEVER, ObjectTree

SHOWN = 0.2
"""Minimum fraction of views that show a whole, of those that could, for the whole to be in the tree."""
HOLDS = 0.45
"""Stability at which a whole is one object in the default cut: true wholes lie above it, mostly, and groups of things
that noisy masks join now and then lie below."""
TOGETHER = 0.05
"""Minimum mean agreement of objects that are joined for the coarsest cuts."""
LOOSE = 0.99 * HOLDS
"""Largest stability of a union that hardly any mask shows: the default cut opens it."""
CHAIN = 4
"""Maximum number of rounds; each measures all unions and joins those that hold and overlap."""
LEAST_OPENS = 0.01
"""Granularity at which a whole that nothing holds together opens; the coarsest cut does not open it."""


Pairs = tuple[Float[Tensor, "groups groups"], Float[Tensor, "groups groups"]]
"""Similarity of cells of each two groups, summed over the views that see both, and the number of these views."""


class Whole(NamedTuple):
    """A union of finest objects."""

    parts: frozenset[int]
    stability: float
    """How firmly it holds, in [0, 1], see `stability`."""


def tree_of(
    seen: Sequence[Observation],
    cells: Cells,
    evidence: Evidence,
    groups: Int[Tensor, "cells"],
    divided: Sequence[frozenset[int]] = (),
) -> tuple[ObjectTree, tuple[frozenset[int], ...]]:
    """The finest objects and the wholes that masks make of them.

    Candidates are what masks show, and chains of those that hold and overlap. They are taken in the order of how many
    views show them, if they lie inside those that were taken before, around them, or apart from them. Objects of the
    default cut that go on across their border are one object there (`continued`). What is left is joined by agreement
    alone, for the coarsest cuts.

    Args:
        seen: the cells that each view sees, and its masks.
        cells: the cells.
        evidence: evidence of all views about pairs of cells.
        groups: finest object of each cell, numbered from 0, -1 for none.
        divided: unions that the consensus made one object; they hold in the default cut.
    Returns:
        The tree, and the unions in it that are one object only because they go on across a border.
    """
    count = int(groups.max()) + 1
    pairs = agreements(evidence, groups, count)
    explanations = [explain(view, groups, count) for view in seen]
    unions = list(dict.fromkeys([*divided, *candidates(explanations)]))
    for _ in range(CHAIN):
        shown = UnionAffinities(seen, groups, membership(unions, count))
        rates = {union: shown.together(count + index, sorted(union)) for index, union in enumerate(unions)}
        firm = {union: stability(mean_agreement(pairs, singly(union)), rate) for union, rate in rates.items()}
        longer = chained([union for union in unions if firm[union] >= HOLDS]) - rates.keys()
        if not longer:
            break
        unions += sorted(longer, key=sorted)
    taken: list[frozenset[int]] = []
    for union in [*divided, *sorted(rates.keys() - set(divided), key=lambda each: (-rates[each], sorted(each)))]:
        if (union in divided or rates[union] >= SHOWN) and all(nests(other, union) for other in taken):
            taken.append(union)
    wholes = []
    for union in taken:
        parts = tops([other for other in taken if other < union], sorted(union))
        holds = stability(mean_agreement(pairs, parts), rates[union])
        wholes.append(Whole(union, max(holds, HOLDS) if union in divided else holds))
    steps = continued(cells, evidence, groups, held(wholes, count))
    borderless = largest([union for union, _ in steps])
    wholes = [whole for whole in wholes if all(nests(whole.parts, union) for union in borderless)]
    fit = [step for step in steps if all(nests(whole.parts, step[0]) for whole in wholes)]
    wholes += [Whole(union, firmness(similar)) for union, similar in fit]
    for union in coarser(pairs, masks_of_both(explanations), wholes, count):
        wholes.append(Whole(union, min(stability(mean_agreement(pairs, singly(union)), rate=0.0), LOOSE)))
    shown = UnionAffinities(seen, groups, membership([whole.parts for whole in _smallest_first(wholes)], count))
    visible = shown.size > 0
    support = (shown.best * visible).sum(0) / visible.sum(0).clamp(min=1)
    return nested(count, wholes, support.tolist(), shown.exact.sum(0).tolist()), tuple(borderless)


def nests(one: frozenset[int], other: frozenset[int]) -> bool:
    """Whether one of two unions lies inside the other one, or they are apart; not if they are the same."""
    return one < other or one > other or not one & other


def held(wholes: Sequence[Whole], count: int) -> list[frozenset[int]]:
    """The objects of the default cut: the largest wholes that hold, and the groups that lie in none of them."""
    return tops([whole.parts for whole in wholes if whole.stability >= HOLDS], range(count))


def tops(wholes: Sequence[frozenset[int]], groups: Iterable[int]) -> list[frozenset[int]]:
    """The wholes that lie in no other one, and the groups that lie in none of them."""
    outer = largest(wholes)
    return [*outer, *singly(group for group in groups if not any(group in whole for whole in outer))]


def singly(groups: Iterable[int]) -> list[frozenset[int]]:
    """Each group alone."""
    return [frozenset([group]) for group in groups]


def coarser(
    pairs: Pairs, joint: Float[Tensor, "groups groups"], wholes: Sequence[Whole], count: int
) -> list[frozenset[int]]:
    """Unions beyond those that masks show, for cuts that are coarser still: average linkage of what is left.

    The two objects on which masks agree most are joined, while any two have an agreement of at least TOGETHER.

    Args:
        pairs: agreement of each two groups.
        joint: number of masks that hold both of two groups; fewer than LEAST_SHOWN join nothing, because cells at
            blurred borders agree with both sides.
        wholes: wholes that masks show.
        count: number of groups.
    """
    roots = tops([whole.parts for whole in wholes], range(count))
    members = membership(roots, count)[:, count:].float()

    def agreement(similar: Tensor, views: Tensor, masks: Tensor) -> Tensor:
        return torch.where(masks >= LEAST_SHOWN, similar / views.clamp(min=LEAST_VIEWS), 0.0)

    made = joined(roots, [members.T @ table @ members for table in (*pairs, joint)], agreement, TOGETHER)
    return [union for union, _ in made]


def masks_of_both(explanations: Sequence[Explanation]) -> Float[Tensor, "groups groups"]:
    """Number of masks that hold most of two groups."""
    sets = torch.cat([view.sets for view in explanations])
    return sets.T @ sets


def membership(unions: Sequence[frozenset[int]], count: int) -> Bool[Tensor, "groups columns"]:
    """True for the groups that a column is made of: first each group alone, then the unions."""
    members = torch.zeros(count, count + len(unions), dtype=torch.bool)
    members[:, :count] = torch.eye(count, dtype=torch.bool)
    for column, union in enumerate(unions, count):
        members[sorted(union), column] = True
    return members


def chained(unions: Sequence[frozenset[int]]) -> set[frozenset[int]]:
    """Unions of two that overlap in part: walls around a room, of which no view sees more than two."""
    return {one | other for one, other in combinations(unions, 2) if one & other and not (one <= other or other <= one)}


def stability(agreement: float, rate: float) -> float:
    """How firmly a whole holds: how often masks put its parts together, and how often they show exactly it.

    Args:
        agreement: mean similarity of cells of different parts, in [0, 1].
        rate: fraction of the views with a mask of exactly the whole, in [0, 1].
    """
    return (2 * agreement + rate) / 3


def firmness(similar: float) -> float:
    """Stability of a union without a border in it: HOLDS at a similarity of CONTINUED there, 1 at 1."""
    return HOLDS + (1 - HOLDS) * (similar - CONTINUED) / (1 - CONTINUED)


def opens_at(firm: float) -> float:
    """Granularity at which a whole of some stability opens: DEFAULT at HOLDS, 1 for the firmest."""
    if firm < HOLDS:
        return max(DEFAULT * firm / HOLDS, LEAST_OPENS)
    return min(DEFAULT + (1 - DEFAULT) * (firm - HOLDS) / (1 - HOLDS) + 1e-6, 1.0)


def candidates(explanations: Sequence[Explanation]) -> list[frozenset[int]]:
    """Sets of two groups and more that explain several masks."""
    sets: Counter[frozenset[int]] = Counter()
    for view in explanations:
        for row in view.sets[view.explained & (view.sets.sum(1) > 1)]:
            sets[frozenset(row.nonzero()[:, 0].tolist())] += 1
    return [union for union, masks in sets.items() if masks >= LEAST_SHOWN]


def agreements(evidence: Evidence, groups: Int[Tensor, "cells"], count: int) -> Pairs:
    """Sum the evidence about pairs of cells to evidence about pairs of groups."""
    known = (groups >= 0).nonzero()[:, 0]
    one_hot = torch.zeros(len(groups), count)
    one_hot[known, groups[known]] = 1
    return one_hot.T @ evidence.similar @ one_hot, one_hot.T @ evidence.views @ one_hot


def mean_agreement(pairs: Pairs, parts: Sequence[frozenset[int]]) -> float:
    """Mean similarity of cells of different parts, in [0, 1]."""
    count = len(pairs[0])
    members = membership(parts, count)[:, count:].float()
    similar, views = ((members.T @ table @ members).fill_diagonal_(0) for table in pairs)
    return float(similar.sum() / views.sum().clamp(min=1))


def nested(slots: int, wholes: Sequence[Whole], support: Sequence[float], masks: Sequence[int]) -> ObjectTree:
    """The tree of slots and wholes, of which no two overlap in part.

    Args:
        slots: number N of slots.
        wholes: unions of slots, in any order.
        support: support of each slot, then of each whole, the smallest whole first.
        masks: masks that show exactly each of them, in the same order.
    """
    ordered = _smallest_first(wholes)
    parent, opens = [-1] * (slots + len(ordered)), [NEVER] * slots + [opens_at(whole.stability) for whole in ordered]
    for node, whole in enumerate(ordered, slots):
        below = [*whole.parts, *(slots + i for i, other in enumerate(ordered) if other.parts < whole.parts)]
        for each in below:
            if parent[each] < 0:
                parent[each] = node
    for node in reversed(range(slots, len(parent))):
        if parent[node] >= 0:
            opens[node] = max(opens[node], opens[parent[node]])
    return ObjectTree(slots, tuple(parent), tuple(opens), tuple(support), tuple(masks))


def _smallest_first(wholes: Iterable[Whole]) -> list[Whole]:
    return sorted(wholes, key=lambda whole: (len(whole.parts), sorted(whole.parts)))
