"""The colours of an object where no photograph saw it, or where other things spoil them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from disconerf_ns.scene.closed_surface import LEAST
from disconerf_ns.scene.enclosure import AROUND, Enclosure
from disconerf_ns.scene.occupancy import with_neighbours
from disconerf_ns.scene.spread_colors import harmonic, pull_push

OUTER = 2
"""Voxels below the surface of what is completed that rays see."""
FREE = 7
"""Voxels between other objects and seen points whose colours are surely the object's own."""
MIXED = 2
"""Voxels around seen points of others in which all colours are mixed."""
DRAWN = 256
"""Seen points whose colours are looked at, at most."""
ALIKE, COMMON = 0.08, 0.02
"""An object has a colour if at least the fraction COMMON of its colours are at most ALIKE away in RGB."""
SHADES = 33
"""Values of red, green and blue at which it is looked up how strange a colour is."""
AT_ONCE = 2**13
"""Colours that are looked at together."""

FieldColors = Callable[[Float[Tensor, "n 3"], Float[Tensor, "n 3"]], Float[Tensor, "n 3"]]
"""RGB at scene positions as seen along unit directions."""


@dataclass(frozen=True, eq=False)
class Palette:
    """The colours that an object has, and by how much others are strange to it."""

    strange: Float[Tensor, "blue green red"]
    """How strange evenly spaced colours are, in [0, 1]: 0 up to the distance ALIKE from the object's own, 1 from twice
    that distance on."""

    @classmethod
    def of(cls, own: Float[Tensor, "points 3"]) -> Palette:
        """The palette of colours in [0, 1], at least one."""
        known = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(0))[:DRAWN].to(own.device)]
        shades = torch.linspace(0, 1, SHADES, device=own.device)
        every = torch.cartesian_prod(shades, shades, shades).flip(-1)
        count = math.ceil(COMMON * len(known))
        apart = torch.cat([torch.cdist(some, known).kthvalue(count).values for some in every.split(AT_ONCE)])
        return cls((apart / ALIKE - 1).clamp(0, 1).view(SHADES, SHADES, SHADES))

    def strangeness(self, rgb: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """How strange colours in [0, 1] are, in [0, 1]."""
        places = (2 * rgb - 1).view(1, 1, 1, -1, 3)
        return grid_sample(self.strange[None, None], places, padding_mode="border", align_corners=True)[0, 0, 0, 0]


class CompletedColors(NamedTuple):
    """The colours of an object in voxels over and around it."""

    palette: Palette
    known: Bool[Tensor, "x y z"]
    """Voxels that have a colour."""
    mixed: Bool[Tensor, "x y z"]
    """Voxels in which this colour replaces the radiance field's, whatever that is."""
    rgb: Float[Tensor, "3 x y z"]
    """The colours in [0, 1], 0 where none is known."""

    @classmethod
    def of(cls, enclosure: Enclosure, field: FieldColors, near: Bool[Tensor, "x y z"]) -> CompletedColors:
        """Spread the colours of seen points over what is completed, and over what is beside other objects.

        Args:
            field: colours of the radiance field.
            near: voxels at the object's seen surface.
        """
        voxels, own, filled = enclosure.voxels, enclosure.surface.own, enclosure.filled
        mixed, beside, around = (with_neighbours(enclosure.crowded, reach) for reach in (MIXED, AROUND, FREE))
        rgb = field(own.points, own.directions).clamp(0, 1)
        free = ~voxels.within(around, own.points)
        palette = Palette.of(rgb[free] if free.sum() >= LEAST else rgb)
        sure = free | (~voxels.within(mixed, own.points) & (palette.strangeness(rgb) < 0.5))
        sure = sure if sure.sum() >= LEAST else torch.ones_like(sure)
        known = filled | (beside & near)
        seen, means = voxels.means(own.points[sure], rgb[sure])
        surface = known & ~seen & with_neighbours(~(filled | with_neighbours(enclosure.skin)), OUTER)
        colors = harmonic(surface, seen, pull_push(seen, means))
        return cls(palette, known, filled | (mixed & near), colors * known)
