"""An object without the haze around it and without crumbs: in space, so that all pictures agree."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from disconerf_ns.scene.completion import Completion
from disconerf_ns.scene.matter import Matter
from disconerf_ns.scene.occupancy import Occupancy, with_neighbours
from disconerf_ns.scene.solid import Solid, connected_to, without_crumbs

FAINT = 0.1
"""Opacity of a ray across a voxel below which the voxel is haze, even beside solid ones."""
CRUMB = 0.01
"""Connected pieces with a smaller fraction of the largest one's voxels are crumbs, even beside it."""
RESOLUTION, PROBES = 64, 3
"""Voxels per axis, and points that are looked at in each."""
AROUND = 0.05
"""Width of the space around the solid that is looked at, as a fraction of the solid's diagonal."""


@dataclass(frozen=True)
class Body:
    """An object as it is looked at alone."""

    voxels: Occupancy
    """Voxels in which rays look for it."""
    completion: Completion | None = None
    """Replaces what the radiance field has where no photograph looked; None keeps the field."""


def clean_voxels(matter: Matter, solid: Solid) -> Occupancy:
    """The voxels in which an object is seen without haze and crumbs, and those next to them.

    As edges are found in pictures (hysteresis, Canny 1986): voxels that are more than faint are kept if they hang
    together with solid ones, across gaps of up to two voxels; crumbs beside them are not.

    Args:
        matter: the object.
        solid: its solid voxels, at least one.
    """
    low, high = solid.points.amin(0), solid.points.amax(0)
    margin = AROUND * (high - low).norm() + solid.volumes.max() ** (1 / 3)
    box = torch.stack([low - margin, high + margin])
    contraction = solid.grid.contraction
    options = {"threshold": FAINT, "grown": False, "share": matter.share}
    grid = Occupancy.build(matter.everything, contraction, box, RESOLUTION, PROBES, **options)
    middles = Solid(replace(grid, occupied=torch.ones_like(grid.occupied))).points
    solid_cells = solid.grid.holds(middles).view(grid.occupied.shape)
    cells = with_neighbours(without_crumbs(grid.occupied | solid_cells, CRUMB))
    return replace(grid, occupied=connected_to(solid_cells, cells))
