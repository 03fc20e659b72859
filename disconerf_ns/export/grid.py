"""An object's density on a grid of cubes over its solid voxels, without haze and crumbs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn.functional import grid_sample

from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.occupancy import Occupancy, with_neighbours
from disconerf_ns.scene.solid import with_enclosed

REACH = 4
"""Voxels around the solid ones in which the fuzz of their surface lies."""
HAZE = 0.1
"""Opacity over that distance below which density around solid voxels is haze."""
MARGIN = 2
"""Empty layers around the grid, which close every surface."""
AT_ONCE = 2**18
"""Grid points that the fields are asked about together."""


@dataclass(frozen=True, eq=False)
class ObjectGrid:
    """Values at the corners of a grid of cubes in contracted space, which is the scene's own inside the unit cube."""

    low: Float[Tensor, "3"]
    """Contracted position of the first corner."""
    step: float
    """Side of a cube in contracted coordinates."""
    contraction: Contraction
    density: Float[Tensor, "x y z"]
    """Density times ownership, per scene unit; 0 away from the solid voxels."""
    near: Bool[Tensor, "x y z"]
    """Corners that are the object's: in its solid voxels and what they enclose, or close to them and no haze."""

    @classmethod
    def of(cls, scene: ArrangedScene, id: ObjectId, resolution: int) -> ObjectGrid:
        """Ask the fields at an object's solid voxels and around them.

        Args:
            scene: the scene, whose edit says what the object is made of.
            id: the object; something of it is solid.
            resolution: cubes along the longest side of what is solid.
        """
        filled, radiance = _filled(scene.bodies.whole(id).grid), scene.trained.radiance
        matter = scene.bodies.matter(id).completed(scene.bodies.completion(id))
        around = replace(filled, occupied=with_neighbours(filled.occupied, REACH))
        cells = around.occupied.nonzero()
        cell = around.size / len(around.occupied)
        low, high = around.low + cells.amin(0) * cell, around.low + (cells.amax(0) + 1) * cell
        step = float((high - low).amax()) / resolution
        shape = [int(n) + 2 * MARGIN + 1 for n in ((high - low) / step).ceil()]
        density = torch.zeros(shape, device=low.device)
        nowhere = torch.zeros_like(density, dtype=torch.bool)
        grid = cls(low - MARGIN * step, step, radiance.contraction, density, nowhere)
        reach = REACH * float(cell.amax()) / step * grid.cube(scene.bodies.whole(id).points)
        corners = torch.cartesian_prod(*(torch.arange(n, device=low.device) for n in shape))
        with radiance.still():
            for some in corners.split(AT_ONCE):
                positions = grid.scene(some)
                there = around.holds(positions)
                if there.any():
                    x, y, z = some[there].unbind(-1)
                    own = matter.share(positions[there])
                    density[x, y, z] = matter.everything(positions[there]) * own
                    grid.near[x, y, z] = (own > 0.5) & (
                        filled.holds(positions[there]) | (density[x, y, z] * reach > -math.log1p(-HAZE))
                    )
        return grid

    def scene(self, places: Shaped[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Scene positions of places in the grid, which count in cubes."""
        return self.contraction.inverse(self.low + places * self.step)

    def places(self, positions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Places in the grid of scene positions."""
        return (self.contraction(positions) - self.low) / self.step

    def at(self, values: Float[Tensor, "x y z"], places: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Values between the grid's corners, trilinear; 0 outside."""
        size = torch.tensor(values.shape, device=values.device)
        unit = (2 * places / (size - 1) - 1).flip(-1).view(1, 1, 1, -1, 3)
        return grid_sample(values[None, None], unit, align_corners=True).view(places.shape[:-1])

    def cube(self, positions: Float[Tensor, "n 3"]) -> float:
        """Side of a cube in scene units, in the middle of some positions."""
        middle = self.places(positions).mean(0)
        return float((self.scene(middle + 0.5) - self.scene(middle - 0.5)).norm()) / 3**0.5


def _filled(grid: Occupancy) -> Occupancy:
    """The same grid with what its cells enclose in a horizontal layer: things are hollow below, where they stand."""
    layers = [with_enclosed(layer) for layer in grid.occupied.permute(2, 0, 1).cpu().numpy()]
    filled = torch.from_numpy(np.stack(layers)).permute(1, 2, 0).to(grid.occupied.device)
    return replace(grid, occupied=filled)
