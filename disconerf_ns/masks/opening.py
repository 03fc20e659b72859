"""Opening of files that others made: regular files only, and never more of them than memory is meant for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from disconerf_ns.files import regular

GIB = 2**30
MOST_PIXELS = 2**28
"""Largest picture that masks can be of, in pixels: 16384 x 16384."""
MOST_BYTES = 4 * GIB
"""Largest file that is read at once, and largest content that is unpacked from one, in bytes."""


def read_bytes(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: it cannot be read.
        UserError: it is no regular file.
        ValueError: it is larger than MOST_BYTES.
    """
    check_bytes(regular(path).stat().st_size)
    return path.read_bytes()


def check_bytes(size: int) -> None:
    """Refuse content by the size that its header declares, before any of it is unpacked.

    Raises:
        ValueError: it is larger than MOST_BYTES.
    """
    if size > MOST_BYTES:
        raise ValueError(
            f"it declares {size / GIB:.1f} GiB, and {MOST_BYTES / GIB:.0f} GiB are read at most; split it by images, "
            "or write label images or RLE"
        )


def check_pixels(height: int, width: int, count: int = 1) -> None:
    """Refuse a picture, or several of one size, that no photograph has.

    Raises:
        ValueError: a picture has more than MOST_PIXELS, or all together take more than MOST_BYTES at 8 bytes a pixel.
    """
    if height * width > MOST_PIXELS:
        raise ValueError(
            f"{width} x {height} is not the size of a photograph, which has {MOST_PIXELS:,} pixels at most"
        )
    check_bytes(8 * count * height * width)


@contextmanager
def picture(path: Path) -> Iterator[Image.Image]:
    """An image file of which only the header is read so far.

    Raises:
        OSError: it cannot be read, or is no image.
        UserError: it is no regular file.
        ValueError: it has more than MOST_PIXELS.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(regular(path))
        except Image.DecompressionBombError as error:
            raise ValueError(f"it has more pixels than a photograph ({error})") from error
    with image:
        check_pixels(image.height, image.width)
        yield image
