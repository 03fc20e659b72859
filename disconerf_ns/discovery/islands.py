"""Islands: pieces of an object, apart from its body, that no mask puts together with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from disconerf_ns.discovery.cells import NEAR, Cells, Observation
from disconerf_ns.discovery.explanation import MOSTLY
from disconerf_ns.discovery.nobody import COVERED
from disconerf_ns.discovery.shown import LEAST_POINTS

DOUBTFUL = 2.0
"""Number of views that join nothing, added to those that could join a piece, because few views see a small one."""


def islands(seen: Sequence[Observation], cells: Cells, objects: Int[Tensor, "cells"]) -> Bool[Tensor, "cells"]:
    """True for cells of islands.

    The cells of an object fall into pieces: cells that are neighbours in space, one to the next. The largest piece is
    the body. Another piece is part of the object if a mask holds most of the piece and most of what else the view
    shows of the object, in more than a quarter (COVERED) of the views that show both; to these, two (DOUBTFUL) are
    added, in which no mask does. Otherwise it is an island.

    A view that shows the piece alone, because the rest of the object is hidden or out of the picture, says nothing. So
    an object in two pieces, such as a table seen left and right of a box that stands on it, stays one object if the
    masks of the views that show both pieces join them, or if no view ever shows both.

    Args:
        seen: the cells that each view sees, and its masks.
        cells: cells of the surface.
        objects: object of each cell, numbered from 0; -1 for nobody, who has no islands.
    """
    piece = pieces(cells, objects)
    count, things = int(piece.max()) + 1, int(objects.max()) + 1
    if things == 0:
        return torch.zeros_like(objects, dtype=torch.bool)
    of = torch.zeros(count, dtype=torch.long).index_put_((piece[piece >= 0],), objects[piece >= 0])
    size = torch.bincount(piece[piece >= 0], minlength=count)
    largest = torch.zeros(things, dtype=torch.long).scatter_reduce_(0, of, size, "amax")
    joined, able = torch.zeros(2, count)
    for view in seen:
        there = piece[view.cells] >= 0
        which, weight = piece[view.cells][there], view.weight[there]
        shown = torch.zeros(count).index_add_(0, which, weight)
        held = torch.zeros(count, view.inside.shape[1]).index_add_(0, which, weight[:, None] * view.inside[there])
        others = torch.zeros(things).index_add_(0, of, shown)[of] - shown
        others_held = torch.zeros(things, held.shape[1]).index_add_(0, of, held)[of] - held
        says = (shown > 0) & (others >= LEAST_POINTS)
        both = (held > MOSTLY * shown[:, None]) & (others_held > MOSTLY * others[:, None])
        joined += says & both.any(1)
        able += says
    alone = (size < largest[of]) & (able > 0) & (joined <= COVERED * (able + DOUBTFUL))
    return (piece >= 0) & alone[piece]


def pieces(cells: Cells, objects: Int[Tensor, "cells"]) -> Int[Tensor, "cells"]:
    """The piece of its object that each cell is in, numbered over all objects; -1 for cells without an object."""
    near = cells.neighbours(NEAR)
    cell = torch.arange(len(near))[:, None].expand_as(near)
    same = (objects[near] == objects[:, None]) & (objects[:, None] >= 0)
    links = coo_array((torch.ones(int(same.sum())), (cell[same], near[same])), shape=(len(near), len(near)))
    piece = torch.from_numpy(connected_components(links, directed=False)[1]).long()
    return torch.where(objects >= 0, piece, -1)
