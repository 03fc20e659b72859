"""An object without the haze around it and without crumbs: in space, so that all pictures agree, and in its alpha."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.occupancy import Occupancy

HAZE, BODY = 0.25, 0.85
"""Alpha up to which a pixel counts as haze, and from which on it counts as the object's alone."""


def cleaned(scene: ArrangedScene, id: ObjectId) -> Occupancy:
    """The voxels of an object's solid and those next to them, which hold all that is seen of it but haze and crumbs.

    An object of which nothing is solid keeps all of its voxels.
    """
    solid = scene.solid(id)
    if len(solid) == 0:
        return scene.occupancy(id)
    grid = solid.grid
    grown = torch.nn.functional.max_pool3d(grid.occupied[None, None].float(), 3, stride=1, padding=1)[0, 0] > 0
    return Occupancy(grid.box, grid.low, grid.size, grown, grid.contraction)


def crisp(alpha: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Alpha on a smooth curve (3 t^2 - 2 t^3) from 0 at `HAZE` to 1 at `BODY`."""
    t = ((alpha - HAZE) / (BODY - HAZE)).clamp(0, 1)
    return t * t * (3 - 2 * t)
