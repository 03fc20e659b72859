"""The edited scene at once, with what comes to light in blocks of pixels, until there is time to sample every ray."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from disconerf_ns.edit import EditTable
from disconerf_ns.frame import Frame
from disconerf_ns.rendering import ColoredSamples, passes_something


class Preview(Frame):
    """A frame that knows owners, and answers an edit with few rays.

    Pixels that showed mostly what is hidden now share the samples of one of their block; the others show what is left
    of their own. Nothing that it computes gets into the frame.

    Args:
        frame: the frame; it has to know owners.
        most: rays that are sampled, a few more where blocks are cut by outlines.
    """

    def __init__(self, frame: Frame, most: int):
        super().__init__(frame.model, frame.rays, frame.shape, keep=True)
        self._kept = dict(frame._kept)
        self.most = most

    def _edited_samples(self, table: EditTable) -> tuple[ColoredSamples, Shaped[Tensor, "rays samples"]]:
        return self._once("preview", None, lambda: self._quickly(table))

    def _quickly(self, table: EditTable) -> tuple[ColoredSamples, Shaped[Tensor, "rays samples"]]:
        hidden = table.density < 1
        samples, ids, affected = self._start(hidden)
        before, left = samples.weights.sum(-1), samples.weights * ~hidden[ids]
        after = left.sum(-1)
        samples = samples._replace(weights=left * (before / after.clamp(min=1e-6))[:, None])
        revealed = affected[after[affected] < before[affected] / 2]
        if len(revealed) == 0:
            return samples, ids
        met = passes_something(self.model, self.rays[revealed].to(self.model.device), table.density)
        block, first = blocks(revealed, self.shape[1], math.ceil(math.sqrt(int(met.sum()) / self.most)) or 1)
        fresh, fresh_ids = self._sampled(revealed[first], table)
        return samples.replaced(revealed, fresh.at(block)), ids.index_copy(0, revealed, fresh_ids[block])


def blocks(pixels: Int[Tensor, "pixels"], width: int, side: int) -> tuple[Int[Tensor, "pixels"], Int[Tensor, "blocks"]]:
    """The square block in which each of some pixels of an image lies, and the first of these pixels in each block."""
    corner = pixels // width // side * width + pixels % width // side
    _, block = corner.unique(return_inverse=True)
    place = torch.arange(len(pixels), device=pixels.device)
    first = torch.full((int(block.max()) + 1,), len(pixels), device=pixels.device)
    return block, first.scatter_reduce(0, block, place, "amin")
