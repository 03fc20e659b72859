"""Surface cells, and the masks of each view as evidence of which cells belong together.

The surface is divided into the Voronoi cells of a random subset of its own points. Most of them are drawn evenly over
all pixels of all views, so cells are small where objects look large, and a fuzzy background gets cells only in
proportion to its pixels. The others are drawn evenly over all masks, so that small things are divided as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from disconerf_ns.surface.samples import SurfaceSamples

NEAR = 8
"""Number of nearest neighbours of a cell."""
OF_MASKS = 0.25
"""Fraction of the cells that are drawn evenly over masks; without them, things that fill less than 0.1 % of what is
seen have too few cells for a group."""

MaskedSurface = tuple[SurfaceSamples, Float[Tensor, "_ _"]]
"""Surface samples of a view, pixel by pixel, and binary masks (pixels, masks) of the same pixels."""


def solid_points(view: SurfaceSamples) -> Float[Tensor, "points 3"]:
    """Contracted surface points of the rays that have a surface, all points of a ray in a row, in main memory."""
    return view[view.solid].positions.flatten(0, 1).cpu()


@dataclass
class Cells:
    """The surface, divided into Voronoi cells."""

    seeds: Float[Tensor, "cells 3"]
    """One contracted surface point per cell, in [0, 1]^3."""

    def __post_init__(self):
        self._tree = KDTree(self.seeds.numpy(), leafsize=16)

    def __len__(self) -> int:
        return len(self.seeds)

    def at(self, points: Float[Tensor, "n 3"]) -> Int[Tensor, "n"]:
        """Index of the cell that holds each contracted point."""
        return torch.from_numpy(self._tree.query(points.numpy(), workers=-1)[1])

    def neighbours(self, count: int) -> Int[Tensor, "cells near"]:
        """Indices of the nearest other cells of each cell, at most `count`; its own for a cell that is alone."""
        near = min(count, len(self) - 1)
        if near < 1:
            return torch.arange(len(self))[:, None]
        _, nearest = self._tree.query(self.seeds.numpy(), near + 1, workers=-1)
        return torch.from_numpy(nearest)[:, 1:]

    def __getitem__(self, cells: slice | Bool[Tensor, "cells"]) -> Cells:
        """New cells around the selected seeds."""
        return Cells(self.seeds[cells])

    @classmethod
    def draw(cls, views: Sequence[MaskedSurface], count: int, seed: int = 0) -> Cells:
        """At most `count` cells around random surface points of the views, the first of them as random as all.

        Points are drawn one after the other without replacement, each by its `drawing_weight`: those of n cells are the
        n least of -ln(u) / weight, with u uniform in (0, 1] (Efraimidis and Spirakis 2006).

        Args:
            views: surface samples and binary masks of each view, pixel by pixel.
            count: maximum number of cells.
            seed: the same one draws the same cells.
        """
        points = torch.cat([solid_points(surface) for surface, _ in views])
        waiting = torch.empty(len(points), dtype=torch.double)
        waiting.exponential_(generator=torch.Generator().manual_seed(seed)).div_(drawing_weight(views))
        return cls(points[waiting.argsort()[:count]])


def drawing_weight(views: Sequence[MaskedSurface]) -> Float[Tensor, "points"]:
    """Weight with which each surface point of all views is drawn: (1 - f) / N + sum of f / (M n_m) over its masks m.

    N is the number of points, M that of masks, n_m that of points in mask m, and f is OF_MASKS. Without masks all
    points are alike; with them, the weights sum to 1.
    """
    of_masks, masks = [], 0
    for surface, inside in views:
        inside = inside[surface.solid].cpu().float()
        size = inside.sum(0)
        of_ray = inside @ torch.where(size > 0, 1 / size, 0)
        masks += int((size > 0).sum())
        of_masks.append(of_ray.repeat_interleave(surface.packed.shape[1]) / surface.packed.shape[1])
    weight = torch.cat(of_masks)
    return (1 - OF_MASKS) / len(weight) + OF_MASKS * weight / max(masks, 1)


@dataclass
class Observation:
    """The cells that one view sees, and the masks that hold them."""

    cells: Int[Tensor, "seen"]
    """Indices of the cells that the view sees, each once."""
    weight: Float[Tensor, "seen"]
    """Number of the view's surface points in each cell, a measure of the cell's size in the picture."""
    inside: Float[Tensor, "seen masks"]
    """Fraction of these points that lies in each mask, in [0, 1]."""

    @cached_property
    def similarity(self) -> tuple[Int[Tensor, "seen"], Float[Tensor, "kinds kinds"], Bool[Tensor, "kinds"]]:
        """Similarity of the view's cells by its masks, as the function `similarity` returns it."""
        return similarity(self.inside)


def observe(cells: Cells, views: Iterable[MaskedSurface]) -> Iterator[Observation]:
    """Observe the cells in one view after the other; the cells of all views' points are looked up at once.

    Args:
        cells: cells of the surface.
        views: surface samples and binary masks of each view, pixel by pixel.
    """
    views = list(views)
    points = [solid_points(surface) for surface, _ in views]
    found = cells.at(torch.cat(points)).split([len(part) for part in points]) if points else ()
    for (surface, masks), of_view in zip(views, found):
        seen, index = of_view.unique(return_inverse=True)
        masks = masks[surface.solid].cpu().repeat_interleave(surface.packed.shape[1], 0)
        weight = torch.bincount(index, minlength=len(seen)).float()
        inside = torch.zeros(len(seen), masks.shape[1]).index_add_(0, index, masks)
        yield Observation(seen, weight, inside / weight[:, None])


def similarity(
    inside: Float[Tensor, "seen masks"],
) -> tuple[Int[Tensor, "seen"], Float[Tensor, "kinds kinds"], Bool[Tensor, "kinds"]]:
    """Similarity of cells by the masks of one view: the Jaccard index of the sets of masks that hold two cells.

    A mask holds a cell if more than half of the cell's points lie in it. Cells in the same set of masks are of one
    kind, so the index is computed between kinds only.

    Returns:
        The kind of each cell, the index between kinds in [0, 1], and True for kinds that lie in at least one mask.
    """
    member = (inside > 0.5).numpy()
    codes = np.packbits(np.pad(member, ((0, 0), (0, 1))), axis=1)  # the padding gives views without masks a code too
    _, first, kind = np.unique(codes.view(f"V{codes.shape[1]}")[:, 0], return_index=True, return_inverse=True)
    sets = torch.from_numpy(member[first]).float()
    shared, size = sets @ sets.T, sets.sum(1)
    return torch.from_numpy(kind), shared / (size[:, None] + size[None] - shared).clamp(min=1), size > 0
