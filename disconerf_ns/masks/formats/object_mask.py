"""Gaussian Grouping's `object_mask`: label images of 8 bit, which are read like other label images."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from disconerf_ns.files import write_whole
from disconerf_ns.masks.formats.format import Images, Losses
from disconerf_ns.masks.formats.labels import read as read
from disconerf_ns.masks.formats.partition import flatten
from disconerf_ns.masks.image_masks import ImageMasks


def recognises(path: Path) -> bool:
    """False: such a folder is recognised as label images."""
    return False


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write 8 bit; the smallest of overlapping masks covers the others. Numbers are not related between images."""
    lost = Losses()
    for key, image_masks in masks:
        content = BytesIO()
        labels, hidden = flatten(image_masks, np.iinfo(np.uint8).max, key, "an 8-bit label image")
        Image.fromarray(labels.astype(np.uint8)).save(content, format="PNG")
        write_whole(path / f"{key}.png", content.getvalue())
        lost += hidden
    return lost
