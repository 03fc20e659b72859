"""PNGs in which each mask has its own colour, and black is no mask."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats.files import below, match_files, modes_of, reading, refuse_jpeg, sampled_files
from disconerf_ns.masks.formats.format import Contents, Images, Losses
from disconerf_ns.masks.formats.panoptic import recognises as is_panoptic
from disconerf_ns.masks.formats.partition import SPREAD, Labels, flatten, label_maps, read_colors, write_colors
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.numbers import MOST_VALUES, TRANSPARENT, Void, judge, judge_colors
from disconerf_ns.masks.say import say

GREY = 1 + 256 + 65536
"""Colour number of grey value 1; grey value g has g times this number."""


def recognises(path: Path) -> bool:
    """A folder of PNGs with three or four channels, without panoptic JSON."""
    return bool(modes_of(below(path, ".png")) & {"RGB", "RGBA"}) and not is_panoptic(path)


def are_photographs(path: Path) -> bool:
    """Whether the PNGs in a folder have more colours than masks have."""
    return all(
        len(np.unique(colors)) > MOST_VALUES for file in sampled_files(below(path, ".png")) for colors in _of(file)
    )


def _of(file: Path, image: Path | None = None) -> list[Labels]:
    """The colours of a file, if it has any that can be read."""
    try:
        with reading(file):
            return [read_colors(file, image)]
    except MaskError:
        return []


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Coloured images by the images' names; if all of them are grey, the grey values are the numbers."""
    files = below(path, ".png")
    if not files:
        refuse_jpeg(path)
    matched = match_files(files, path, images)
    if all(_is_grey(file, image) for file, image in matched.pairs(images)):
        say("all colours are grey; numbers are their grey values.")
        return label_maps(matched, images, void, _greys, judge)
    return label_maps(matched, images, void, _colors, judge_colors, _spell)


def _is_grey(path: Path, image: Path) -> bool:
    return all(((colors % GREY == 0) | (colors == TRANSPARENT)).all() for colors in _of(path, image))


def _greys(path: Path, image: Path) -> Labels:
    colors = read_colors(path, image)
    colors[colors != TRANSPARENT] //= GREY
    return colors


def _colors(path: Path, image: Path) -> Labels:
    return read_colors(path, image)


def _spell(number: int) -> str:
    red, green, blue = (number >> shift & 255 for shift in (0, 8, 16))
    return f"{number} (the colour {red}, {green}, {blue})"


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write colours that are easy to tell apart; the smallest of overlapping masks covers the others."""
    lost = Losses()
    for key, image_masks in masks:
        numbers, hidden = flatten(image_masks, 2**24 - 1, key, "an image of colours")
        write_colors(numbers * SPREAD % 2**24, path / f"{key}.png")
        lost += hidden
    return lost
