"""Masks whose borders lie on the strongest edges of the photograph near them."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import watershed

from disconerf_ns.masks.image_masks import ImageMasks

REACH = 2
"""Pixels of an image that is 256 wide, by which a border moves at most."""
BLUR = 0.7
"""Standard deviation of the blur before edges are looked for, in the same pixels."""


def on_edges(masks: ImageMasks, photograph: UInt8[np.ndarray, "h w 3"]) -> ImageMasks:
    """The masks, each border moved to the strongest edge of the photograph within REACH: a watershed between them."""
    pixel = photograph.shape[1] / 256
    strength = edges(photograph, BLUR * pixel)
    moved = [moved_border(mask, strength, REACH * pixel) for mask in masks.decode()]
    shape = (len(moved), *photograph.shape[:2])
    return ImageMasks.from_arrays(np.array(moved, bool).reshape(shape), looked_at=masks.decode_looked_at())


def edges(photograph: UInt8[np.ndarray, "h w 3"], blur: float) -> Float[np.ndarray, "h w"]:
    """Strength of edges: length of the gradient of the blurred colours in CIELAB."""
    lab = cv2.cvtColor(photograph.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    smooth = cv2.GaussianBlur(lab, (0, 0), blur)
    gradients = [cv2.Sobel(smooth, cv2.CV_32F, *axes, ksize=3) for axes in ((1, 0), (0, 1))]
    return np.linalg.norm(np.concatenate(gradients, -1), axis=-1)


def moved_border(
    mask: Bool[np.ndarray, "h w"], strength: Float[np.ndarray, "h w"], reach: float
) -> Bool[np.ndarray, "h w"]:
    """One mask; what lies deeper inside or further outside than `reach` stays."""
    inside, outside = (distance_transform_edt(part) - 0.5 >= reach for part in (mask, ~mask))
    if mask.all() or not inside.any():
        return mask
    return watershed(strength, inside + 2 * outside) == 1
