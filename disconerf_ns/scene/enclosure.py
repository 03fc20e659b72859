"""The hidden space that belongs to an object: its closed surface encloses it, and no photograph saw it.

The closed surface goes on where nothing was seen, so it also encloses the space below a table, behind its legs. There,
photographs looked past the object into the open: the space is enclosed by nothing that was seen. Each connected region
of hidden voxels belongs to the object only where seen surface closes it off.

Where something touches an object, much of its surface there was never seen, and the smooth surface may bend inwards. So
the convex hull of its seen points encloses such space as well, unless it is inside of another object.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor

from disconerf_ns.scene.closed_surface import ClosedSurface
from disconerf_ns.scene.occupancy import with_neighbours
from disconerf_ns.scene.seen_rays import SeenRays
from disconerf_ns.scene.solid import connected_to
from disconerf_ns.scene.voxels import Voxels

SHELL = 2
"""Voxels around what rays passed that count as seen."""
AROUND = 5
"""Voxels around an object in which it may spoil the colours of its neighbours, or stick out into them."""
BESIDE = 4
"""Voxels around seen points that count as surface, since points of one surface lie in several layers of voxels: the
shorter the radiance stage, the more."""
OPEN = 0.1
"""A region is open if more than this many of its faces border on space that was seen empty, for each face that borders
on the object's own seen surface."""


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Voxels over and around an object's box: what was seen there, and what the object's closed surface encloses."""

    surface: ClosedSurface
    voxels: Voxels
    skin: Bool[Tensor, "x y z"]
    """Voxels that hold seen points of the object."""
    crowded: Bool[Tensor, "x y z"]
    """Voxels that hold seen points of others."""
    hidden: Bool[Tensor, "x y z"]
    """Voxels that no photograph looked into."""
    filled: Bool[Tensor, "x y z"]
    """Voxels inside of the closed surface that the object is completed in."""
    opened: Bool[Tensor, "x y z"]
    """Voxels inside of the closed surface that lie in an open region."""
    hulled: Bool[Tensor, "x y z"]
    """Voxels inside of the hull alone; the object is completed in those that no other object's surface encloses."""

    @classmethod
    def of(cls, surface: ClosedSurface, box: Float[Tensor, "2 3"], rays: SeenRays, strangers: SeenRays) -> Enclosure:
        """Find what an object's surface encloses.

        Args:
            surface: the object's.
            box: its box in scene coordinates.
            rays: of the training views.
            strangers: those of them that do not end on the object.
        """
        voxels = Voxels.over(box, surface.side, AROUND)
        seen = voxels.seen(rays)
        skin, crowded = voxels.holding(surface.own.points), voxels.holding(strangers.points)
        hidden = ~with_neighbours(seen, SHELL)
        unseen = with_neighbours(hidden, SHELL) & ~seen
        inside = voxels.inside(unseen, surface.holds)
        past = outside(seen & ~with_neighbours(skin | crowded, BESIDE))
        opened = open_regions(inside, with_neighbours(skin, BESIDE) & ~inside, past)
        hulled = voxels.inside(unseen & ~inside, surface.hulls)
        hulled &= ~open_regions(hulled, with_neighbours(skin, BESIDE) & ~hulled, past | opened)
        return cls(surface, voxels, skin, crowded, hidden, inside & ~opened, opened, hulled)

    def holds(self, positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        """Whether scene positions are inside of the closed surface, and not in an open region."""
        return self.surface.holds(positions) & ~self.voxels.within(self.opened, positions)


def outside(empty: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """Voxels of empty space that reach the border of the grid; not those where rays end deep inside of things."""
    border = torch.ones_like(empty)
    border[1:-1, 1:-1, 1:-1] = False
    return connected_to(border & empty, empty)


def open_regions(
    inside: Bool[Tensor, "x y z"], own: Bool[Tensor, "x y z"], past: Bool[Tensor, "x y z"]
) -> Bool[Tensor, "x y z"]:
    """The connected regions of voxels that border on open space rather than on an object's seen surface.

    Args:
        inside: voxels of the regions.
        own: voxels of the object's seen surface.
        past: voxels that photographs saw and found empty.
    """
    numbers = np.zeros(inside.shape, np.int32)
    ndimage.label(inside.cpu().numpy(), output=numbers)
    regions = torch.from_numpy(numbers).to(inside.device).long()
    opened = borders(regions, past) > OPEN * borders(regions, own)
    opened[0] = False
    return opened[regions]


def borders(regions: Int[Tensor, "x y z"], beyond: Bool[Tensor, "x y z"]) -> Int[Tensor, "regions"]:
    """How many faces each region of voxels, numbered from 0, shares with some other voxels."""
    faces = torch.zeros(int(regions.max()) + 1, dtype=torch.long, device=regions.device)
    for axis in range(3):
        region, other = regions.movedim(axis, 0), beyond.movedim(axis, 0)
        for here, there in (slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None)):
            faces += torch.bincount(region[here][other[there]], minlength=len(faces))
    return faces
