"""Photographs with an EXIF orientation, and labels as programs show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def boxes(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture (height, width, 3) of coloured boxes on noise, and its labels; 0 is the background."""
    generator = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.uint8)
    for label in range(1, 7):
        top, left = generator.integers(0, (height - 20, width - 20))
        down, right = generator.integers(12, 40, 2)
        labels[top : top + down, left : left + right] = label
    colors = generator.integers(20, 236, (7, 3))
    return (colors[labels] + generator.normal(0, 6, (height, width, 3))).clip(0, 255).astype(np.uint8), labels


def photograph(path: Path, picture: np.ndarray, orientation: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(path, exif=exif, quality=95)


def shown(array: np.ndarray, orientation: int) -> np.ndarray:
    """An array as viewers show it."""
    image = Image.fromarray(array)
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))
