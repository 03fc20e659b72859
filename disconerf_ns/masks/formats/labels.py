"""Label images: a PNG of 8 or 16 bit per image in which each value but 0 is a mask."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from disconerf_ns.masks.formats.amg_folder import recognises as is_amg_folder
from disconerf_ns.masks.formats.files import below, by_image, decoding, modes_of
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.formats.partition import flatten, masks_of_labels
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.label_image import write_label_image

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
ONE_CHANNEL = {"L", "LA", "I", "I;16", "I;16B", "P", "1"}
"""Pillow's modes of images with one number per pixel, with or without transparency."""


def recognises(path: Path) -> bool:
    """A folder of images with one channel that does not hold a PNG per mask."""
    return bool(modes_of(below(path, *SUFFIXES)) & ONE_CHANNEL) and not is_amg_folder(path)


def read(path: Path, images: Images) -> Contents:
    """Label images by the images' names."""
    return by_image(below(path, *SUFFIXES), path, images, _load)


def _load(path: Path, image: Path) -> Loaded:
    with Image.open(path) as content:
        if content.mode not in ONE_CHANNEL:
            raise ValueError(f"it has {len(content.getbands())} channels, but a label image has one")
        with decoding("Pillow"):
            content.load()
        labels = np.asarray(content).astype(np.int64)
    return Loaded(masks_of_labels(labels if labels.ndim == 2 else labels[..., 0] * (labels[..., 1] > 0)))


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write 16 bit; the smallest of overlapping masks covers the others."""
    lost = Losses()
    for key, image_masks in masks:
        labels, hidden = flatten(image_masks, np.iinfo(np.uint16).max, key, "a 16-bit label image")
        write_label_image(labels, path / f"{key}.png")
        lost += hidden
    return lost
