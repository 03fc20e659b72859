"""Pictures with transparency: straight colours and alpha, laid over a colour or over each other."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from scipy import ndimage

from disconerf_ns.files import write_whole

MARGIN = 16
"""Pixels around an object that have its colours under alpha 0."""

Picture = Float[np.ndarray, "height width 4"]
"""RGB, not multiplied by alpha, and alpha, in [0, 1]."""


def over(front: Picture, back: Picture) -> Picture:
    """A picture with transparency over another one (Porter and Duff 1984)."""
    alpha, behind = front[..., 3:], back[..., 3:] * (1 - front[..., 3:])
    total = alpha + behind
    colors = (alpha * front[..., :3] + behind * back[..., :3]) / np.maximum(total, 1e-6)
    return np.concatenate([colors, total], -1)


def on_color(picture: Picture, color: tuple[float, float, float]) -> Float[np.ndarray, "height width 3"]:
    """A picture on a plain colour, RGB in [0, 1]."""
    return picture[..., 3:] * picture[..., :3] + (1 - picture[..., 3:]) * np.asarray(color, picture.dtype)


def bled(picture: Picture) -> Picture:
    """The same picture whose transparent pixels near the object have the colour of its nearest pixel.

    Video stores one colour for four pixels, and players blend neighbours: without this, an object's edge would take on
    the colour that happens to lie under alpha 0.
    """
    clear = picture[..., 3] < 1 / 255
    if not clear.any() or clear.all():
        return picture
    row, column = np.asarray(ndimage.distance_transform_edt(clear, return_distances=False, return_indices=True))
    y, x = np.indices(clear.shape)
    near = np.hypot(row - y, column - x) <= MARGIN
    colors = np.where(near[..., None], picture[row, column, :3], 0)
    return np.concatenate([colors, picture[..., 3:]], -1)


def write_png(path: Path, picture: UInt8[np.ndarray, "height width *channels"]) -> None:
    """Write a picture as PNG, whole or not at all."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", optimize=True)
    write_whole(path, content.getvalue())


def in_bytes(picture: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Values in [0, 1] in 256 steps."""
    return (picture * 255).round().clip(0, 255).astype(np.uint8)
