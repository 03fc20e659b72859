"""Crops of photographs around an object, sharp where the object is and blurred around it.

Image-text models recognise a blurred surrounding as a photograph's depth of field; a grey one is unlike any picture
that they were trained on (Yang et al., Fine-Grained Visual Prompting, 2023).
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

MARGIN = 0.15
"""Free space at each side of the object, as a fraction of the larger side of its box."""
BLUR = 0.08
"""Standard deviation of the blur as a fraction of the crop's side."""


def crop_around(
    photograph: UInt8[np.ndarray, "height width 3"], mask: Bool[np.ndarray, "rows columns"]
) -> UInt8[np.ndarray, "side side 3"]:
    """A square crop around an object, its surroundings blurred; beyond the photograph its edge goes on.

    Args:
        photograph: RGB.
        mask: where the object is seen, at any size of the same shape; at least one pixel.
    """
    height, width = photograph.shape[:2]
    soft = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    top, left, side = box_around(mask, (height, width))
    pad = side
    extended = np.pad(photograph, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    alpha = np.pad(soft, pad)
    window = slice(top + pad, top + pad + side), slice(left + pad, left + pad + side)
    sharp, inside = extended[window].astype(np.float32), alpha[window][..., None]
    blurred = cv2.GaussianBlur(sharp, (0, 0), max(BLUR * side, 0.5))
    return (inside * sharp + (1 - inside) * blurred).round().clip(0, 255).astype(np.uint8)


def box_around(mask: Bool[np.ndarray, "rows columns"], shape: tuple[int, int]) -> tuple[int, int, int]:
    """Top, left and side of the square with a margin around a mask, in pixels of a photograph, which it may leave.

    Args:
        mask: at least one pixel.
        shape: height and width of the photograph.
    """
    scale = np.array(shape) / mask.shape
    places = np.argwhere(mask)
    low, high = places.min(0) * scale, (places.max(0) + 1) * scale
    side = max(round(float((high - low).max()) * (1 + 2 * MARGIN)), 2)
    top, left = ((low + high - side) / 2).round().astype(int).tolist()
    return top, left, side
