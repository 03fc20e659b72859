"""A binary image per object: NAME/0.png, NAME/1.png, ... in a folder with the image's name, or NAME_object0.png, ..."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats.files import (
    below,
    check_size,
    decoding,
    match_images,
    reading,
    refuse_void,
    without_photographs,
)
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.formats.partition import gather
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.keys import pair
from disconerf_ns.masks.numbers import Void
from disconerf_ns.masks.opening import picture
from disconerf_ns.masks.simplify import without_suffix

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
INSIDE = re.compile(r"(?<=[^/])/(masks?|objects?|instances?)$", re.IGNORECASE)
"""A folder of masks within a folder with the image's name."""
NUMBERED = re.compile(r"(?P<image>.+?)[_.-](?P<word>[a-z]+[_.-]?)?\d+$", re.IGNORECASE)
"""A name that ends in an object's number, with or without a word before it."""


def recognises(path: Path) -> bool:
    """False: whether a number in a name is an object's is seen from the images' names, see `groups`."""
    return False


def groups(path: Path, images: Images) -> dict[str, list[Path]]:
    """The files of each image, by the folder or beginning of their names; empty if they are not one per object.

    They are not if a file has an image's name itself.
    """
    masks = without_photographs(below(path, *SUFFIXES), images)
    files = [(without_suffix(file.relative_to(path).as_posix()), file) for file in masks]
    if any(name in images for name, _ in files):
        return {}
    in_folders, flat = defaultdict(list), defaultdict(list)
    several = False
    for name, file in files:
        folder = INSIDE.sub("", PurePosixPath(name).parent.as_posix())
        if folder != ".":
            in_folders[folder].append(file)
        if numbered := NUMBERED.fullmatch(name):
            flat[numbered["image"]].append(file)
            several = several or bool(numbered["word"]) or len(flat[numbered["image"]]) > 1
    if _fit(in_folders, images, path):
        return in_folders
    return flat if several and _fit(flat, images, path) else {}


def _fit(names: Iterable[str], images: Images, root: Path) -> bool:
    try:
        return bool(pair(names, images, root).names)
    except MaskError:
        return False


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Files by the images' names; empty masks are left out.

    Raises:
        MaskError: the files' folders, or the beginnings of their names, are not images' names.
    """
    refuse_void(void, path)
    found = groups(path, images)
    if not found:
        raise MaskError(
            f"masks: {path} has no folders with the images' names, such as {next(iter(images))}/0.png, and no files "
            f"such as {next(iter(images))}_object0.png; name the masks of an image in one of these ways."
        )
    names = match_images(found, images, path)
    used = sum(len(found[name]) for name in names.values())
    files = without_photographs(below(path, *SUFFIXES), images)
    loaders = {key: partial(_load, sorted(found[name], key=_by_number), images[key]) for key, name in names.items()}
    return Contents(loaders, +Losses({"files that fit no image": len(files) - used}))


def _by_number(file: Path) -> tuple[int, str]:
    number = re.search(r"\d+$", file.stem)
    return (int(number[0]) if number else -1, file.name)


def _load(files: list[Path], image: Path) -> Loaded:
    masks = [_mask(file, image) for file in files]
    shapes = {mask.shape for mask in masks}
    if len(shapes) > 1:
        raise MaskError(f"masks: the files in {files[0].parent}, such as {files[0].name}, have different sizes.")
    seen = [mask for mask in masks if mask.any()]
    return Loaded(gather(seen, *masks[0].shape), +Losses({"empty masks": len(masks) - len(seen)}))


def _mask(file: Path, photograph: Path) -> Bool[np.ndarray, "height width"]:
    """The mask of one object, in which all pixels of it have one value, and all others are 0.

    Raises:
        MaskError: the file is broken, or has other values.
    """
    with reading(file), picture(file) as image, decoding("Pillow"):
        check_size(file, image.height, image.width, photograph)
        image.load()
        pixels = np.asarray(image)
    colors = pixels.reshape(*pixels.shape[:2], -1).astype(np.int64)
    if image.mode in ("LA", "RGBA"):
        colors = colors[..., :-1] * (colors[..., -1:] > 0)
    mask = colors.any(-1)
    values = np.unique(colors[mask], axis=0)
    if len(values) > 1:
        raise MaskError(
            f"masks: {file} has {len(values)} values besides 0, so it is not the mask of one object; save each object "
            "as black and one other value without smooth borders, or name a label image like its image."
        )
    return mask


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Refuse: without a table, an image without masks would be lost.

    Raises:
        MaskError: always.
    """
    raise MaskError("masks: a PNG per object is written with --to amg_folder, which adds a table of them.")
