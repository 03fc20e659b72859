"""Pictures and short films as data that a page holds itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from disconerf_ns.filming.matte import in_bytes

QUALITY = 80
"""Quality of WebP in [0, 100]."""


def still(picture: Shaped[np.ndarray, "height width channels"], longest: int | None = None) -> str:
    """A picture as a data URI in WebP.

    Args:
        picture: RGB or RGBA, bytes or floats in [0, 1].
        longest: pixels of the longer side, at most.
    """
    image = Image.fromarray(as_bytes(picture))
    if longest is not None:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return _uri(image)


def moving(frames: Sequence[Shaped[np.ndarray, "height width channels"]], fps: float) -> str:
    """Frames as a data URI in animated WebP, which begins anew at its end.

    Args:
        frames: RGB or RGBA, bytes or floats in [0, 1]; at least one.
        fps: frames per second.
    """
    first, *others = [Image.fromarray(as_bytes(frame)) for frame in frames]
    return _uri(first, save_all=True, append_images=others, duration=round(1000 / fps), loop=0)


def as_bytes(picture: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    """Bytes of values that may be floats in [0, 1]."""
    return picture if picture.dtype == np.uint8 else in_bytes(picture)


def _uri(image: Image.Image, **options) -> str:
    content = BytesIO()
    image.save(content, format="WEBP", quality=QUALITY, method=4, **options)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
