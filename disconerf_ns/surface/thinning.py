"""Draw a subset of a view's pixels that is spread over the whole picture."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor


def one_in(stride: int, pixels: int, seed: int) -> Int[Tensor, "kept"]:
    """Indices of pixels of which one is kept in every `stride`: a random one of each run of so many neighbours.

    Every `stride`-th pixel would lie in a few columns where the stride divides the rows of a picture.

    Args:
        stride: 1 keeps all.
        pixels: number of pixels, row by row.
        seed: the same one keeps the same pixels.
    """
    starts = torch.arange(0, pixels, stride)
    offsets = torch.randint(stride, (len(starts),), generator=torch.Generator().manual_seed(seed))
    return (starts + offsets).clamp(max=pixels - 1)
