"""Amodal completion: what no photograph saw of an object, guessed from the surface that they saw.

The density of a radiance field is arbitrary where no photograph looked: under a thing that stands on a table, between
two books, inside of everything. When what hides such a place is taken away, it shows bits of all neighbours. Here, it
is emptied, and belongs to the object as far as it lies inside of the object's closed surface, or of its hull where no
other object is.

Where things touch, photographs hardly look in between, and the field's surface is ragged there: bits of one thing stick
out into the other. What lies inside of another object's closed surface, and not inside of the object's own, is emptied
as well where the object is shown without the other. A coarse surface, such as that of a table, says nothing of small
things on it.

Colours of what is completed go on from those of the seen surface around it. Beside another thing, the radiance field
mixes an object's colours with those of that thing and of its shadow. So once the thing is gone, or the object is shown
without it, colours closely beside it give way to those around them, and a little farther away those that are strange,
which the object hardly has elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from disconerf_ns.scene.closed_surface import ClosedSurface
from disconerf_ns.scene.completed_colors import CompletedColors, FieldColors, Palette
from disconerf_ns.scene.enclosure import AROUND, Enclosure
from disconerf_ns.scene.occupancy import with_neighbours
from disconerf_ns.scene.voxels import Voxels

COARSER = 1.5
"""Side of another object's voxels, as a multiple of the object's own, up to which its surface is fine enough to say
that a place is not the object's."""
OPAQUE = 6.0
"""Optical depth of a completed voxel."""


class VoxelValues(NamedTuple):
    """What is said of each voxel, or of each position: rows of a completion's values, in [0, 1]."""

    hidden: Float[Tensor, "*n"]
    """Whether no photograph looked there."""
    lost: Float[Tensor, "*n"]
    """Whether another object is there, and not this one."""
    filled: Float[Tensor, "*n"]
    """Whether something is completed there."""
    colored: Float[Tensor, "*n"]
    """Whether a colour of the object is known there, which strange ones give way to."""
    mixed: Float[Tensor, "*n"]
    """Whether all colours there give way: something is completed, or another object so near that they are mixed."""
    around: Float[Tensor, "*n"]
    """Whether the object is at most `AROUND` voxels away."""
    red: Float[Tensor, "*n"]
    """Of this colour, times whether it is known; so are the next ones."""
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
    values: Float[Tensor, "9 x y z"]
    """`VoxelValues` of each voxel."""
    palette: Palette
    """The object's colours."""

    @classmethod
    def of(cls, enclosure: Enclosure, others: Iterable[Enclosure], field: FieldColors) -> Completion:
        """Complete an object.

        Args:
            enclosure: the object's.
            others: those of the objects beside it.
            field: colours of the radiance field.
        """
        others = list(others)
        enclosure = replace(enclosure, filled=own_part(enclosure, others))
        voxels, skin, filled = enclosure.voxels, enclosure.skin, enclosure.filled
        near = with_neighbours(skin, AROUND)
        inside = filled | voxels.inside(near, enclosure.holds)
        lost = _lost(enclosure.surface, others, voxels, near & ~with_neighbours(inside))
        colors = CompletedColors.of(enclosure, field, near)
        around = with_neighbours(skin | filled, AROUND)
        channels = VoxelValues(enclosure.hidden, lost, filled, colors.known, colors.mixed, around, *colors.rgb)
        return cls(voxels.low, voxels.side, torch.stack([each.float() for each in channels]), colors.palette)

    @property
    def box(self) -> Float[Tensor, "2 3"]:
        """The box of the voxels in scene coordinates."""
        shape = torch.tensor(self.values.shape[1:], device=self.low.device)
        return torch.stack([self.low, self.low + shape * self.side])

    def at(self, positions: Float[Tensor, "n 3"]) -> Completed:
        """What is completed at scene positions, trilinear between the voxels; nothing outside of them."""
        values = positions.new_zeros(len(self.values), 0)
        if len(positions) > 0:
            shape = torch.tensor(self.values.shape[1:], device=self.low.device)
            unit = (2 * (positions - self.low) / self.side / shape - 1).flip(-1)
            places, within = unit.view(1, 1, 1, -1, 3), (unit.abs() <= 1).all(-1)
            values = grid_sample(self.values[None], places, padding_mode="border", align_corners=False)[0, :, 0, 0]
            values = values * within
        return Completed(VoxelValues(*values), OPAQUE / self.side, self.palette)


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


class Completed(NamedTuple):
    """What a completion says of positions."""

    values: VoxelValues
    """Between the voxels."""
    opaque: float
    """Density of what is completed, per scene unit."""
    palette: Palette
    """The object's colours."""

    @property
    def density(self) -> Float[Tensor, "n"]:
        """Density of what is completed there, per scene unit."""
        return self.values.filled * self.opaque

    @property
    def kept(self) -> Float[Tensor, "n"]:
        """How much of the field's density is left of the object where it is shown alone, in [0, 1]."""
        return 1 - self.values.hidden.maximum(self.values.lost)

    def after(
        self, density: Float[Tensor, "n"], rgb: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n 3"]]:
        """Densities, and colours weighted by them, together with what is completed."""
        total = density + self.density
        return total, rgb.lerp(self.values.rgb, (self.density / total.clamp(min=1e-9))[:, None])

    def over(self, rgb: Float[Tensor, "n 3"], share: Float[Tensor, "n"] | float = 1.0) -> Float[Tensor, "n 3"]:
        """Colours of the field; those that are mixed, or strange to the object, give way to the completion's.

        Args:
            rgb: colours in the radiance field.
            share: of each position that is the object's, in [0, 1].
        """
        replaced = self.values.mixed.maximum(self.values.colored * self.palette.strangeness(rgb))
        return rgb.lerp(self.values.rgb, (share * replaced)[:, None])
