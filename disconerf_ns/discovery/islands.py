"""Islands: pieces of an object, apart from its body, that are too small or that masks do not put together with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from disconerf_ns.discovery.cells import NEAR, Cells, Observation
from disconerf_ns.discovery.consensus import LEAST_AGREEMENT, LEAST_CELLS, LEAST_POINTS
from disconerf_ns.discovery.explanation import MOSTLY

FULLY = 0.25
"""A view shows a piece if it shows at least this fraction of the cells that the best view shows of it. Fewer are no
sight of it: where a surface is fuzzy, rays that pass beside a thing end in some of its cells."""


def without_islands(
    seen: Sequence[Observation],
    cells: Cells,
    slots: Int[Tensor, "cells"],
    owner: Int[Tensor, "slots"],
) -> Int[Tensor, "cells"]:
    """The slots of the cells, where islands have the slot of what surrounds them.

    The cells of an object fall into pieces: cells that are neighbours in space, one to the next. The largest piece is
    the body. Another piece is an island

    - if it has fewer than LEAST_CELLS cells, or
    - if masks join it with the object in less than half (LEAST_AGREEMENT) of the views that show both. A mask joins
      them if it holds most of the piece and most of what else the view shows of the object.

    A view that shows the piece alone, because the rest of the object is hidden or out of the picture, says nothing. So
    an object in two pieces, such as a table seen left and right of a box that stands on it, stays one object if masks
    hold both pieces, or if no view ever shows both.

    A cell of an island gets the slot of the nearest cell that is on no island: the rest's where nobody owns that one.

    Args:
        seen: the cells that each view sees, and its masks.
        cells: cells of the surface.
        slots: slot of each cell, numbered from 0; -1 for none.
        owner: object that each slot lies in; -1 for the rest, which has no islands.
    """
    alone = islands(seen, cells, torch.where(slots >= 0, owner[slots], -1))
    if not alone.any():
        return slots
    nearest = cells[~alone].at(cells.seeds[alone])
    return slots.masked_scatter(alone, slots[~alone][nearest])


def islands(seen: Sequence[Observation], cells: Cells, objects: Int[Tensor, "cells"]) -> Bool[Tensor, "cells"]:
    """True for cells of islands; `objects` has the object of each cell, -1 for none. See `without_islands`."""
    found = pieces(cells, objects)
    joined, able = joins(seen, found)
    apart = (found.size < LEAST_CELLS) | (joined < LEAST_AGREEMENT * able)
    return found.cells_of(apart & ~found.is_body)


class Pieces(NamedTuple):
    """The pieces that objects fall into: cells that are neighbours in space, one to the next."""

    at: Int[Tensor, "cells"]
    """The piece that each cell is in, -1 for cells without an object."""
    of: Int[Tensor, "pieces"]
    """The object of each piece."""

    @property
    def size(self) -> Int[Tensor, "pieces"]:
        """Number of cells of each piece."""
        return torch.bincount(self.at[self.at >= 0], minlength=len(self.of))

    @property
    def is_body(self) -> Bool[Tensor, "pieces"]:
        """True for the largest piece of each object, and for one of them if several are."""
        by_size = self.size.argsort(descending=True, stable=True)
        first = np.unique(self.of[by_size].numpy(), return_index=True)[1]
        return torch.zeros(len(self.of), dtype=torch.bool).index_fill_(0, by_size[torch.from_numpy(first)], True)

    def of_size(self, least: int) -> Pieces:
        """The pieces of at least so many cells; the cells of others are in none."""
        kept = self.size >= least
        number = torch.cat([torch.where(kept, kept.cumsum(0) - 1, -1), torch.tensor([-1])])
        return Pieces(number[self.at], self.of[kept])

    def cells_of(self, chosen: Bool[Tensor, "pieces"]) -> Bool[Tensor, "cells"]:
        """True for the cells of some of the pieces."""
        return torch.cat([chosen, chosen.new_zeros(1)])[self.at]


def joins(seen: Sequence[Observation], pieces: Pieces) -> tuple[Float[Tensor, "pieces"], Float[Tensor, "pieces"]]:
    """Number of views in which a mask joins each piece with the rest of its object, and of views that show both.

    A mask joins them if it holds most of the piece and most of what else the view shows of the object.
    """
    things = int(pieces.of.max()) + 1 if len(pieces.of) else 0
    joined, able = torch.zeros(2, len(pieces.of))
    for view in seen:
        shown, held = shown_and_held(view, pieces)
        others = torch.zeros(things).index_add_(0, pieces.of, shown)[pieces.of] - shown
        others_held = torch.zeros(things, held.shape[1]).index_add_(0, pieces.of, held)[pieces.of] - held
        both = (held > MOSTLY * shown[:, None]) & (others_held > MOSTLY * others[:, None])
        says = (shown > 0) & (others >= LEAST_POINTS)
        joined += says & both.any(1)
        able += says
    return joined, able


def paired(
    seen: Sequence[Observation], pieces: Pieces
) -> tuple[Float[Tensor, "pieces pieces"], Float[Tensor, "pieces pieces"]]:
    """Number of views in which a mask holds most of each two pieces, and of views that show both.

    A view counts as showing a piece from FULLY of its cells on.
    """
    count = len(pieces.of)
    known = (pieces.at[view.cells] for view in seen)
    cells = torch.stack([torch.bincount(at[at >= 0], minlength=count) for at in known])
    joined, able = torch.zeros(2, count, count)
    for view, shows in zip(seen, (cells > 0) & (cells >= FULLY * cells.amax(0))):
        shown, held = shown_and_held(view, pieces)
        most = (shows[:, None] & (held > MOSTLY * shown[:, None])).float()
        joined += (most @ most.T > 0).float()
        able += torch.outer(shows.float(), shows.float())
    return joined, able


def shown_and_held(view: Observation, pieces: Pieces) -> tuple[Float[Tensor, "pieces"], Float[Tensor, "pieces masks"]]:
    """How much a view shows of each piece, in surface points, and how much of that each mask holds."""
    count, at = len(pieces.of), pieces.at[view.cells]
    there = at >= 0
    which, weight, inside = at[there], view.weight[there], view.inside[there]
    shown = torch.zeros(count).index_add_(0, which, weight)
    return shown, torch.zeros(count, inside.shape[1]).index_add_(0, which, weight[:, None] * inside)


def pieces(cells: Cells, objects: Int[Tensor, "cells"]) -> Pieces:
    """The pieces of objects; `objects` has the object of each cell, -1 for none."""
    known = objects >= 0
    near = cells.neighbours(NEAR)
    cell = torch.arange(len(near))[:, None].expand_as(near)
    same = known[:, None] & (objects[near] == objects[:, None])
    links = coo_array((torch.ones(int(same.sum())), (cell[same], near[same])), shape=(len(near), len(near)))
    found = torch.from_numpy(connected_components(links, directed=False)[1]).long()
    _, number = found[known].unique(return_inverse=True)
    of = torch.zeros(int(number.max()) + 1 if len(number) else 0, dtype=torch.long)
    of[number] = objects[known]
    return Pieces(torch.full_like(objects, -1).masked_scatter(known, number), of)
