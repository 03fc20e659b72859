"""Conversion between masks and label maps, for formats that hold one number per pixel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Integer
from PIL import Image

from disconerf_ns.errors import MaskError
from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.formats.files import unsaid
from disconerf_ns.masks.formats.format import Losses
from disconerf_ns.masks.image_masks import ImageMasks, Mask

SPREAD = 0x9E3779
"""Multiplies a mask's number, modulo 2^24, to give its colour: odd, so that colours differ, and large, so that the
colours of small numbers are easy to tell apart."""
MOST_VALUES = 10_000
"""Largest number of different pixel values that still count as masks; more look like a photograph."""


def masks_of_labels(labels: Integer[np.ndarray, "height width"], void: int = 0) -> ImageMasks:
    """One mask for each value except `void`, in ascending order.

    Raises:
        ValueError: there are more than MOST_VALUES values.
    """
    values = [value for value in np.unique(labels) if value != void]
    if len(values) > MOST_VALUES:
        raise ValueError(f"it has {len(values)} different values, like a photograph and unlike masks")
    return gather((labels == value for value in values), *labels.shape)


def gather(masks: Iterable[Bool[np.ndarray, "height width"]], height: int, width: int) -> ImageMasks:
    """Run-length encode masks one by one, so that only one array at a time takes memory."""
    return ImageMasks(height, width, tuple(Mask.from_rle(run_length.encode(mask)) for mask in masks))


def flatten(masks: ImageMasks, most: int, key: str, kind: str) -> tuple[Integer[np.ndarray, "height width"], Losses]:
    """Number each pixel by the smallest mask that covers it, counted from 1 in the masks' order; 0 is no mask.

    Args:
        most: the largest number that the format holds.
        key, kind: the image's key and the kind of file, for the message.
    Returns:
        The numbers, and the information that they lose: masks that smaller ones hide or cut, empty masks, scores, ...
    Raises:
        MaskError: there are more than `most` masks.
    """
    if len(masks) > most:
        raise MaskError(f"masks: image {key} has {len(masks)} masks, but {kind} holds {most}; choose another format.")
    labels = np.zeros((masks.height, masks.width), np.int64)
    for number, mask in _largest_first(masks):
        labels[mask] = number
    seen = np.bincount(labels.ravel(), minlength=len(masks) + 1)[1:]
    areas = np.array([mask.area for mask in masks.annotations], int)
    hidden = {
        "masks hidden by smaller ones": int(((seen == 0) & (areas > 0)).sum()),
        "masks cut by smaller ones": int(((seen > 0) & (seen < areas)).sum()),
        "empty masks": int((areas == 0).sum()),
    }
    return labels, +Losses(hidden) + unsaid(masks, "looked_at", "scores", "level")


def _largest_first(masks: ImageMasks) -> Iterator[tuple[int, Bool[np.ndarray, "height width"]]]:
    for i in sorted(range(len(masks)), key=lambda i: -masks.annotations[i].area):
        yield i + 1, run_length.decode(masks.annotations[i].rle)


def read_colors(path: Path) -> Integer[np.ndarray, "height width"]:
    """R + 256 G + 65536 B of every pixel, 0 if the pixel is transparent.

    Raises:
        ValueError: the image is neither RGB nor RGBA.
    """
    with Image.open(path) as image:
        if image.mode not in ("RGB", "RGBA"):
            raise ValueError(f"it is an image of mode {image.mode}, not RGB or RGBA")
        colors = np.asarray(image.convert("RGBA")).astype(np.int64)
    return colors[..., :3] @ (1, 256, 65536) * (colors[..., 3] > 0)


def write_colors(numbers: Integer[np.ndarray, "height width"], path: Path) -> None:
    """Write numbers in [0, 2^24) as the colours of a PNG."""
    content = BytesIO()
    colors = np.stack([numbers >> shift & 255 for shift in (0, 8, 16)], -1).astype(np.uint8)
    Image.fromarray(colors).save(content, format="PNG")
    write_whole(path, content.getvalue())
