"""Keys of images, under which their masks are stored, and the pairing of mask files with images by name."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from disconerf_ns.errors import MaskError

IMAGE_FOLDER = re.compile(r"images(_\d+)?")
SUFFIX = re.compile(r"(?<=[^/])\.(jpe?g|png|webp|tiff?|bmp|gif|json|np[yz]|pth?)$", re.IGNORECASE)
"""Suffixes of image and mask files; anything else after a dot belongs to the name (`frame.0001`)."""
ENDING = re.compile(r"(?<=[^/])[_.-](labels?|masks?|seg|instances?)$", re.IGNORECASE)
"""Endings that other programs add to an image's name."""


def image_key(image: Path, data: Path) -> str:
    """The key of an image, under which its masks are stored.

    The key is the image's path relative to the dataset, without its suffix and without a leading `images` or
    `images_<k>`. All downscaled copies of an image thus have the same key: DATA/images_4/a/0001.jpg has `a/0001`.

    Args:
        image: the image's file.
        data: the dataset's folder, or its transforms file.
    Returns:
        A POSIX path; the bare stem for an image outside the dataset.
    """
    data = Path(data)
    folder = data.parent if data.suffix == ".json" else data
    for absolute in (os.path.abspath, os.path.realpath):
        image_path, folder_path = Path(absolute(image)), Path(absolute(folder))
        if image_path.is_relative_to(folder_path):
            parts = image_path.relative_to(folder_path).with_suffix("").parts
            inside_images = len(parts) > 1 and IMAGE_FOLDER.fullmatch(parts[0])
            return PurePosixPath(*(parts[1:] if inside_images else parts)).as_posix()
    return Path(image).stem


def pair_names(names: Iterable[str], keys: Iterable[str], root: Path) -> dict[str, str]:
    """Pair named files (or folders) with images, one to one.

    nerfstudio and other programs drop subfolders when they downscale images. A name without its suffix therefore fits
    an image if it is the image's key, or one is the end of the other: `0001` fits `left/0001`, but `right/0001` does
    not. A name that is the key of one image fits no other. If no name fits any image, the names are compared once more
    without the endings that programs add: `1.jpg.png`, `1_label.png` and `C:\\images\\1.png` then fit `1`.

    Args:
        names: relative paths with their suffixes.
        keys: the keys of all images; if one is left out, a name that fits it as well looks unambiguous.
        root: the folder or file that holds the names, for messages.
    Returns:
        Names by key, in the order of the keys, without the images that no name fits.
    Raises:
        MaskError: two names fit one image, or one name fits two images.
    """
    names, keys = list(names), list(keys)
    for simplify in (without_suffix, plain):
        pairs = _pairs([(simplify(name), name) for name in names], keys, root)
        if pairs:
            return pairs
    return {}


def without_suffix(name: str) -> str:
    """A name without the suffix of an image or mask file."""
    return SUFFIX.sub("", name)


def plain(name: str) -> str:
    """A POSIX name without suffixes and without an ending that programs add to an image's name."""
    return without_suffix(ENDING.sub("", without_suffix(name.replace("\\", "/"))))


def _pairs(spelled: list[tuple[str, str]], keys: list[str], root: Path) -> dict[str, str]:
    """Names by key; `spelled` holds pairs of a simplified name, which is compared, and the name itself."""
    images = set(keys)
    by_stem: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for spelling, name in spelled:
        by_stem[PurePosixPath(spelling).name].append((spelling, name))
    pairs: dict[str, str] = {}
    owner: dict[str, str] = {}
    for key in dict.fromkeys(keys):
        same_stem = by_stem.get(PurePosixPath(key).name, ())
        fitting = [
            name
            for spelling, name in same_stem
            if spelling == key or (spelling not in images and _one_ends_in_the_other(spelling, key))
        ]
        if len(fitting) > 1:
            raise MaskError(
                f"masks: {root} has {len(fitting)} candidates for image {key} ({', '.join(fitting[:3])}); keep one of "
                "them, or put them in the same subfolders as the images."
            )
        for name in fitting:
            first = owner.setdefault(name, key)
            if first != key:
                raise MaskError(
                    f"masks: {name} in {root} fits two images, {first} and {key}; give each image its own file, in the "
                    "same subfolders as the images."
                )
            pairs[key] = name
    return pairs


def _one_ends_in_the_other(name: str, key: str) -> bool:
    return name.endswith(f"/{key}") or key.endswith(f"/{name}")
