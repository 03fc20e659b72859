"""Label images: a PNG of 8 or 16 bit per image whose values are masks, 0 is none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from disconerf_ns.masks.formats import Images, Loaders, Losses
from disconerf_ns.masks.formats.amg_folder import recognises as is_amg_folder
from disconerf_ns.masks.formats.files import below, by_image, modes_of
from disconerf_ns.masks.formats.partition import flatten, split
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.label_image import read_label_image, write_label_image

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
ONE_CHANNEL = {"L", "LA", "I", "I;16", "I;16B", "P", "1"}
"""Pillow's kinds of images with one number per pixel, beside transparency."""


def recognises(path: Path) -> bool:
    """A folder of PNGs with one channel, but not one of single masks."""
    return bool(modes_of(below(path, *SUFFIXES)) & ONE_CHANNEL) and not is_amg_folder(path)


def read(path: Path, images: Images) -> Loaders:
    """Label images by the images' names."""
    return by_image(below(path, *SUFFIXES), path, images, _load)


def _load(path: Path, image: Path) -> ImageMasks:
    with Image.open(path) as content:
        if content.mode not in ONE_CHANNEL:
            raise ValueError(f"it has {len(content.getbands())} channels, a label image has one")
        if content.mode == "LA":
            values, alpha = np.asarray(content).astype(np.int64).transpose(2, 0, 1)
            return split(values * (alpha > 0))
    return split(read_label_image(path))


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write 16 bit; where masks overlap, the smallest shows."""
    lost = Losses()
    for key, found in masks:
        labels, hidden = flatten(found, np.iinfo(np.uint16).max, key, "a 16-bit label image")
        write_label_image(labels, path / f"{key}.png")
        lost += hidden
    return lost
