"""Nobody's surface: cells that masks could have covered and never did."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from disconerf_ns.discovery.cells import NEAR, Cells, Observation

COVERED = 0.25
"""Minimum fraction of the views that see an object's cell in which a mask holds the cell."""
EXPECTED = 4.0
"""Number of views that the coverage of neighbouring cells counts as, because few views see a cell."""
LEAST_REST = 0.005
"""Minimum fraction of all surface points that is worth a slot of its own."""
MIDWAY = 0.5
"""Coverage at the border of an object and the rest, as a fraction of the object's own."""


def coverage(seen: Sequence[Observation], cells: Cells) -> Float[Tensor, "cells"]:
    """Fraction of the views that see a cell, or its neighbours, in which a mask holds it, in [0, 1].

    A mask holds a cell if more than half of the cell's points lie in it.
    """
    covered, views = torch.zeros(2, len(cells))
    for view in seen:
        covered.index_add_(0, view.cells, (view.inside > 0.5).any(1).float())
        views.index_add_(0, view.cells, torch.ones(len(view.cells)))
    near = cells.neighbours(NEAR)
    expected = covered[near].sum(1) / views[near].sum(1).clamp(min=1)
    return (covered + EXPECTED * expected) / (views + EXPECTED)


def uncovered(seen: Sequence[Observation], cells: Cells) -> Bool[Tensor, "cells"]:
    """True for cells that hardly any view that sees them, or their neighbours, covers by a mask."""
    return coverage(seen, cells) <= COVERED


def share(seen: Sequence[Observation], chosen: Bool[Tensor, "cells"]) -> float:
    """Fraction of the surface points of all views that lie in the chosen cells, in [0, 1]."""
    inside = sum(float(view.weight[chosen[view.cells]].sum()) for view in seen)
    return inside / max(sum(float(view.weight.sum()) for view in seen), 1.0)


def beyond_border(
    covered: Float[Tensor, "cells"], cells: Cells, slots: Int[Tensor, "cells"], rest: int
) -> Bool[Tensor, "cells"]:
    """True for cells of objects that masks cover less than half as often as the object, from the rest's border inwards.

    The borders of masks err, so a cell of the rest beside an object lies in a mask in some views, and in more of them
    than COVERED allows. That limit is low because the masks of some objects are often missing; how often those of an
    object are there, its cells tell in the mean. Whose these cells are is left to the masks: thin parts of an object,
    such as a chair's legs, are covered as seldom.

    Args:
        covered: `coverage` of each cell.
        cells: cells of the surface.
        slots: slot of each cell, -1 for none.
        rest: the slot of the rest.
    """
    known = slots >= 0
    count = torch.bincount(slots[known])
    usual = torch.zeros(len(count)).index_add_(0, slots[known], covered[known]) / count.clamp(min=1)
    seldom = known & (slots != rest) & (covered < MIDWAY * usual[slots])
    reached, near = slots == rest, cells.neighbours(NEAR)
    while (further := seldom & ~reached & reached[near].any(1)).any():
        reached |= further
    return reached & seldom
