"""Label images: a whole number per pixel, in one channel of 1 to 64 bits; the pages of a file may be several masks."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Integer, Shaped
from PIL import Image, ImageSequence, UnidentifiedImageError

from disconerf_ns.errors import UserError
from disconerf_ns.files import regular, write_whole
from disconerf_ns.masks.numbers import TRANSPARENT
from disconerf_ns.masks.opening import check_pixels, picture

SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")
ONE_CHANNEL = {"L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "P", "PA", "F", "1"}
"""Pillow's modes of images with one number per pixel, with or without transparency."""
SIGNED = 2
"""TIFF's code of signed numbers; Pillow ignores it where a number has 8 bits."""
SAMPLE_FORMAT, WHITE_OR_BLACK_IS_0, SOFTWARE = 339, 262, 305
"""TIFF's tags: of this code, of how 0 is shown (0 as white), and of the program that wrote the file."""


def is_label_image(path: Path) -> bool:
    """Whether a file is an image with one channel, by its header."""
    try:
        with _opened(path) as image:
            return image.mode in ONE_CHANNEL
    except UnidentifiedImageError:
        return _is_wide_tiff(path)


def read_label_image(path: Path) -> Int[np.ndarray, "h w"]:
    """The numbers of an image with one channel and one page.

    Indices stand for the colours of a palette, as `read_pages` explains; transparent pixels are TRANSPARENT.

    Raises:
        OSError, ValueError: the file is broken, has several channels or pages, or numbers with fractions.
    """
    pages = read_pages(path)
    if len(pages) > 1:
        raise ValueError(f"it has {len(pages)} pages, but a label image has one")
    return pages[0]


def read_pages(path: Path, check: Callable[[int, int, int], None] = check_pixels) -> list[Int[np.ndarray, "h w"]]:
    """The numbers of each page (TIFF) or frame (GIF, animated PNG), all of one size.

    The number of a pixel with a palette is its index. If another index than 0 is black, the palette was not made for
    label images, or 0 is an object; a number is then a colour, R + 256 G + 65536 B, so that black is 0. The same holds
    for GIF, where programs change the order of palettes.

    Args:
        check: called with height, width and number of the pages before they are unpacked; raises if they are too large.
    Raises:
        OSError, ValueError: the file is broken, has several channels, numbers with fractions, or pages of unlike sizes.
    """
    try:
        with _opened(path) as image:
            check(image.height, image.width, getattr(image, "n_frames", 1))
            pages = [_numbers(page) for page in ImageSequence.Iterator(image)]
    except UnidentifiedImageError:
        if not _is_wide_tiff(path):
            raise
        pages = [whole(_of_one_channel(page)) for page in _wide_pages(path, check)]
    if not pages:
        raise ValueError("it has no pages")
    for page in pages:
        if page.shape != pages[0].shape:
            raise ValueError(f"its {len(pages)} pages are of different sizes")
    return pages


def write_label_image(labels: Integer[np.ndarray, "h w"], path: Path) -> None:
    """Write labels in [0, 65535] as a 16-bit PNG; a failure leaves no half-written file."""
    content = BytesIO()
    Image.fromarray(labels.astype(np.uint16)).save(content, format="PNG")
    write_whole(path, content.getvalue())


def whole(numbers: Shaped[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
    """Numbers of any type as integers; -1 that was stored without a sign in 32 or 64 bits is -1 again.

    Raises:
        ValueError: some numbers are not whole.
    """
    if numbers.dtype.kind == "f":
        fractions = numbers[numbers != np.trunc(numbers)]
        if fractions.size or not np.isfinite(numbers).all():
            example = fractions[0] if fractions.size else "infinity"
            raise ValueError(
                f"it has numbers that are not whole, such as {example:.4g}; write whole numbers, or make masks of "
                "probabilities by a threshold"
            )
    elif numbers.dtype.kind == "u" and numbers.itemsize >= 4:
        numbers = numbers.astype(numbers.dtype.newbyteorder("=")).view(f"i{numbers.itemsize}")
    return numbers.astype(np.int64)


def colors_as_numbers(colors: Int[np.ndarray, "h w 4"]) -> Int[np.ndarray, "h w"]:
    """R + 256 G + 65536 B of RGBA pixels in [0, 255], TRANSPARENT where A is 0."""
    return np.where(colors[..., 3] > 0, colors[..., :3] @ (1, 256, 65536), TRANSPARENT)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file whose damage is an OSError or ValueError.

    Raises:
        ValueError: Pillow cannot decode it.
    """
    logging.getLogger("PIL.TiffImagePlugin").setLevel(logging.CRITICAL)  # it logs some faults before it raises
    try:
        with picture(path) as image:
            yield image
    except (MemoryError, OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError):
        raise
    except Exception as error:  # damage makes Pillow raise TypeError, IndexError, zlib.error, ... too
        raise ValueError(f"Pillow cannot read it: {error}") from error


def _numbers(page: Image.Image) -> Int[np.ndarray, "h w"]:
    """The numbers of the page that an image file is at."""
    if page.format == "GIF" or has_black_elsewhere(page):
        return _as_grey(np.asarray(page.convert("RGBA")).astype(np.int64))
    if page.mode not in ONE_CHANNEL:
        raise ValueError(f"it has {len(page.getbands())} channels, but a label image has one")
    check_depth(page)
    page.load()
    pixels, tags = np.asarray(page), getattr(page, "tag_v2", {})
    if pixels.ndim == 3:
        return np.where(pixels[..., 1] > 0, pixels[..., 0].astype(np.int64), TRANSPARENT)
    if page.mode == "L" and SIGNED in tags.get(SAMPLE_FORMAT, ()):
        pixels = pixels.view(np.int8)
    elif page.mode == "1" and tags.get(WHITE_OR_BLACK_IS_0) == 0 and "tifffile" in str(tags.get(SOFTWARE)):
        pixels = ~pixels  # tifffile writes True as 1, and declares 1 to be black
    numbers = whole(pixels)
    numbers[_transparent(page, numbers)] = TRANSPARENT
    return numbers


def _transparent(page: Image.Image, numbers: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Pixels with a number that the file declares to be transparent."""
    declared: Any = page.info.get("transparency", ())
    clear = [declared] if isinstance(declared, int) else [i for i, alpha in enumerate(declared) if alpha == 0]
    return np.isin(numbers, clear)


def has_black_elsewhere(page: Image.Image) -> bool:
    """Whether pixels have a palette's index that is black, while 0 is another colour."""
    if page.mode != "P":
        return False
    black = np.flatnonzero(~np.array(page.getpalette("RGB")).reshape(-1, 3).any(1))
    return 0 not in black and bool(np.isin(np.asarray(page), black).any())


def check_depth(page: Image.Image) -> None:
    """Refuse several channels of 16 bits, of which Pillow drops 8.

    Raises:
        ValueError: the image has such channels.
    """
    if len(page.getbands()) > 1 and any("16" in str(tile[3]) for tile in getattr(page, "tile", ())):
        raise ValueError(f"it has {len(page.getbands())} channels of 16 bits; write one channel of 16 bits")


def _as_grey(colors: Int[np.ndarray, "h w 4"]) -> Int[np.ndarray, "h w"]:
    """Numbers of colours, or their grey values if all are grey."""
    grey = (colors[..., :1] == colors[..., :3]).all()
    return np.where(colors[..., 3] > 0, colors[..., 0], TRANSPARENT) if grey else colors_as_numbers(colors)


def _is_wide_tiff(path: Path) -> bool:
    """Whether a file is a TIFF that Pillow does not know, such as one of 64 bits or of many channels."""
    try:
        return bool(_wide_pages(path, check_pixels))
    except (OSError, ValueError):
        return False


def _of_one_channel(page: np.ndarray) -> np.ndarray:
    if page.ndim != 2:
        raise ValueError(f"it has {page.shape[-1]} channels, but a label image has one; write a mask per page")
    return page


def _wide_pages(path: Path, check: Callable[[int, int, int], None]) -> list[np.ndarray]:
    """The pages of a TIFF, read by tifffile.

    Raises:
        ValueError: tifffile cannot read it.
    """
    from tifffile import TiffFile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs each broken tag before it raises
    try:
        with TiffFile(regular(path)) as file:
            for shape in {page.shape for page in file.pages}:
                check(shape[0], shape[1], len(file.pages) * math.prod(shape[2:]))
            return [page.asarray() for page in file.pages]
    except UserError:
        raise
    except Exception as error:  # a broken file makes tifffile raise nearly anything
        raise ValueError(f"tifffile cannot read it: {error}") from error
