"""Objects and edits at once, from one point a ray and in blocks of pixels, until there is time for all of them."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from disconerf_ns.edit import EditTable
from disconerf_ns.frame import Frame, label_pixels
from disconerf_ns.rendering import ColoredSamples, passes_something


class Preview(Frame):
    """A frame that knows the scene, and answers questions about objects with one point a ray, edits with few rays.

    Pixels that showed mostly what is hidden now share the samples of one of their block; the others show what is left
    of their own. Where nobody knows yet whose the samples are, they are taken for those of the pixel's object. Nothing
    that it computes gets into the frame.

    Args:
        frame: the frame; its scene is at hand.
        most: rays that are sampled, a few more where blocks are cut by outlines.
    """

    def __init__(self, frame: Frame, most: int):
        super().__init__(frame.model, frame.rays, frame.shape, keep=True)
        self._kept = dict(frame._kept)
        self.most = most

    @staticmethod
    def draws(frame: Frame) -> list[str]:
        """The outputs that a frame's preview is good for."""
        return ["objects", "objects_overlay", "confidence", *(["edited"] if frame.remembers_owners else [])]

    def labels(self) -> dict[str, Tensor]:
        """As a frame's, from the middle one of each ray's surface points."""
        if self.waiting(["objects"]) == 0:
            return super().labels()
        scene = self.scene()
        middle, opacity = scene["points"][:, scene["points"].shape[1] // 2], scene["surface_opacity"].flatten()
        return self._once("quick labels", self._structure, lambda: label_pixels(self.model, middle, opacity))

    def _base(self) -> tuple[ColoredSamples, Shaped[Tensor, "rays samples"]]:
        if self.knows_owners:
            return super()._base()
        _, samples = self._scene()
        return samples, self.labels()["id"].clamp(min=0)[:, None].expand_as(samples.weights)

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
        met = passes_something(
            self.model, self.rays[revealed.to(self.rays.origins.device)].to(self.model.device), table.density
        )
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
