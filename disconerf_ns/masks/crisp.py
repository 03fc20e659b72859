"""Whether the numbers of a label image were drawn, or are mixtures that a smooth filter or JPEG made."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Integer, Shaped

MOST_MIXED = 0.15
"""Largest part of the pixels along borders that may be mixtures. Drawn images have less than 0.1, even of objects of
ten pixels; smooth filters leave 0.2 and more, JPEG of quality 95 leaves 0.25."""
FEWEST_MIXED = 50
"""Fewer mixtures say nothing about an image."""
ONE_VALUE = 0.9
"""If one number makes up this part of the mixtures, they are a thin line that was drawn."""

LEAST_FLAT = 0.5
"""If a smaller part of the image is flat, its objects are single pixels."""
Pixels = Bool[np.ndarray, "h w"]


def check_crisp(labels: Integer[np.ndarray, "height width"]) -> None:
    """Refuse a label image that was resized smoothly, anti-aliased or saved as JPEG.

    Raises:
        ValueError: many pixels along borders are mixtures of the numbers beside them.
    """
    in_block, mixed, border = _parts(labels)
    values, counts = np.unique(labels[mixed], return_counts=True)
    if mixed.sum() < FEWEST_MIXED or counts.max() > ONE_VALUE * mixed.sum() or in_block.mean() < LEAST_FLAT:
        return
    part = mixed.sum() / border.sum()
    if part > MOST_MIXED:
        raise ValueError(
            f"{100 * part:.0f}% of the pixels along its borders have numbers between those of their neighbours, such "
            f"as {values[counts.argmax()]}, which smooth resizing, anti-aliasing or JPEG invents; make it anew as a "
            "PNG, resized by nearest neighbour"
        )


def _parts(labels: Integer[np.ndarray, "h w"]) -> tuple[Pixels, Pixels, Pixels]:
    """Parts of a label image.

    Returns:
        Pixels in a 2 x 2 block of one number; mixtures, which are in none and whose number lies strictly between others
        in their 3 x 3 neighbourhood; pixels along borders of numbers that differ by 2 or more, where mixtures may be.
    """
    numbers = labels.astype(np.float32)
    low, high = (f(numbers, np.ones((3, 3)), borderType=cv2.BORDER_REPLICATE) for f in (cv2.erode, cv2.dilate))
    same_below, same_right = numbers[1:] == numbers[:-1], numbers[:, 1:] == numbers[:, :-1]
    block = same_below[:, 1:] & same_below[:, :-1] & same_right[1:] & same_right[:-1]
    in_block = _touched(_touched(block, 0), 1)
    border = (_touched(~same_below, 0) | _touched(~same_right, 1)) & (high - low >= 2)
    return in_block, ~in_block & (low < numbers) & (numbers < high), border


def _touched(between: Shaped[np.ndarray, "_ _"], axis: int) -> Bool[np.ndarray, "_ _"]:
    """Pixels beside gaps that are marked, along an axis that has one gap less than pixels."""
    before, after = ([(0, 0), (0, 0)] for _ in range(2))
    before[axis], after[axis] = (1, 0), (0, 1)
    return np.pad(between, before) | np.pad(between, after)
