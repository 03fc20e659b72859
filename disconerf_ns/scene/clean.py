"""The voxels of an object without the haze around it and without crumbs: in space, so that all pictures agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from disconerf_ns.scene.occupancy import Occupancy, with_neighbours
from disconerf_ns.scene.solid import Solid, pieces_of, without_crumbs

FAINT = 0.1
"""Opacity of a ray across a voxel below which the voxel is haze, even beside solid ones."""
CRUMB = 0.01
"""Connected pieces with a smaller fraction of the largest one's voxels are crumbs, even beside it."""
RESOLUTION, PROBES = 64, 3
"""Voxels per axis, and points that are looked at in each."""
AROUND = 0.05
"""Width of the space around the solid that is looked at, as a fraction of the solid's diagonal."""


AtPositions = Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n"]]
"""A number at scene positions."""


def clean_voxels(density: AtPositions, share: AtPositions, solid: Solid) -> Occupancy:
    """The voxels in which an object is seen without haze and crumbs, and those next to them.

    As edges are found in pictures (hysteresis, Canny 1986): voxels that are more than faint are kept if they hang
    together with solid ones, across gaps of up to two voxels; crumbs beside them are not.

    Args:
        density: the density of everything at scene positions.
        share: the part of it that is the object's, in [0, 1].
        solid: its solid voxels, at least one.
    """
    low, high = solid.points.amin(0), solid.points.amax(0)
    margin = AROUND * (high - low).norm() + solid.volumes.max() ** (1 / 3)
    box = torch.stack([low - margin, high + margin])
    grid = Occupancy.build(density, solid.grid.contraction, box, RESOLUTION, PROBES, FAINT, grown=False, share=share)
    middles = Solid(replace(grid, occupied=torch.ones_like(grid.occupied))).points
    solid_cells = solid.grid.holds(middles).view(grid.occupied.shape)
    cells = with_neighbours(without_crumbs(grid.occupied | solid_cells, CRUMB))
    return replace(grid, occupied=connected_to(solid_cells, cells))


def connected_to(seeds: Bool[Tensor, "x y z"], cells: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """The cells in pieces, neighbours by a corner being connected, that hold one of the seeds."""
    pieces = pieces_of(cells)
    held = np.unique(pieces[seeds.cpu().numpy()])
    return torch.from_numpy(np.isin(pieces, held[held > 0])).to(cells.device)
