"""An object in connected parts: two mugs that the masks never told apart, or a thing and the fog that took its slot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import ndimage
from torch import Tensor

from disconerf_ns.scene.edit import MOST
from disconerf_ns.scene.nearest import filled
from disconerf_ns.scene.occupancy import Occupancy

SMALLEST = 0.02
"""Smallest fraction of an object's cells that makes a connected part a part of its own."""


@dataclass
class ConnectedParts:
    """The cells of an object's box, each with the part that it is in or nearest to."""

    grid: Occupancy
    part: Int[Tensor, "x y z"]
    """0 for the largest."""
    shares: tuple[float, ...]
    """Fraction of the object's cells in each part."""

    @classmethod
    def of(cls, grid: Occupancy) -> ConnectedParts:
        """Divide occupied cells, neighbours by a face being connected; small pieces join the nearest large one."""
        pieces = np.zeros(grid.occupied.shape, np.int32)
        ndimage.label(grid.occupied.cpu().numpy(), output=pieces)
        sizes = np.bincount(pieces.flatten())[1:]
        order = np.argsort(-sizes, kind="stable")[:MOST]
        large = [piece for piece in order if sizes[piece] >= SMALLEST * sizes.sum()]
        number = np.full(len(sizes) + 1, -1)
        number[[piece + 1 for piece in large]] = range(len(large))
        part = np.maximum(filled(number[pieces]), 0)
        total = sum(sizes[piece] for piece in large)
        shares = tuple(float(sizes[piece] / total) for piece in large)
        return cls(grid, torch.from_numpy(part).to(grid.occupied.device), shares)

    def __len__(self) -> int:
        return max(len(self.shares), 1)

    def at(self, contracted: Float[Tensor, "n 3"]) -> Int[Tensor, "n"]:
        """The part that contracted positions are in or nearest to."""
        return self.part[self.grid.cell(contracted).clamp(0, len(self.part) - 1).unbind(-1)]

    def box(self, number: int) -> Float[Tensor, "2 3"]:
        """Axis-aligned box of a part's occupied cells, in scene coordinates."""
        cells = (self.grid.occupied & (self.part == number)).nonzero()
        if len(cells) == 0:
            return self.grid.box
        corners = torch.cartesian_prod(*torch.stack([cells.amin(0), cells.amax(0) + 1]).T)
        scene = self.grid.contraction.inverse(self.grid.low + corners / len(self.part) * self.grid.size)
        return torch.stack([scene.amin(0), scene.amax(0)])
