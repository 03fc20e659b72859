"""Order of points along a space-filling curve, so that neighbours in the order are neighbours in space."""

from __future__ import annotations

import torch
from jaxtyping import Int, Int16
from torch import Tensor

BITS = 10
"""Bits per axis of a cell of the curve: 1024 cells per axis of the contracted scene."""


def along_curve(packed: Int16[Tensor, "n 3"]) -> Int[Tensor, "n"]:
    """Indices of points in the order of their cells' Morton codes; points of one cell keep their order.

    Args:
        packed: contracted positions, packed as in `SurfaceSamples`.
    """
    return morton_codes((packed.int() + 2**15) >> (16 - BITS)).argsort(stable=True)


def morton_codes(cells: Int[Tensor, "n 3"]) -> Int[Tensor, "n"]:
    """Morton codes of cells, which interleave the bits of x, y and z, x in the lowest bit.

    Args:
        cells: cells along each axis, in [0, 2^BITS).
    """
    bit = torch.arange(BITS, device=cells.device)
    place = 3 * bit[:, None] + torch.arange(3, device=cells.device)
    return ((cells[:, None] >> bit[:, None] & 1) << place).sum((1, 2))
