"""What the masks of each view say about the surface: which of its cells lie together in a mask, and which do not.

The surface is divided into the Voronoi cells of some of its own points, drawn evenly over all pixels of all views, so
that cells are small where objects look large, and a fuzzy background costs as many cells as its picture does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from disconerf_ns.surface.samples import SurfaceSamples

MaskedSurface = tuple[SurfaceSamples, Float[Tensor, "_ _"]]
"""What is seen in a view, pixel by pixel, and the binary masks (pixels, masks) of the same pixels."""


def solid_points(view: SurfaceSamples) -> Float[Tensor, "points 3"]:
    """Contracted surface points of the rays that have a surface, all points of a ray one after the other."""
    return view[view.solid].positions.flatten(0, 1).cpu()


@dataclass
class Cells:
    """The surface in Voronoi cells."""

    seeds: Float[Tensor, "cells 3"]
    """A contracted surface point for each cell."""

    def __post_init__(self):
        self._tree = cKDTree(self.seeds.numpy())

    def __len__(self) -> int:
        return len(self.seeds)

    def at(self, points: Float[Tensor, "n 3"]) -> Int[Tensor, "n"]:
        """The cell of each contracted point."""
        return torch.from_numpy(self._tree.query(points.numpy(), workers=-1)[1])

    def __getitem__(self, cells: slice | Bool[Tensor, "cells"]) -> Cells:
        """Some of the seeds, with cells of their own."""
        return Cells(self.seeds[cells])

    @classmethod
    def draw(cls, views: Iterable[SurfaceSamples], count: int, seed: int = 0) -> Cells:
        """At most `count` cells, their seeds drawn at random from the views' surface points; the same for a `seed`."""
        points = torch.cat([solid_points(view) for view in views])
        generator = torch.Generator().manual_seed(seed)
        return cls(points[torch.randperm(len(points), generator=generator)[:count]])


@dataclass
class Observation:
    """The cells that one view sees, and the masks that they lie in."""

    cells: Int[Tensor, "seen"]
    """Cells, each once."""
    weight: Float[Tensor, "seen"]
    """Surface points of the view in each cell, a measure of its size in the picture."""
    inside: Float[Tensor, "seen masks"]
    """Part of those points that lie in each mask, in [0, 1]."""

    @cached_property
    def similarity(self) -> tuple[Int[Tensor, "seen"], Float[Tensor, "kinds kinds"], Bool[Tensor, "kinds"]]:
        """How far the view's masks put two of its cells together, between kinds of cells; see `similarity`."""
        return similarity(self.inside)


def observe(cells: Cells, views: Iterable[MaskedSurface]) -> Iterator[Observation]:
    """Look at the cells from every view.

    Args:
        cells: the surface's cells.
        views: surface samples and binary masks of each view, pixel by pixel.
    """
    for surface, masks in views:
        found, where = cells.at(solid_points(surface)).unique(return_inverse=True)
        masks = masks[surface.solid].cpu().repeat_interleave(surface.packed.shape[1], 0)
        weight = torch.bincount(where, minlength=len(found)).float()
        inside = torch.zeros(len(found), masks.shape[1]).index_add_(0, where, masks)
        yield Observation(found, weight, inside / weight[:, None])


def similarity(
    inside: Float[Tensor, "seen masks"],
) -> tuple[Int[Tensor, "seen"], Float[Tensor, "kinds kinds"], Bool[Tensor, "kinds"]]:
    """How far the masks of one view put two cells together: the Jaccard index of the sets of masks that they lie in.

    Cells in the same set of masks are of one kind, so the index is computed between kinds only.

    Returns:
        The kind of each cell, the index between kinds in [0, 1], and the kinds that lie in any mask at all.
    """
    member = (inside > 0.5).numpy()
    codes = np.packbits(np.pad(member, ((0, 0), (0, 1))), axis=1)  # the pad keeps a code where there are no masks
    _, first, kind = np.unique(codes.view(f"V{codes.shape[1]}")[:, 0], return_index=True, return_inverse=True)
    sets = torch.from_numpy(member[first]).float()
    shared, size = sets @ sets.T, sets.sum(1)
    return torch.from_numpy(kind), shared / (size[:, None] + size[None] - shared).clamp(min=1), size > 0
