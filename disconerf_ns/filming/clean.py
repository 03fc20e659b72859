"""An object without the haze around it and without crumbs: in space, so that all pictures agree, and in its alpha."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId
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
HAZE, BODY = 0.25, 0.85
"""Alpha up to which a pixel counts as haze, and from which on it counts as the object's alone."""


def cleaned(scene: ArrangedScene, id: ObjectId) -> Occupancy:
    """The voxels in which an object is seen without haze and crumbs, and those next to them.

    As edges are found in pictures (hysteresis, Canny 1986): voxels that are more than faint are kept if they hang
    together with solid ones, across gaps of up to two voxels; crumbs beside them are not. An object of which nothing is
    solid keeps all.
    """
    solid = scene.solid(id)
    if len(solid) == 0:
        return scene.occupancy(id)
    radiance, low, high = scene.trained.radiance, solid.points.amin(0), solid.points.amax(0)
    margin = AROUND * (high - low).norm() + solid.volumes.max() ** (1 / 3)
    with radiance.still():
        box = torch.stack([low - margin, high + margin])
        grid = Occupancy.build(scene.density_of(id), radiance.contraction, box, RESOLUTION, PROBES, FAINT, grown=False)
    middles = Solid(replace(grid, occupied=torch.ones_like(grid.occupied))).points
    solid_cells = solid.grid.holds(middles).view(grid.occupied.shape)
    cells = with_neighbours(without_crumbs(grid.occupied | solid_cells, CRUMB))
    return replace(grid, occupied=connected_to(solid_cells, cells))


def connected_to(seeds: Bool[Tensor, "x y z"], cells: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """The cells in pieces, neighbours by a corner being connected, that hold one of the seeds."""
    pieces = pieces_of(cells)
    held = np.unique(pieces[seeds.cpu().numpy()])
    return torch.from_numpy(np.isin(pieces, held[held > 0])).to(cells.device)


def crisp(alpha: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Alpha on a smooth curve (3 t^2 - 2 t^3) from 0 at `HAZE` to 1 at `BODY`."""
    t = ((alpha - HAZE) / (BODY - HAZE)).clamp(0, 1)
    return t * t * (3 - 2 * t)
