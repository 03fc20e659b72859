"""A neutral ground on which an object stands: invisible but for the soft shadow where the object hides the sky."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.rays import RayBundle
from scipy import ndimage
from torch import Tensor

from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.solid import Solid, UprightBox

CELLS = 96
"""Cells of the shadow's map on each side."""
REACH = 0.22
"""Distance from what is below the object at which its shadow is gone, as a fraction of the object's largest side: in
the picture, about as wide as the margin around the object."""
SKY = 64
"""Directions in which it is looked whether the sky is hidden."""
LOWEST = 0.25
"""Sine of the lowest of them; lower ones count as much as that one."""
DARKEST = 0.75
"""Alpha of the shadow where the whole sky is hidden."""


@dataclass(frozen=True)
class Ground:
    """The horizontal plane below an object, and how dark it is."""

    height: float
    """z of the plane, in scene coordinates."""
    low: Float[Tensor, "2"]
    cell: float
    """Lower corner of the shadow's map and the side of its cells."""
    shadow: Float[Tensor, "x y"]
    """Alpha of black, in [0, 1]."""

    @classmethod
    def below(cls, solid: Solid, place: Similarity) -> Ground:
        """The ground below an object of which something is solid, where it stands."""
        box = UprightBox.around(place.points(solid.corners))
        corners, tallest = box.corners, max(box.size)
        low, high = corners.amin(0) - REACH * tallest, corners.amax(0) + REACH * tallest
        cell, height = float((high - low)[:2].max()) / CELLS, float(corners[:, 2].min())
        side = place.scale * float(solid.volumes.mean()) ** (1 / 3)
        columns = heights(place.points(solid.points.cpu()), side, low[:2], cell, height)
        beside = torch.from_numpy(ndimage.distance_transform_edt(~(columns[..., 1] > 0).numpy())).float() * cell
        near = (1 - beside / (REACH * tallest)).clamp(min=0)
        return cls(height, low[:2], cell, DARKEST * hidden_sky(columns / cell) * near.square())

    def alpha(self, rays: RayBundle) -> Float[Tensor, "rays"]:
        """Alpha of the shadow along flat rays; 0 where they do not come down to the ground."""
        fall = rays.directions[:, 2]
        distance = (self.height - rays.origins[:, 2]) / torch.where(fall.abs() < 1e-9, 1e-9, fall)
        place = (rays.origins + distance[:, None] * rays.directions)[:, :2]
        cells = ((place - self.low.to(place)) / self.cell / CELLS * 2 - 1).flip(-1)
        found = torch.nn.functional.grid_sample(
            self.shadow.to(place)[None, None], cells[None, None], align_corners=False, padding_mode="zeros"
        )[0, 0, 0]
        return torch.where((distance > 0) & (fall < 0), found, 0.0)


def heights(
    points: Float[Tensor, "voxels 3"], side: float, low: Float[Tensor, "2"], cell: float, ground: float
) -> Float[Tensor, "x y 2"]:
    """From which height on, and up to which, an object stands above each cell of a map; (inf, -inf) where it is not.

    A voxel may be larger than a cell, so it marks all cells that it is over.

    Args:
        points: middles of the object's voxels.
        side: of a voxel.
    """
    half = side / 2
    spans = torch.stack([torch.full((CELLS, CELLS), math.inf), torch.full((CELLS, CELLS), -math.inf)], -1)
    steps = torch.linspace(-half, half, 1 + math.ceil(2 * half / cell))
    for offset in torch.cartesian_prod(steps, steps):
        x, y = ((points[:, :2] + offset - low) / cell).long().clamp(0, CELLS - 1).unbind(-1)
        index = x * CELLS + y
        spans[..., 0].view(-1).scatter_reduce_(0, index, points[:, 2] - half - ground, "amin")
        spans[..., 1].view(-1).scatter_reduce_(0, index, points[:, 2] + half - ground, "amax")
    return spans


def hidden_sky(spans: Float[Tensor, "x y 2"]) -> Float[Tensor, "x y"]:
    """Fraction of the light of an even sky that columns keep from the ground, each cell counting the sky by cosine.

    A column with heights from a to b hides a direction from the cells that lie where its shadow falls then: shifted by
    between a and b times the direction's slope.

    Args:
        spans: heights (a, b) of the columns, in cells.
    """
    total, (low, high) = torch.zeros(spans.shape[:2]), spans.unbind(-1)
    tallest = float(high.max())
    number = torch.arange(SKY) + 0.5
    angle, radius = number * math.pi * (3 - math.sqrt(5)), (number / SKY).sqrt()  # even on the disc, so by cosine
    slope = radius / (1 - radius**2).sqrt().clamp(min=LOWEST)
    for s, a in zip(slope.tolist(), angle.tolist()):
        dark = torch.zeros_like(total, dtype=torch.bool)
        for step in range(1 + math.ceil(min(max(tallest, 0) * s, 1.5 * len(total)))):
            column = (low <= step / s) & (step / s <= high + 1 / s) & (high > 0)
            dark |= shifted(column, round(step * math.cos(a)), round(step * math.sin(a)))
        total += dark
    return torch.from_numpy(ndimage.gaussian_filter((total / SKY).numpy(), 1.0))


def shifted(cells: Bool[Tensor, "x y"], x: int, y: int) -> Bool[Tensor, "x y"]:
    """Cells moved by (x, y); those that come from outside are empty."""
    moved = torch.zeros_like(cells)
    width, depth = (max(side - abs(by), 0) for side, by in zip(cells.shape, (x, y)))
    moved[max(x, 0) : max(x, 0) + width, max(y, 0) : max(y, 0) + depth] = cells[
        max(-x, 0) : max(-x, 0) + width, max(-y, 0) : max(-y, 0) + depth
    ]
    return moved
