"""PNGs in which each mask has its own colour, and black is no mask."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from disconerf_ns.masks.formats.files import below, by_image, modes_of
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.formats.panoptic import recognises as is_panoptic
from disconerf_ns.masks.formats.partition import SPREAD, flatten, masks_of_labels, read_colors, write_colors
from disconerf_ns.masks.image_masks import ImageMasks


def recognises(path: Path) -> bool:
    """A folder of PNGs with three or four channels, without panoptic JSON."""
    return bool(modes_of(below(path, ".png")) & {"RGB", "RGBA"}) and not is_panoptic(path)


def read(path: Path, images: Images) -> Contents:
    """Coloured images by the images' names."""
    return by_image(below(path, ".png"), path, images, _load)


def _load(path: Path, image: Path) -> Loaded:
    return Loaded(masks_of_labels(read_colors(path)))


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write colours that are easy to tell apart; the smallest of overlapping masks covers the others."""
    lost = Losses()
    for key, image_masks in masks:
        numbers, hidden = flatten(image_masks, 2**24 - 1, key, "an image of colours")
        write_colors(numbers * SPREAD % 2**24, path / f"{key}.png")
        lost += hidden
    return lost
