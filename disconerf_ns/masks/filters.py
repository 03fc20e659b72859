"""Filters for proposed masks: pure functions on stacks of binary masks."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)
"""Number of bits that are set in each byte."""
AT_ONCE = 2**15
"""Pixels of all masks that are numbers of 4 bytes at a time."""


def large_enough(masks: Bool[np.ndarray, "masks height width"], fraction: float) -> Bool[np.ndarray, " masks"]:
    """True for masks that cover at least this fraction, in [0, 1], of the image."""
    return masks.sum((1, 2)) >= fraction * masks[0].size if len(masks) else np.zeros(0, dtype=bool)


def not_contained(masks: Bool[np.ndarray, "masks height width"], share: float = 0.95) -> Bool[np.ndarray, " masks"]:
    """True for masks that lie inside no other mask.

    Mask a lies inside mask b if b covers at least `share` of a's pixels and is larger, or equally large and earlier.
    The first of several equal masks therefore stays; an empty mask stays only if no mask precedes it and all are empty.

    Args:
        share: fraction of a's pixels, in (0, 1]; 1 requires that b cover all of them.
    """
    area, overlap = masks.sum((1, 2)), shared_pixels(masks)
    number = np.arange(len(masks))
    before = (area[None] > area[:, None]) | ((area[None] == area[:, None]) & (number[None] < number[:, None]))
    return ~(before & (overlap >= share * area[:, None])).any(1)


def shared_pixels(masks: Bool[np.ndarray, "masks height width"]) -> Float[np.ndarray, "masks masks"]:
    """Number of pixels that each two masks share, by matrix products of a few pixels at a time."""
    pixels = masks.reshape(len(masks), masks.shape[1] * masks.shape[2])
    shared = np.zeros((len(masks), len(masks)))
    for start in range(0, pixels.shape[1], AT_ONCE):
        some = pixels[:, start : start + AT_ONCE].astype(np.float32)
        shared += some @ some.T
    return shared


def distinct(bits: UInt8[np.ndarray, "masks bytes"], max_iou: float) -> Bool[np.ndarray, " masks"]:
    """True for masks whose IoU with every kept mask before them is at most `max_iou`.

    Args:
        bits: masks of one image, the best first, one bit per pixel as `np.packbits` gives them.
        max_iou: in [0, 1].
    """
    area, kept = ONES[bits].sum(1, dtype=np.int64), []
    for number, mask in enumerate(bits):
        low, high = np.minimum(area[kept], area[number]), np.maximum(area[kept], area[number])
        near = np.array(kept, dtype=int)[low > max_iou * high]
        shared = ONES[bits[near] & mask].sum(1, dtype=np.int64)
        if not (shared > max_iou * (area[near] + area[number] - shared)).any():
            kept.append(number)
    return np.isin(np.arange(len(bits)), kept)


def packed(masks: Bool[np.ndarray, "masks height width"]) -> UInt8[np.ndarray, "masks bytes"]:
    """One bit per pixel, for `distinct`."""
    return np.packbits(masks.reshape(len(masks), masks.shape[1] * masks.shape[2]), axis=1)


def dilate(masks: Bool[np.ndarray, "masks height width"], pixels: int) -> Bool[np.ndarray, "masks height width"]:
    """Each mask grown by all pixels whose centres lie within `pixels` of the centre of one of its pixels."""
    reach = np.arange(-pixels, pixels + 1)
    disk = (reach[:, None] ** 2 + reach**2 <= pixels**2).astype(np.uint8)
    grown = [cv2.dilate(mask.view(np.uint8), disk).astype(bool) for mask in np.ascontiguousarray(masks)]
    return np.stack(grown) if grown else masks.copy()


def crops(height: int, width: int, kind: Literal["centre", "two", "none"]) -> list[tuple[slice, slice]]:
    """Rows and columns of the crops of an image that a proposer looks at.

    Args:
        kind: "centre" is the largest square in the middle; "two" is one such square at each end of the longer side,
            with a gap between them if that side is more than twice the shorter; "none" is the whole image.
    """
    if kind == "none" or height == width:
        return [(slice(0, height), slice(0, width))]
    side, rest = min(height, width), abs(height - width)
    starts = [rest // 2] if kind == "centre" else [0, rest]
    along = [slice(start, start + side) for start in starts]
    return [(slice(0, side), span) if width > height else (span, slice(0, side)) for span in along]


def uncrop(
    cropped: Shaped[np.ndarray, "*masks h w"], crop: tuple[slice, slice], height: int, width: int
) -> Shaped[np.ndarray, "*masks height width"]:
    """Masks of a crop, padded with zeros to the image that it was cut from."""
    whole = np.zeros((*cropped.shape[:-2], height, width), dtype=cropped.dtype)
    whole[(..., *crop)] = cropped
    return whole
