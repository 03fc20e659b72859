"""Nobody's surface: cells that masks could have covered and never did."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from disconerf_ns.discovery.cells import NEAR, Cells, Observation

COVERED = 0.25
"""Minimum fraction of the views that see an object's cell in which a mask holds the cell."""
EXPECTED = 4.0
"""Number of views that the coverage of neighbouring cells counts as, because few views see a cell."""
LEAST_REST = 0.005
"""Minimum fraction of all cells that is worth a slot of its own."""


def uncovered(seen: Sequence[Observation], cells: Cells) -> Bool[Tensor, "cells"]:
    """True for cells that hardly any view that sees them, or their neighbours, covers by a mask."""
    covered, views = torch.zeros(2, len(cells))
    for view in seen:
        covered.index_add_(0, view.cells, (view.inside > 0.5).any(1).float())
        views.index_add_(0, view.cells, torch.ones(len(view.cells)))
    near = cells.neighbours(NEAR)
    expected = covered[near].sum(1) / views[near].sum(1).clamp(min=1)
    return covered + EXPECTED * expected <= COVERED * (views + EXPECTED)
