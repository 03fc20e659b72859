"""Label images: a PNG or TIFF with one channel per image in which each number is a mask, or with a mask per page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from disconerf_ns.masks.formats.amg_folder import recognises as is_amg_folder
from disconerf_ns.masks.formats.files import BROKEN, below, check_size, match_files, refuse_jpeg, sampled_files
from disconerf_ns.masks.formats.format import Contents, Images, Losses
from disconerf_ns.masks.formats.partition import Labels, Stack, flatten, label_maps, stack_of
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.label_image import SUFFIXES, has_black_elsewhere, is_label_image, read_pages, write_label_image
from disconerf_ns.masks.numbers import Void
from disconerf_ns.masks.opening import picture
from disconerf_ns.masks.say import say


def recognises(path: Path) -> bool:
    """A folder of images with one channel that does not hold a PNG per mask."""
    return any(map(_is_label_image, sampled_files(below(path, *SUFFIXES)))) and not is_amg_folder(path)


def _is_label_image(path: Path) -> bool:
    try:
        return is_label_image(path)
    except BROKEN:
        return False


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Label images by the images' names."""
    files = below(path, *SUFFIXES)
    if not files:
        refuse_jpeg(path)
    odd = [file for file in files if _is_by_color(file)]
    if odd:
        say(
            f"{len(odd)} files, such as {odd[0]}, have a palette in which black is not 0; numbers are their "
            "colours, R + 256 G + 65536 B, and black is 0."
        )
    return label_maps(match_files(files, path, images), images, void, _read)


def _read(path: Path, image: Path) -> Labels | Stack:
    pages = read_pages(path, lambda height, width, count: check_size(path, height, width, image, count))
    if len(pages) == 1:
        return pages[0]
    stack = stack_of(pages)
    if stack is None:
        raise ValueError(
            f"it has {len(pages)} pages, which are not one mask each, of 0 and one more number; write one page with a "
            "number per object, or a page per mask"
        )
    return stack


def _is_by_color(path: Path) -> bool:
    try:
        with picture(path) as image:
            return image.format != "GIF" and has_black_elsewhere(image)
    except BROKEN:
        return False


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write 16 bit; the smallest of overlapping masks covers the others."""
    lost = Losses()
    for key, image_masks in masks:
        labels, hidden = flatten(image_masks, np.iinfo(np.uint16).max, key, "a 16-bit label image")
        write_label_image(labels, path / f"{key}.png")
        lost += hidden
    return lost
