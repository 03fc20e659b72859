"""Find the objects of every size: draw and group cells, divide groups into parts, join these to a tree, clear islands.

    cells -> consensus (groups) -> parts (the finest objects) -> unions (the tree)
                                -> nobody (the rest)
    every cell's part or the rest -> islands (to what surrounds them)

Cases near a threshold, such as whether an object merges with its neighbour, depend on the drawn cells and on the doubt.
So several draws are grouped, each with every doubt, and the groups are those that most groupings have (`majority.py`),
mended where the masks agree more with a change (`graft.py`). If the doubt makes no difference, no case is near a
threshold, and that draw is the last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from jaxtyping import Int
from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import track
from torch import Tensor

from disconerf_ns.discovery.cells import Cells, MaskedSurface, observe
from disconerf_ns.discovery.consensus import (
    DOUBTS,
    Consensus,
    ViewAgreement,
    agreement,
    by_size,
    collect,
    likeness,
    reassign,
)
from disconerf_ns.discovery.graft import grafted
from disconerf_ns.discovery.grouping import GroupedCells, Grouping, ObservedDraw, group
from disconerf_ns.discovery.islands import without_islands
from disconerf_ns.discovery.majority import majority
from disconerf_ns.discovery.nobody import COVERED, LEAST_REST, beyond_border, coverage, share, uncovered
from disconerf_ns.discovery.parts import finest
from disconerf_ns.discovery.unions import tree_of
from disconerf_ns.scene.tree import DEFAULT, ObjectTree

COARSE, FINE = 5000, 40_000
"""Maximum number of cells that are merged pair by pair, and maximum number of cells that get a group in the end."""
POINTS_PER_CELL = 12
"""Mean number of surface points per cell, large enough that several views see a cell."""
DRAWS = 4
"""Maximum number of draws of cells; each is grouped with every doubt."""
CLEAR = 0.999
"""Stop drawing when at least this fraction of cells is grouped alike under every doubt."""


def find_consensus(views: Sequence[MaskedSurface], most: int | None = None) -> Consensus:
    """Find the objects of every size, and the rest that no mask covers, by the masks of all views.

    Args:
        views: surface samples and binary masks of each view, pixel by pixel.
        most: maximum number of slots, one of them for the rest; the largest objects are kept. None keeps all.
    Returns:
        The objects; a consensus without points where the masks agree on none, or hardly any ray has a surface.
    """
    if cell_count(views) == 0:
        return Consensus.of(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    best, every = best_of(_groupings(views, most))
    _, draw, seen, evidence, groups = grafted(majority(best, every), every)
    coarse, observed = draw[: len(groups)], list(observe(draw, views))
    covered = coverage(observed, draw)
    nobody = covered <= COVERED
    rest = share(observed, nobody) >= LEAST_REST
    groups = by_size(torch.where(uncovered(seen, coarse), -1, groups))
    if most is not None:
        groups = torch.where(groups < most - rest, groups, -1)
    if len(groups) == 0 or int(groups.max()) < 0:
        return Consensus.of(draw.seeds[:0], groups[:0])
    parts, divided = finest(seen, groups, None if most is None else most - rest)
    tree, continued = tree_of(seen, coarse, evidence, parts, divided)
    fine = reassign(observed, torch.where(nobody, -1, parts[coarse.at(draw.seeds)]))
    fine = torch.where(nobody, tree.slots if rest else -1, fine)
    tree = tree.with_rest() if rest else tree
    fine = without_islands(observed, draw, fine, owners(tree, continued))
    known = fine >= 0
    if tree.rest is not None:
        known &= ~beyond_border(covered, draw, fine, tree.rest)
    return replace(Consensus.of(draw.seeds[known], fine[known]), tree=tree)


def best_of(groupings: Iterable[Grouping]) -> tuple[Grouping, list[GroupedCells]]:
    """The grouping that agrees most with the masks, and the groups of all; no other one's evidence stays in memory."""
    best, every = None, []
    for each in groupings:
        every.append(each.grouped)
        if best is None or each.agreement > best.agreement:
            best = each
    if best is None:
        raise ValueError("there is no grouping")
    return best, every


def owners(tree: ObjectTree, opened: Collection[frozenset[int]]) -> Int[Tensor, "slots"]:
    """The node of the default cut, with some unions opened, that each slot lies in; -1 for the rest, no object."""
    owner = torch.full((tree.slots,), -1)
    for node in tree.cut(opened=[node for node in tree.inner if tree.leaves(node) in opened]):
        if node != tree.rest:
            owner[list(tree.leaves(node))] = node
    return owner


def agreed_on(consensus: Consensus) -> str:
    """A sentence about the objects that the masks of all views agree on."""
    tree = consensus.tree
    if tree is None:
        return "the masks of all views agree on no object"
    default, finest = ([node for node in tree.cut(cut) if node != tree.rest] for cut in (DEFAULT, 1.0))
    sentence = f"the masks of all views agree on {len(default)} object{'s' * (len(default) != 1)}"
    if len(finest) > len(default):
        sentence += f", of {len(finest)} parts"
    return sentence if tree.rest is None else f"{sentence}; masks never cover the rest of the surface"


def _groupings(views: Sequence[MaskedSurface], most: int | None) -> Iterator[Grouping]:
    """The groupings of each draw with each doubt."""
    draws = track(range(DRAWS), "Finding what the masks agree on", console=CONSOLE)
    for seed in draws:
        observed = observed_draw(views, seed)
        with ThreadPoolExecutor(len(DOUBTS)) as threads:
            groupings = list(threads.map(lambda doubt: grouped(observed, doubt, most), DOUBTS))  # noqa: B023
        yield from groupings
        if likeness(*(each.groups for each in groupings)) >= CLEAR:
            list(draws)  # run the progress bar to its end


def observed_draw(views: Sequence[MaskedSurface], seed: int) -> ObservedDraw:
    """A draw of cells, and what the masks of all views say about them."""
    draw = draw_cells(views, seed)
    coarse = draw[:COARSE]
    seen = list(observe(coarse, views))
    return ObservedDraw(draw, seen, collect(seen, len(coarse)))


def grouped(observed: ObservedDraw, doubt: float, most: int | None = None) -> Grouping:
    """A draw whose coarse cells are grouped.

    Args:
        observed: the draw.
        doubt: number of disagreeing pairs that are assumed against every merger.
        most: maximum number of groups; None for no limit.
    """
    draw, seen, evidence = observed
    groups = group(seen, draw[:COARSE], evidence, doubt, most)
    return Grouping(agreement(ViewAgreement.of(view, groups) for view in seen), *observed, groups)


def draw_cells(views: Sequence[MaskedSurface], seed: int) -> Cells:
    """The fine cells of a draw; the first COARSE of them are the coarse cells, which are merged pair by pair."""
    return Cells.draw(views, cell_count(views), seed)


def cell_count(views: Sequence[MaskedSurface]) -> int:
    """Number of fine cells: one for POINTS_PER_CELL points of all rays, at most FINE, and at most one a solid point."""
    points = sum(surface.packed[..., 0].numel() for surface, _ in views)
    solid = sum(surface.packed[surface.solid, ..., 0].numel() for surface, _ in views)
    return min(FINE, points // POINTS_PER_CELL, solid)
