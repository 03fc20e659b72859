"""Amodal completion: what no photograph saw of an object, guessed from the surface that they saw.

The density of a radiance field is arbitrary where no photograph looked: under a thing that stands on a table, between
two books, inside of everything. When what hides such a place is taken away, it shows bits of all neighbours. Here, it
is emptied, and belongs to the object as far as it lies both

- inside of the smooth closed surface through the object's seen points (Kazhdan and Hoppe, *Screened Poisson Surface
  Reconstruction*, 2013), which goes on as the seen surface does, and
- inside of their convex hull, because that surface bulges where nothing holds it.

Colours are means of the seen ones, weighted by 1 / distance^3 (Shepard 1968). Beside another thing, an object's own
colours are mixed with those of that thing and its shadow, so seen points there do not count. Once the thing is gone, or
the object is shown without it, the surface beside it takes a mean as well where its colour is strange: one that the
object hardly has elsewhere. All points whose colour is not strange count in that mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from scipy.spatial import KDTree, QhullError
from torch import Tensor
from torch.nn.functional import grid_sample

from disconerf_ns.scene.completed_colors import familiar, mean_color, strangeness
from disconerf_ns.scene.completed_shape import inside_of, passed, voxels_of
from disconerf_ns.scene.occupancy import with_neighbours
from disconerf_ns.scene.seen_rays import SeenRays

VOXELS, LONGEST = 64**3, 192
"""Voxels of an object, about, and along its longest side, at most."""
APART = 1.3
"""Smallest side of a voxel, as a multiple of the mean distance of seen points: rays then pass all of seen space."""
SHELL = 2
"""Voxels around what rays passed that count as seen."""
LEAST = 100
"""Seen points of an object, at least; fewer tell nothing of its shape."""
AROUND = 5
"""Voxels around an object in which it may spoil the colours of its neighbours."""
FREE = 7
"""Voxels between other objects and seen points whose colours are surely the object's own."""
OPAQUE = 6.0
"""Optical depth of a completed voxel."""

Colors = Callable[[Float[Tensor, "n 3"], Float[Tensor, "n 3"]], Float[Tensor, "n 3"]]
"""RGB at scene positions as seen along unit directions."""


@dataclass(frozen=True, eq=False)
class Completion:
    """Voxels over and around an object's box in the scene: what no photograph saw of it, and its colours."""

    low: Float[Tensor, "3"]
    """Lower corner in scene coordinates."""
    side: float
    """Side of a voxel in scene units."""
    values: Float[Tensor, "7 x y z"]
    """Of each voxel, in [0, 1], whether it is hidden, completed, takes a colour, and is in or around the object; this
    colour's RGB times whether it is taken."""

    @classmethod
    def of(
        cls, rays: SeenRays, own: Bool[Tensor, "rays"], box: Float[Tensor, "2 3"], colors: Colors
    ) -> Completion | None:
        """Complete an object.

        Args:
            rays: of the training views.
            own: whether each of them ends on the object.
            box: the object's box in scene coordinates.
            colors: of the radiance field.
        Returns:
            None where too little of the object was seen, or where what was seen lies in one plane.
        """
        low, high = box
        inside = ((rays.points >= low) & (rays.points <= high)).all(-1)
        mine, others = rays[own & inside], rays[~own]
        if len(mine) < LEAST:
            return None
        cloud = mine.points.cpu().double().numpy()
        tree = KDTree(cloud)
        apart = float(tree.query(cloud, k=2)[0][:, 1].mean())
        size = (high - low).double()
        side = max(float(size.prod() / VOXELS) ** (1 / 3), float(size.max()) / LONGEST, APART * apart)
        low, high = low - AROUND * side, high + AROUND * side
        shape = [int(n) for n in ((high - low) / side).ceil()]
        seen = passed(rays, low, side, shape)
        hidden = ~with_neighbours(seen, SHELL)
        asked = with_neighbours(hidden, SHELL) & ~seen
        middles = lambda voxels: low + (voxels.nonzero() + 0.5) * side  # noqa: E731
        completed = torch.zeros_like(asked)
        try:
            completed[asked] = inside_of(mine, middles(asked), side)
        except (QhullError, RuntimeError, ValueError):  # what scipy and open3d raise of such points
            return None
        surface, crowded = (voxels_of(each.points, low, side, shape) for each in (mine, others))
        rgb = colors(mine.points, mine.directions).clamp(0, 1)
        free = ~with_neighbours(crowded, FREE)[((mine.points - low) / side).long().unbind(-1)]
        free = free if free.sum() >= LEAST else torch.ones_like(free)
        strange = ~free & ~familiar(rgb, rgb[free])
        beside = with_neighbours(crowded, AROUND) & with_neighbours(surface, AROUND) & ~completed
        colored = completed.float()
        colored[beside] = strangeness(tree, strange, middles(beside))
        values = torch.zeros(7, *shape, device=low.device)
        values[0], values[1], values[2] = hidden, completed, colored
        values[3] = with_neighbours(surface | completed, AROUND)
        for voxels, known in ((completed, free), ((colored > 0) & ~completed, ~strange)):
            values[4:, voxels] = mean_color(mine.points[known], rgb[known], middles(voxels)).T * colored[voxels]
        return cls(low, side, values)

    @property
    def box(self) -> Float[Tensor, "2 3"]:
        """The box of the voxels in scene coordinates."""
        shape = torch.tensor(self.values.shape[1:], device=self.low.device)
        return torch.stack([self.low, self.low + shape * self.side])

    def at(self, positions: Float[Tensor, "n 3"]) -> Completed:
        """What is completed at scene positions, trilinear between the voxels; nothing outside of them."""
        if len(positions) == 0:
            nothing = positions[:, 0]
            return Completed(nothing, nothing, nothing, positions, nothing, nothing)
        shape = torch.tensor(self.values.shape[1:], device=self.low.device)
        unit = (2 * (positions - self.low) / self.side / shape - 1).flip(-1)
        places, within = unit.view(1, 1, 1, -1, 3), (unit.abs() <= 1).all(-1)
        values = grid_sample(self.values[None], places, padding_mode="border", align_corners=False)[0, :, 0, 0]
        hidden, filled, colored, around = values[:4] * within
        rgb = (values[4:] / colored.clamp(min=1e-6)).clamp(max=1).T
        return Completed(hidden, filled, filled * OPAQUE / self.side, rgb, colored, around)


class Completed(NamedTuple):
    """What a completion says of positions."""

    hidden: Float[Tensor, "n"]
    """Whether no photograph looked there, in [0, 1]."""
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
