"""One grouping of the cells: the steps from the evidence of all views to groups of cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from disconerf_ns.discovery.cells import Cells, Observation
from disconerf_ns.discovery.consensus import (
    LEAST_AGREEMENT,
    LEAST_CELLS,
    Evidence,
    by_size,
    linkage,
    prune,
    reassign,
)
from disconerf_ns.discovery.islands import paired, pieces


class GroupedCells(NamedTuple):
    """Groups of cells without the evidence for them, which takes much memory."""

    agreement: float
    """Agreement of masks and groups, in [0, 1]."""
    cells: Cells
    groups: Int[Tensor, "coarse"]
    """Group of each cell, -1 for none."""

    def at(self, points: Float[Tensor, "n 3"]) -> Int[Tensor, "n"]:
        """Group of the cell that holds each contracted point, -1 for none."""
        return self.groups[self.cells.at(points)]


class ObservedDraw(NamedTuple):
    """A draw of cells, and the evidence about them."""

    draw: Cells
    """The fine cells; the first of them are the coarse cells."""
    seen: list[Observation]
    """The coarse cells that each view sees."""
    evidence: Evidence
    """Evidence of all views about pairs of coarse cells."""


class Grouping(NamedTuple):
    """Groups of an `ObservedDraw`, and all that it holds."""

    agreement: float
    """Agreement of masks and groups, in [0, 1]."""
    draw: Cells
    seen: list[Observation]
    evidence: Evidence
    groups: Int[Tensor, "coarse"]
    """Group of each coarse cell, -1 for none."""

    @property
    def coarse(self) -> Cells:
        """The cells that are grouped."""
        return self.draw[: len(self.groups)]

    @property
    def grouped(self) -> GroupedCells:
        """The groups alone."""
        return GroupedCells(self.agreement, self.coarse, self.groups)


def group(
    seen: Sequence[Observation], cells: Cells, evidence: Evidence, doubt: float, most: int | None
) -> Int[Tensor, "cells"]:
    """Group of each cell, -1 for none; at most `most` groups."""
    groups = prune(seen, without_crumbs(by_size(linkage(evidence, doubt))))
    groups = prune(seen, reassign(seen, groups))
    groups = prune(seen, fallen_apart(seen, cells, groups))
    if most is not None:
        groups = torch.where(groups < most, groups, -1)
    return reassign(seen, groups, rounds=3)


def fallen_apart(seen: Sequence[Observation], cells: Cells, groups: Int[Tensor, "cells"]) -> Int[Tensor, "cells"]:
    """The groups, where pieces that nothing holds together are groups of their own.

    Things that hardly any view shows together can be merged by a few stray cells: a picture with the television on the
    opposite wall. Two pieces of LEAST_CELLS cells or more hold together if masks join them in at least half
    (LEAST_AGREEMENT) of the views that show both, and if there is such a view. What does not hold together with the
    largest piece, directly or through others, is a group of its own; smaller pieces stay where they are.

    Args:
        seen: the cells that each view sees, and its masks.
        cells: cells of the surface.
        groups: group of each cell, numbered from 0; -1 for none.
    """
    found = pieces(cells, groups).of_size(LEAST_CELLS)
    joined, able = paired(seen, found)
    held = (joined >= LEAST_AGREEMENT * able.clamp(min=1)) & (found.of[:, None] == found.of)
    thing = torch.from_numpy(connected_components(csr_array(held.numpy()), directed=False)[1]).long()
    alone = found.cells_of(~torch.isin(thing, thing[found.is_body]))
    return by_size(torch.where(alone, len(cells) + thing[found.at], groups)) if alone.any() else groups


def without_crumbs(groups: Int[Tensor, "cells"]) -> Int[Tensor, "cells"]:
    """Drop groups of fewer than LEAST_CELLS cells; their cells get -1."""
    size = torch.bincount(groups[groups >= 0])
    return torch.where(size[groups] >= LEAST_CELLS, groups, -1)


def members(groups: Int[Tensor, "cells"]) -> Bool[Tensor, "groups cells"]:
    """The cells of each group."""
    return groups == torch.arange(int(groups.max()) + 1)[:, None]
