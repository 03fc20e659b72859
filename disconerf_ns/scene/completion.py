"""Amodal completion: what no photograph saw of an object, guessed from the surface that they saw.

The density of a radiance field is arbitrary where no photograph looked: under a thing that stands on a table, between
two books, inside of everything. When what hides such a place is taken away, it shows bits of all neighbours. Here, it
is emptied, and belongs to the object as far as it lies inside of the object's closed surface, or of its hull where no
other object is.

Where things touch, photographs hardly look in between, and the field's surface is ragged there: bits of one thing stick
out into the other. What lies inside of another object's closed surface, and not inside of the object's own, is emptied
as well where the object is shown without the other. A coarse surface, such as that of a table, says nothing of small
things on it.

Colours are means of the seen ones, weighted by 1 / distance^3 (Shepard 1968). Beside another thing, an object's own
colours are mixed with those of that thing and its shadow, so seen points there do not count. Once the thing is gone, or
the object is shown without it, the surface beside it takes a mean as well where its colour is strange: one that the
object hardly has elsewhere. All points whose colour is not strange count in that mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from disconerf_ns.scene.closed_surface import LEAST, ClosedSurface
from disconerf_ns.scene.completed_colors import familiar, mean_color, strangeness
from disconerf_ns.scene.enclosure import AROUND, Enclosure
from disconerf_ns.scene.occupancy import with_neighbours
from disconerf_ns.scene.voxels import Voxels

COARSER = 1.5
"""Side of another object's voxels, as a multiple of the object's own, up to which its surface is fine enough to say
that a place is not the object's."""
FREE = 7
"""Voxels between other objects and seen points whose colours are surely the object's own."""
OPAQUE = 6.0
"""Optical depth of a completed voxel."""

Colors = Callable[[Float[Tensor, "n 3"], Float[Tensor, "n 3"]], Float[Tensor, "n 3"]]
"""RGB at scene positions as seen along unit directions."""


class VoxelValues(NamedTuple):
    """What is said of each voxel, or of each position: rows of a completion's values, in [0, 1]."""

    hidden: Float[Tensor, "*n"]
    """Whether no photograph looked there."""
    lost: Float[Tensor, "*n"]
    """Whether another object is there, and not this one."""
    filled: Float[Tensor, "*n"]
    """Whether something is completed there."""
    colored: Float[Tensor, "*n"]
    """How far it takes a colour."""
    around: Float[Tensor, "*n"]
    """Whether the object is at most `AROUND` voxels away."""
    red: Float[Tensor, "*n"]
    """Of this colour, times how far it is taken; so are the next ones."""
    green: Float[Tensor, "*n"]
    blue: Float[Tensor, "*n"]

    @property
    def rgb(self) -> Float[Tensor, "*n 3"]:
        """The colour."""
        taken = torch.stack([self.red, self.green, self.blue], -1)
        return (taken / self.colored[..., None].clamp(min=1e-6)).clamp(max=1)


@dataclass(frozen=True, eq=False)
class Completion:
    """Voxels over and around an object's box in the scene: what no photograph saw of it, and its colours."""

    low: Float[Tensor, "3"]
    """Lower corner in scene coordinates."""
    side: float
    """Side of a voxel in scene units."""
    values: Float[Tensor, "8 x y z"]
    """`VoxelValues` of each voxel."""

    @classmethod
    def of(cls, enclosure: Enclosure, others: Iterable[Enclosure], colors: Colors) -> Completion:
        """Complete an object.

        Args:
            enclosure: the object's.
            others: those of the objects beside it.
            colors: of the radiance field.
        """
        others = list(others)
        enclosure = replace(enclosure, filled=own_part(enclosure, others))
        voxels, skin, filled = enclosure.voxels, enclosure.skin, enclosure.filled
        near = with_neighbours(skin, AROUND)
        inside = filled | voxels.inside(near, enclosure.holds)
        lost = _lost(enclosure.surface, others, voxels, near & ~with_neighbours(inside))
        colored, taken = _recolored(enclosure, colors, near)
        around = with_neighbours(skin | filled, AROUND)
        channels = VoxelValues(enclosure.hidden, lost, filled, colored, around, *taken)
        return cls(voxels.low, voxels.side, torch.stack([each.float() for each in channels]))

    @property
    def box(self) -> Float[Tensor, "2 3"]:
        """The box of the voxels in scene coordinates."""
        shape = torch.tensor(self.values.shape[1:], device=self.low.device)
        return torch.stack([self.low, self.low + shape * self.side])

    def at(self, positions: Float[Tensor, "n 3"]) -> Completed:
        """What is completed at scene positions, trilinear between the voxels; nothing outside of them."""
        if len(positions) == 0:
            nothing = positions[:, 0]
            return Completed(nothing, nothing, nothing, nothing, positions, nothing, nothing)
        shape = torch.tensor(self.values.shape[1:], device=self.low.device)
        unit = (2 * (positions - self.low) / self.side / shape - 1).flip(-1)
        places, within = unit.view(1, 1, 1, -1, 3), (unit.abs() <= 1).all(-1)
        values = grid_sample(self.values[None], places, padding_mode="border", align_corners=False)[0, :, 0, 0]
        there = VoxelValues(*(values * within))
        density = there.filled * OPAQUE / self.side
        return Completed(there.hidden, there.lost, there.filled, density, there.rgb, there.colored, there.around)


def own_part(enclosure: Enclosure, others: Sequence[Enclosure]) -> Bool[Tensor, "x y z"]:
    """Voxels that an object is completed in.

    Those in its hull alone are its own where no other object's surface encloses them. Between a table and a book on it
    nothing was seen, so the surfaces of both go on into the same space: what others are completed in as well belongs to
    the one that was seen nearer.
    """
    hulled = enclosure.hulled
    for other in others:
        hulled = hulled & ~enclosure.voxels.inside(hulled, other.holds)
    filled = enclosure.filled | hulled
    middles = enclosure.voxels.middles(filled)
    away = enclosure.surface.distances(middles)
    theirs = torch.zeros_like(away, dtype=torch.bool)
    for other in others:
        shared = other.voxels.within(other.filled | other.hulled, middles) & ~theirs
        theirs[shared] = other.surface.distances(middles[shared]) < away[shared]
    return filled.masked_scatter(filled, ~theirs)


def _lost(
    surface: ClosedSurface, others: Iterable[Enclosure], voxels: Voxels, outside: Bool[Tensor, "x y z"]
) -> Bool[Tensor, "x y z"]:
    """Voxels that lie outside an object, as `outside` says, and inside another one."""
    lost = torch.zeros_like(outside)
    for other in others:
        if other.surface.side <= COARSER * surface.side:
            lost |= voxels.inside(outside & ~lost, other.holds)
    return lost


def _recolored(
    enclosure: Enclosure, colors: Colors, near: Bool[Tensor, "x y z"]
) -> tuple[Float[Tensor, "x y z"], Float[Tensor, "3 x y z"]]:
    """How far voxels take a colour, in [0, 1], and this colour's RGB times that.

    Args:
        near: voxels at the object's seen surface.
    """
    surface, voxels, filled = enclosure.surface, enclosure.voxels, enclosure.filled
    own = surface.own
    rgb = colors(own.points, own.directions).clamp(0, 1)
    free = ~voxels.within(with_neighbours(enclosure.crowded, FREE), own.points)
    free = free if free.sum() >= LEAST else torch.ones_like(free)
    strange = ~free & ~familiar(rgb, rgb[free])
    beside = with_neighbours(enclosure.crowded, AROUND) & near & ~filled
    colored, taken = filled.float(), torch.zeros(3, *voxels.shape, device=rgb.device)
    colored[beside] = strangeness(surface.tree, strange, voxels.middles(beside))
    for those, known in ((filled, free), ((colored > 0) & ~filled, ~strange)):
        mean = mean_color(own.points[known], rgb[known], voxels.middles(those))
        taken[:, those] = mean.T * colored[those]
    return colored, taken


class Completed(NamedTuple):
    """What a completion says of positions."""

    hidden: Float[Tensor, "n"]
    """Whether no photograph looked there, in [0, 1]."""
    lost: Float[Tensor, "n"]
    """Whether another object is there, and not this one, in [0, 1]."""
    filled: Float[Tensor, "n"]
    """Whether something is completed there, in [0, 1]."""
    density: Float[Tensor, "n"]
    """Its density, per scene unit."""
    rgb: Float[Tensor, "n 3"]
    """Its colour there, and the one that strange colours give way to."""
    colored: Float[Tensor, "n"]
    """How far the field's colour gives way to it, in [0, 1]."""
    around: Float[Tensor, "n"]
    """Whether the object is at most `AROUND` voxels away, in [0, 1]."""

    @property
    def kept(self) -> Float[Tensor, "n"]:
        """How much of the field's density is left of the object where it is shown alone, in [0, 1]."""
        return 1 - self.hidden.maximum(self.lost)

    def after(
        self, density: Float[Tensor, "n"], rgb: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n 3"]]:
        """Densities, and colours weighted by them, together with what is completed."""
        total = density + self.density
        return total, rgb.lerp(self.rgb, (self.density / total.clamp(min=1e-9))[:, None])

    def over(self, rgb: Float[Tensor, "n 3"], share: Float[Tensor, "n"] | float = 1.0) -> Float[Tensor, "n 3"]:
        """Colours of the field; those that are strange to the object give way to this one.

        Args:
            rgb: colours in the radiance field.
            share: of each position that is the object's, in [0, 1].
        """
        return rgb.lerp(self.rgb, (share * self.colored)[:, None])
