"""How well masks fit their photographs: borders of masks lie on edges of the picture, unless they are of another one.

The fit of masks to a photograph is the mean strength of the picture's edges along the masks' borders, where strength
is the gradient relative to its surroundings, so that 1 is chance. Measured on the example scene (true and noisy masks;
true ones drawn as polygons up to 3 or 6 of 256 pixels off), on a capture with masks of contours (also drawn 6 pixels
off) and on one with those of `graph`, whole and cut to squares:

    masks as they are                              1.12 to 1.95
    flipped, turned, or of the view beside         0.79 to 0.96 (1.02 in a film)

    `clearly_best` finds the right one             of one view     of 4 views      of all views
    among two, the masks and these turned by 180   0.14 to 1.00    0.57 to 1.00    1.00
    among all                                      0.00 to 1.00    0.50 to 1.00    1.00

The low figures are of masks drawn 6 pixels off; then it says None. In no case it named a wrong one where the right one
was among those to choose from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from disconerf_ns.masks.image_masks import ImageMasks, resample
from disconerf_ns.masks.rle import decode

LONGEST = 320
"""Longer side in pixels at which pictures and masks are compared, at most."""
SURROUNDINGS = 1 / 20
"""Standard deviation of the window of an edge's surroundings, as a fraction of the longer side."""
NOISE = 1.0
"""Gradient, in grey levels per pixel, that counts as much as the surroundings of an edge in a flat region."""
FITS = 1.1
"""Smallest mean fit of masks that are said to fit."""
MARGIN = 0.1
"""Smallest difference of mean fits that is said to be clear."""
SPREAD = 0.1
"""Difference of fits that chance alone makes in a single view, about one standard deviation."""
SURE = 3.5
"""Smallest clear difference in standard errors."""
NEIGHBOURS = np.ones((3, 3), np.uint8)


def working_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which a picture is compared with masks."""
    scale = min(LONGEST / max(height, width), 1)
    return max(round(scale * height), 1), max(round(scale * width), 1)


def edges(picture: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "h w"]:
    """Strength of the edges of a picture at its working size: gradient / mean gradient of the surroundings, about 1."""
    height, width = working_size(*picture.shape[:2])
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    smooth = cv2.GaussianBlur(small, (0, 0), 1)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    gradient = np.sqrt((across**2 + down**2).sum(-1))
    return gradient / (cv2.GaussianBlur(gradient, (0, 0), max(SURROUNDINGS * max(height, width), 3)) + NOISE)


def mask_borders(masks: ImageMasks, height: int, width: int) -> Int[np.ndarray, "height width"]:
    """Number of masks whose border passes through each pixel; the frame of the picture is no border."""
    count = np.zeros((height, width), np.int64)
    for mask in masks.annotations:
        count += _border(resample(decode(mask.rle), height, width).astype(np.uint8))
    return count


def label_borders(labels: Int[np.ndarray, "a b"], height: int, width: int) -> Int[np.ndarray, "height width"]:
    """1 at the pixels beside which a label changes, at another size."""
    _, numbers = np.unique(resample(labels, height, width), return_inverse=True)
    return _border(numbers.reshape(height, width).astype(np.uint16)).astype(np.int64)


def _border(values: Shaped[np.ndarray, "height width"]) -> Shaped[np.ndarray, "height width"]:
    values = np.ascontiguousarray(values)
    return cv2.dilate(values, NEIGHBOURS) != cv2.erode(values, NEIGHBOURS)


def fit(strength: Float[np.ndarray, "h w"], borders: Int[np.ndarray, "h w"]) -> float:
    """Mean of the edges' strength along borders; NaN if there are none."""
    length = borders.sum()
    return float((strength * borders).sum() / length) if length else math.nan


def clearly_best(fits: Mapping[str, Float[np.ndarray, "views"]]) -> str | None:
    """The hypothesis under which the masks fit, and fit clearly better than under every other one; otherwise None.

    The difference d to each other hypothesis has to be at least MARGIN in the mean over views, and SURE of its standard
    errors, sqrt((sum (d - mean)^2 + SPREAD^2) / n) / sqrt(n): SPREAD stands for a view that was not seen, so that a
    single view can decide, but has to be very clear. Views in which a fit is NaN take no part.

    Args:
        fits: fit in each view by the hypothesis's name.
    """
    table = np.array(list(fits.values()))
    table = table[:, np.isfinite(table).all(0)]
    views = table.shape[1]
    if views == 0:
        return None
    best = int(table.mean(1).argmax())
    differences = table[best] - np.delete(table, best, 0)
    mean = differences.mean(1)
    error = np.sqrt((differences.var(1) * views + SPREAD**2) / views) / math.sqrt(views)
    clear = table[best].mean() >= FITS and (mean >= np.maximum(MARGIN, SURE * error)).all()
    return list(fits)[best] if clear else None
