"""Objects that masks cut elsewhere in each view: where a border is drawn now here and now there, there is none.

A mask of a piece of something, such as a facet of a cloth, ends at a fold, a shadow or a highlight, and these lie
elsewhere in the next view. So most views put cells on both sides of such a border into one mask, although cells that
are far apart are hardly ever in one. At a true border the masks of all views end, but for their errors of some pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from disconerf_ns.discovery.cells import NEAR, Cells
from disconerf_ns.discovery.consensus import LEAST_CELLS, Evidence
from disconerf_ns.discovery.islands import pieces
from disconerf_ns.discovery.joining import joined

CLOSE = 4 * NEAR
"""Number of nearest cells of a cell that are close to it; of the nearest NEAR ones, errors of masks' borders decide."""
CONTINUED = 0.6
"""Minimum mean similarity of close cells on both sides of a border for there to be no border. Noisy masks of the
benchmark's scenes have at most 0.52 at true borders (`benchmarks.continued`)."""
LEAST_SEEN = 60.0
"""Number of views, summed over these pairs of cells, below which their similarity is taken for smaller."""


def continued(
    cells: Cells, evidence: Evidence, groups: Int[Tensor, "cells"], units: Sequence[frozenset[int]]
) -> list[tuple[frozenset[int], float]]:
    """Join units of groups that go on across their border.

    The two units with the largest similarity at their border are joined, while it is at least CONTINUED.

    Args:
        cells: cells of the surface.
        evidence: evidence of all views about pairs of them.
        groups: group of each cell, -1 for none.
        units: sets of groups, of which no two overlap.
    Returns:
        The unions in the order in which they are made, and the similarity at the border in each, from CONTINUED to 1.
    """
    tables = at_borders(cells, evidence, without_strays(cells, unit_of(units, groups)), len(units))
    return joined(units, tables, lambda similar, views: similar / views.clamp(min=LEAST_SEEN), CONTINUED)


def largest(unions: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """The unions that lie in no other one."""
    return [union for union in unions if not any(union < other for other in unions)]


def at_borders(
    cells: Cells, evidence: Evidence, units: Int[Tensor, "cells"], count: int
) -> tuple[Float[Tensor, "units units"], Float[Tensor, "units units"]]:
    """Similarity of close cells of each two units, summed over the views that see both, and the number of these views.

    Args:
        cells: cells of the surface.
        evidence: evidence of all views about pairs of them.
        units: unit of each cell, from 0 to `count` - 1, or -1 for none.
        count: number of units.
    """
    close = cells.neighbours(CLOSE)[:, NEAR:]
    one, other = torch.arange(len(cells))[:, None].expand_as(close).flatten(), close.flatten()
    known = (units[one] >= 0) & (units[other] >= 0)
    one, other = one[known], other[known]
    tables = torch.zeros(2, count, count)
    for table, about in zip(tables, evidence):
        table.index_put_((units[one], units[other]), about[one, other], accumulate=True)
    similar, views = tables + tables.transpose(1, 2)
    return similar, views


def without_strays(cells: Cells, units: Int[Tensor, "cells"]) -> Int[Tensor, "cells"]:
    """The unit of each cell, -1 also for a few cells apart from all others of their unit.

    Such cells lie in the midst of another unit, whose masks hold them, and so they would make it go on into theirs.
    """
    found = pieces(cells, units)
    return torch.where(found.cells_of((found.size < LEAST_CELLS) & ~found.is_body), -1, units)


def unit_of(units: Sequence[frozenset[int]], groups: Int[Tensor, "cells"]) -> Int[Tensor, "cells"]:
    """The unit that each cell's group lies in; -1 for none."""
    unit = torch.full((int(groups.max()) + 2,), -1)
    for index, members in enumerate(units):
        unit[list(members)] = index
    return unit[groups]
