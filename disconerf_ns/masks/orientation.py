"""EXIF orientation of photographs, and the turning of masks from the upright picture to the stored pixels.

nerfstudio uses the pixels as they are stored, whereas most programs that draw masks show the upright picture.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import ExifTags, Image

from disconerf_ns.errors import UserError, reason
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.opening import picture
from disconerf_ns.masks.rle import Rle

STORED = 1
"""Orientation of a photograph whose stored pixels are upright."""
TRANSPOSING = {5, 6, 7, 8}
"""Orientations whose upright picture is as wide as the stored one is high."""


def orientation_of(photograph: Path) -> int:
    """The orientation, 1 to 8, of the pixels that Pillow reads from a file; 1 if the file does not say a valid one.

    Pillow turns TIFF files upright itself, so their pixels have orientation 1.

    Raises:
        UserError: the file is missing or is not an image.
    """
    try:
        with picture(photograph) as image:
            if image.format == "TIFF":
                return STORED
            value = image.getexif().get(ExifTags.Base.Orientation, STORED)
    except FileNotFoundError:
        raise UserError(f"{photograph} is missing") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{photograph} cannot be read ({reason(error)})") from error
    return value if value in range(1, 9) else STORED


def stored(upright: Shaped[np.ndarray, "a b"], orientation: int) -> Shaped[np.ndarray, "height width"]:
    """An array of the upright picture, such as a mask or labels, turned to the stored pixels of the photograph."""
    across, down = upright[:, ::-1], upright[::-1]
    turned = {
        1: upright,
        2: across,
        3: across[::-1],
        4: down,
        5: upright.T,
        6: upright.T[::-1],
        7: across[::-1].T,
        8: upright.T[:, ::-1],
    }
    return turned[orientation]


def stored_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Height and width of the stored photograph whose upright picture has this height and width, or the reverse."""
    return (width, height) if orientation in TRANSPOSING else (height, width)


def stored_masks(upright: ImageMasks, orientation: int) -> ImageMasks:
    """The masks of the upright picture turned to the stored pixels of the photograph; their scores stay."""
    if orientation == STORED:
        return upright

    def turn(rle: Rle) -> Rle:
        return run_length.encode(stored(run_length.decode(rle), orientation))

    annotations = []
    for mask in upright.annotations:
        rle = turn(mask.rle)
        annotations.append(replace(mask, rle=rle, bbox=run_length.bounding_box(rle)))
    height, width = stored_size(upright.height, upright.width, orientation)
    return ImageMasks(height, width, tuple(annotations), upright.looked_at and turn(upright.looked_at))
