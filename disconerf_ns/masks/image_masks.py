"""The masks of one image, kept run-length encoded and decoded on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt8

from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.rle import Rle

LARGEST = 16
"""Masks are at most this many times as wide and as high as their picture."""


@dataclass(frozen=True)
class Mask:
    """One binary mask of one image, run-length encoded."""

    rle: Rle
    area: int
    """Number of pixels."""
    bbox: tuple[float, float, float, float]
    """(x, y, width, height) in pixels."""
    predicted_iou: float | None = None
    """Quality of the mask (IoU), as the proposer predicts it."""
    stability_score: float | None = None
    """IoU in [0, 1] of the masks at a slightly raised and a slightly lowered threshold."""
    level: int | None = None
    """Granularity: 0 is whole objects, higher is finer; None if the proposer has no levels."""

    @classmethod
    def from_rle(
        cls,
        rle: Rle,
        predicted_iou: float | None = None,
        stability_score: float | None = None,
        level: int | None = None,
    ) -> Mask:
        """A mask from a valid RLE, which gives its area and box."""
        return cls(rle, run_length.area(rle), run_length.bounding_box(rle), predicted_iou, stability_score, level)


@dataclass(frozen=True)
class ImageMasks:
    """All masks of one image. Masks may overlap and leave pixels uncovered; there may be none.

    >>> masks = ImageMasks.from_arrays(np.array([[[True, True, False]], [[False, True, True]]]))
    >>> len(masks), [mask.area for mask in masks.annotations]
    (2, [2, 2])
    >>> masks.decode().shape
    (2, 1, 3)
    """

    height: int
    width: int
    annotations: tuple[Mask, ...]
    looked_at: Rle | None = None
    """Pixels that the proposer looked at; None means all."""

    def __len__(self) -> int:
        return len(self.annotations)

    def decode(self, height: int | None = None, width: int | None = None) -> Bool[np.ndarray, "masks height width"]:
        """The masks as arrays, at their own size or resampled to another (nearest neighbour at pixel centres)."""
        height, width = height or self.height, width or self.width
        masks = np.empty((len(self), height, width), dtype=bool)
        for mask, annotation in zip(masks, self.annotations, strict=True):
            mask[...] = resample(run_length.decode(annotation.rle), height, width)
        return masks

    def packed(self, height: int, width: int) -> UInt8[np.ndarray, "masks bytes"]:
        """The masks resampled as by `decode`, one bit per pixel, row by row, the first pixel in the highest bit."""
        bits = np.empty((len(self), (height * width + 7) // 8), dtype=np.uint8)
        for row, annotation in zip(bits, self.annotations, strict=True):
            row[:] = np.packbits(resample(run_length.decode(annotation.rle), height, width))
        return bits

    def decode_looked_at(self, height: int | None = None, width: int | None = None) -> Bool[np.ndarray, "height width"]:
        """The pixels that the proposer looked at, resampled like the masks."""
        height, width = height or self.height, width or self.width
        if self.looked_at is None:
            return np.ones((height, width), dtype=bool)
        return np.ascontiguousarray(resample(run_length.decode(self.looked_at), height, width))

    @classmethod
    def from_arrays(
        cls,
        masks: Bool[np.ndarray, "masks height width"],
        predicted_iou: Sequence[float] | None = None,
        stability_score: Sequence[float] | None = None,
        level: Sequence[int | None] | int | None = None,
        looked_at: Bool[np.ndarray, "height width"] | None = None,
    ) -> ImageMasks:
        """Run-length encode masks.

        Args:
            masks: one array of bools, even without masks: its shape gives the image's size. Of a map of labels, pass
                np.stack([labels == label for label in wanted]); of probabilities, masks > 0.5.
            predicted_iou, stability_score: one value per mask.
            level: one value per mask, or one for all.
            looked_at: pixels that the proposer looked at; None means all.
        Raises:
            ValueError: the lengths or sizes of the arguments disagree, or an array is not of bools.
        """
        for name, array in (("masks", masks), ("looked_at", looked_at)):
            if array is not None and array.dtype != bool:
                raise ValueError(f"{name} are of type {array.dtype}, expected bool, such as {name} > 0.5")
        if masks.ndim != 3 or (looked_at is not None and looked_at.shape != masks.shape[1:]):
            raise ValueError(f"masks have shape {masks.shape}, expected (K, H, W) and looked_at of shape (H, W)")
        count = len(masks)
        ious = [None] * count if predicted_iou is None else [float(value) for value in predicted_iou]
        stabilities = [None] * count if stability_score is None else [float(value) for value in stability_score]
        levels = list(level) if isinstance(level, (Sequence, np.ndarray)) else [level] * count
        if not count == len(ious) == len(stabilities) == len(levels):
            raise ValueError(
                f"{count} masks with {len(ious)} IoUs, {len(stabilities)} stabilities and {len(levels)} levels"
            )
        annotations = tuple(
            Mask.from_rle(run_length.encode(mask), iou, stability, None if level is None else int(level))
            for mask, iou, stability, level in zip(masks, ious, stabilities, levels, strict=True)
        )
        _, height, width = masks.shape
        return cls(height, width, annotations, None if looked_at is None else run_length.encode(looked_at))


def resample(mask: Shaped[np.ndarray, "h w"], height: int, width: int) -> Shaped[np.ndarray, "height width"]:
    """An image resampled by nearest neighbour: the rows and columns that `sampled` gives."""
    if mask.shape == (height, width):
        return mask
    return mask.T[sampled(mask.shape[1], width)][:, sampled(mask.shape[0], height)].T


def sampled(pixels: int, count: int) -> Int[np.ndarray, "count"]:
    """Indices of `count` evenly spaced pixels among 0, ..., pixels - 1: entry i is floor((i + 0.5) pixels / count)."""
    return (2 * np.arange(count) + 1) * pixels // (2 * count)


def same_shape(drawn: tuple[int, int], picture: tuple[int, int]) -> bool:
    """Whether masks or labels of one size (height, width) can be of a picture of another.

    The sizes have the same aspect ratio, up to one pixel of rounding, and what is drawn is at most LARGEST times as
    large: the copies of photographs that nerfstudio trains on are up to 8 times smaller.
    """
    ratio = abs(drawn[1] * picture[0] - drawn[0] * picture[1]) <= max(*drawn, *picture)
    return ratio and max(drawn) <= LARGEST * max(picture)
