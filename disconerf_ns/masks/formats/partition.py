"""Masks as a label map and back: what formats can hold that have one number per pixel."""

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
from disconerf_ns.masks.formats import Losses
from disconerf_ns.masks.formats.files import unsaid
from disconerf_ns.masks.image_masks import ImageMasks, Mask

SPREAD = 0x9E3779
"""Odd, so that its multiples by different numbers below 2^24 are different colours; of small numbers, clearly so."""
MOST_VALUES = 10_000
"""Masks of an image, at most, that are read from values of pixels."""


def split(labels: Integer[np.ndarray, "height width"], void: int = 0) -> ImageMasks:
    """A mask for each value but `void`, in rising order.

    Raises:
        ValueError: there are more values than a person would call masks.
    """
    values = [value for value in np.unique(labels) if value != void]
    if len(values) > MOST_VALUES:
        raise ValueError(f"it has {len(values)} different values: that looks like a photograph, not like masks")
    return gather((labels == value for value in values), *labels.shape)


def gather(masks: Iterable[Bool[np.ndarray, "height width"]], height: int, width: int) -> ImageMasks:
    """Compress masks one by one, so that only one at a time takes memory."""
    return ImageMasks(height, width, tuple(Mask.from_rle(run_length.encode(mask)) for mask in masks))


def flatten(masks: ImageMasks, most: int, key: str, kind: str) -> tuple[Integer[np.ndarray, "height width"], Losses]:
    """Number each pixel by the smallest mask that holds it, from 1 on in the masks' order; 0 is none.

    Beside the numbers stands what they do not keep: masks that smaller ones hide, wholly or in part, and whatever else
    is known of masks.

    Args:
        most: the largest number that fits.
        key, kind: what the masks are of, and what does not hold more, for the message.
    Raises:
        MaskError: there are more masks than that.
    """
    if len(masks) > most:
        raise MaskError(f"masks: image {key} has {len(masks)} masks, but {kind} holds {most}; choose another format.")
    labels = np.zeros((masks.height, masks.width), np.int64)
    for number, mask in _largest_first(masks):
        labels[mask] = number
    seen = np.bincount(labels.ravel(), minlength=len(masks) + 1)[1:]
    areas = np.array([mask.area for mask in masks.annotations], int)
    hidden = {
        "masks that smaller ones hide": int(((seen == 0) & (areas > 0)).sum()),
        "masks that smaller ones cut": int(((seen > 0) & (seen < areas)).sum()),
        "masks without a pixel": int((areas == 0).sum()),
    }
    return labels, +Losses(hidden) + unsaid(masks, "looked_at", "scores", "level")


def _largest_first(masks: ImageMasks) -> Iterator[tuple[int, Bool[np.ndarray, "height width"]]]:
    for i in sorted(range(len(masks)), key=lambda i: -masks.annotations[i].area):
        yield i + 1, run_length.decode(masks.annotations[i].rle)


def read_colors(path: Path) -> Integer[np.ndarray, "height width"]:
    """R + 256 G + 65536 B of every pixel, 0 where it is transparent.

    Raises:
        ValueError: the image has no colours.
    """
    with Image.open(path) as image:
        if image.mode not in ("RGB", "RGBA"):
            raise ValueError(f"it is an image of mode {image.mode}, not a coloured one")
        colors = np.asarray(image.convert("RGBA")).astype(np.int64)
    return colors[..., :3] @ (1, 256, 65536) * (colors[..., 3] > 0)


def write_colors(numbers: Integer[np.ndarray, "height width"], path: Path) -> None:
    """Write numbers below 2^24 as colours."""
    content = BytesIO()
    colors = np.stack([numbers >> shift & 255 for shift in (0, 8, 16)], -1).astype(np.uint8)
    Image.fromarray(colors).save(content, format="PNG")
    write_whole(path, content.getvalue())
