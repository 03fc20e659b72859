"""What is done to proposed masks before they are kept: pure functions on stacks of binary masks."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Shaped


def large_enough(masks: Bool[np.ndarray, "masks height width"], fraction: float) -> Bool[np.ndarray, " masks"]:
    """Which masks cover at least a fraction in [0, 1] of the image."""
    return masks.sum((1, 2)) >= fraction * masks[0].size if len(masks) else np.zeros(0, dtype=bool)


def not_contained(masks: Bool[np.ndarray, "masks height width"], share: float = 0.95) -> Bool[np.ndarray, " masks"]:
    """Which masks lie inside no other.

    Mask a lies inside mask b when b is larger, or as large and earlier, and covers at least `share` of a's pixels. So
    of several equal masks the first one stays, and an empty mask never does where there is another.

    Args:
        share: in (0, 1]; 1 asks that every pixel of a be in b.
    """
    area = masks.sum((1, 2))
    flat = masks.reshape(len(masks), masks.shape[1] * masks.shape[2]).astype(np.float32)
    overlap = flat @ flat.T
    number = np.arange(len(masks))
    before = (area[None] > area[:, None]) | ((area[None] == area[:, None]) & (number[None] < number[:, None]))
    return ~(before & (overlap >= share * area[:, None])).any(1)


def dilate(masks: Bool[np.ndarray, "masks height width"], pixels: int) -> Bool[np.ndarray, "masks height width"]:
    """Every mask grown by all pixels whose centres lie within `pixels` of one of its own."""
    reach = np.arange(-pixels, pixels + 1)
    disk = (reach[:, None] ** 2 + reach**2 <= pixels**2).astype(np.uint8)
    grown = [cv2.dilate(mask.view(np.uint8), disk).astype(bool) for mask in np.ascontiguousarray(masks)]
    return np.stack(grown) if grown else masks.copy()


def crops(height: int, width: int, kind: Literal["centre", "two", "none"]) -> list[tuple[slice, slice]]:
    """Rows and columns of the parts of an image that are looked at.

    Args:
        kind: "centre", the largest square in the middle; "two", such squares at both ends of the longer side, which
            leave the middle out where that is more than twice the shorter; "none", all of the image.
    """
    if kind == "none" or height == width:
        return [(slice(0, height), slice(0, width))]
    side, rest = min(height, width), abs(height - width)
    starts = [rest // 2] if kind == "centre" else [0, rest]
    along = [slice(start, start + side) for start in starts]
    return [(slice(0, side), part) if width > height else (part, slice(0, side)) for part in along]


def uncrop(
    cropped: Shaped[np.ndarray, "*masks h w"], crop: tuple[slice, slice], height: int, width: int
) -> Shaped[np.ndarray, "*masks height width"]:
    """Masks of a crop, placed in the image that it was cut from; zero outside."""
    whole = np.zeros((*cropped.shape[:-2], height, width), dtype=cropped.dtype)
    whole[(..., *crop)] = cropped
    return whole
