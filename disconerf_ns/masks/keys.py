"""The names under which the masks of images are kept, and how files of masks are found by them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from disconerf_ns.errors import MaskError

IMAGE_FOLDER = re.compile(r"images(_\d+)?")
SUFFIX = re.compile(r"(?<=[^/])\.(jpe?g|png|webp|tiff?|bmp|json|np[yz]|pth?)$", re.IGNORECASE)
"""Suffixes of images and of files of masks; what else comes after a dot is part of a name (`frame.0001`)."""
ENDING = re.compile(r"(?<=[^/])[_.-](labels?|masks?|seg|instances?)$", re.IGNORECASE)
"""What programs add to an image's name."""


def image_key(image: Path, data: Path) -> str:
    """The name under which an image's masks are kept.

    It is the image's path relative to the dataset, without suffix and without a leading `images` or `images_<k>`, so
    that every downscaled copy of an image has the same key: DATA/images_4/a/0001.jpg is `a/0001`.

    Args:
        image: the image's file.
        data: the dataset's folder, or its transforms file.
    Returns:
        A posix path; the bare stem for an image outside the dataset.
    """
    data = Path(data)
    folder = data.parent if data.suffix == ".json" else data
    for absolute in (os.path.abspath, os.path.realpath):
        here, there = Path(absolute(image)), Path(absolute(folder))
        if here.is_relative_to(there):
            parts = here.relative_to(there).with_suffix("").parts
            inside_images = len(parts) > 1 and IMAGE_FOLDER.fullmatch(parts[0])
            return PurePosixPath(*(parts[1:] if inside_images else parts)).as_posix()
    return Path(image).stem


def match(names: Iterable[str], keys: Iterable[str], root: Path) -> dict[str, str]:
    """Which of the named files or folders belongs to which image: each to one image at most, and each image to one.

    nerfstudio drops subfolders when it downscales images, and so do other programs, so a name fits an image if it is
    its key, or the end of it, or ends in it: `0001` fits `left/0001`, but `right/0001` does not. A name that is the
    key of one image fits no other. Where no name fits any image, they are read with less trust: `1.jpg.png`,
    `1_label.png` and `C:\\images\\1.png` then fit `1`.

    Args:
        names: relative paths, with the suffixes that files have.
        keys: the images' keys, all that there are, since one that is left out cannot be seen to fit too.
        root: what has these names, for messages.
    Returns:
        Names by key, in the order of the keys; an image that no name fits is not there.
    Raises:
        MaskError: two names fit one image, or one name fits two images.
    """
    names, keys = list(names), list(keys)
    for spelled in (without_suffix, plain):
        found = _pairs([(spelled(name), name) for name in names], keys, root)
        if found:
            return found
    return {}


def without_suffix(name: str) -> str:
    """A name without what says that it is a file of an image or of masks."""
    return SUFFIX.sub("", name)


def plain(name: str) -> str:
    """A name without whatever programs add to an image's name."""
    return without_suffix(ENDING.sub("", without_suffix(name.replace("\\", "/"))))


def _pairs(spelled: list[tuple[str, str]], keys: list[str], root: Path) -> dict[str, str]:
    images = set(keys)
    by_stem: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for spelling, name in spelled:
        by_stem[PurePosixPath(spelling).name].append((spelling, name))
    found: dict[str, str] = {}
    owner: dict[str, str] = {}
    for key in dict.fromkeys(keys):
        near = by_stem.get(PurePosixPath(key).name, ())
        fitting = [
            name for spelling, name in near if spelling == key or (spelling not in images and _ends(spelling, key))
        ]
        if len(fitting) > 1:
            raise MaskError(
                f"masks: {root} has {len(fitting)} candidates for image {key} ({', '.join(fitting[:3])}); keep one of "
                "them, or the images' subfolders."
            )
        for name in fitting:
            other = owner.setdefault(name, key)
            if other != key:
                raise MaskError(
                    f"masks: {name} in {root} fits two images, {other} and {key}; keep the images' subfolders there, "
                    "so that each has its own."
                )
            found[key] = name
    return found


def _ends(one: str, other: str) -> bool:
    return one.endswith(f"/{other}") or other.endswith(f"/{one}")
