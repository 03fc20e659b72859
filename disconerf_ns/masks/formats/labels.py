"""Label images: a PNG of 8 or 16 bit per image whose values are masks, 0 is none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from disconerf_ns.masks.formats import Images, Loaders
from disconerf_ns.masks.formats.files import by_image, first_below, mode_of
from disconerf_ns.masks.formats.partition import flatten, split
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.label_image import read_label_image, write_label_image

ONE_CHANNEL = ("L", "I", "I;16", "I;16B", "P", "1")
"""Pillow's kinds of images with one number per pixel."""


def recognises(path: Path) -> bool:
    """A folder of PNGs with one channel, but not one of single masks."""
    one = first_below(path, "*.png")
    return mode_of(one) in ONE_CHANNEL and first_below(path, "metadata.csv") is None


def read(path: Path, images: Images) -> Loaders:
    """Label images by the images' names."""
    return by_image(path, (".png",), images, _load)


def _load(path: Path, image: Path) -> ImageMasks:
    with Image.open(path) as content:
        if content.mode not in ONE_CHANNEL:
            raise ValueError(f"it has {len(content.getbands())} channels, a label image has one")
    return split(read_label_image(path))


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> None:
    """Write 16 bit; where masks overlap, the smallest shows."""
    for key, found in masks:
        write_label_image(flatten(found, np.iinfo(np.uint16).max, key, "a 16-bit label image"), path / f"{key}.png")
