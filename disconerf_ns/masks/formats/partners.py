"""What is said about names of masks and images that do not pair: both sides with full paths, and what may be wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats.format import Images
from disconerf_ns.masks.say import say
from disconerf_ns.masks.simplify import skeleton, without_suffix

SHOWN = 3
"""Largest number of examples on either side."""
NUMBER = re.compile(r"\d+(?=\D*$)")
LABEL_STUDIO = re.compile(r"(^|/)task-\d+-annotation-\d+")


def none_fits(names: Sequence[str], images: Images, root: Path) -> MaskError:
    """The error for names of which none belongs to an image."""
    fault = f"its {len(names)} names, such as {names[0]}, do not fit" if names else "it has no names to compare to"
    sides = f" compare {_paths(names, root)} with {_image_paths(images)};" if names else ""
    return MaskError(
        f"masks: {root} has masks of none of the {len(images)} images: {fault} the images' keys, such as "
        f"{next(iter(images), 'none')};{sides} {_remedy(names, images)}"
    )


def say_what_is_left(names: Sequence[str], pairs: Mapping[str, str], images: Images, root: Path) -> None:
    """Print examples of both sides if some names and some images have no partner.

    Raises:
        MaskError: the numbers of all names are those of all images plus a constant.
    """
    matched = set(pairs.values())
    spare_names = [name for name in names if name not in matched]
    spare_images = {key: path for key, path in images.items() if key not in pairs}
    if not (spare_names and spare_images):
        return
    sides = f"{_paths(spare_names, root)} and {_image_paths(spare_images)}"
    shift = _shift(names, images)
    if shift:
        raise MaskError(
            f"masks: the {len(names)} names in {root} are numbered like the {len(images)} images "
            f"{'plus' if shift > 0 else 'minus'} {abs(shift)}, so pairs of the same number may be wrong; without a "
            f"partner are {sides}; rename the masks like the images, or remove those that belong to no image."
        )
    say(
        f"{len(spare_names)} of {len(names)} names in {root} and {len(spare_images)} of {len(images)} images have no "
        f"partner: {sides}.{_alike(spare_names, spare_images)}"
    )


def _paths(names: Sequence[str], root: Path) -> str:
    """Examples of names: full paths in a folder, or names in a file."""
    place = os.path.abspath(root)
    shown = [name if root.is_file() else f"{place}/{name}" for name in names[:SHOWN]]
    return _listed(shown, len(names)) + (f" in {place}" if root.is_file() else "")


def _image_paths(images: Images) -> str:
    return _listed([os.path.abspath(path) for path in list(images.values())[:SHOWN]], len(images))


def _listed(shown: list[str], count: int) -> str:
    return ", ".join(shown) + (", ..." if count > len(shown) else "")


def _remedy(names: Sequence[str], images: Images) -> str:
    if any(LABEL_STUDIO.search(name) for name in names[:SHOWN]):
        return "Label Studio's PNGs do not name their image, so export COCO there instead."
    return f"name the masks like the images.{_alike(names, images)}"


def _alike(names: Iterable[str], keys: Iterable[str]) -> str:
    """A sentence about a name and a key that look alike, in ASCII with escapes."""
    seen = {skeleton(PurePosixPath(key).name): key for key in keys}
    for name in names:
        stem = PurePosixPath(without_suffix(name)).name
        key = seen.get(skeleton(stem)) if skeleton(stem) else None
        if key is not None:
            return f" {name!a} and {key!a} look alike, but are written differently."
    return ""


def _shift(names: Sequence[str], keys: Iterable[str]) -> int:
    """The difference between the numbers of names and keys if it is the same for all, otherwise 0."""
    of_names, of_keys = _numbers(names), _numbers(keys)
    differences = {a - b for a, b in zip(of_names, of_keys)} if len(of_names) == len(of_keys) else set()
    return differences.pop() if len(differences) == 1 else 0


def _numbers(names: Iterable[str]) -> list[int]:
    """The last numbers of names, sorted; empty if a name has none."""
    found = [NUMBER.search(PurePosixPath(without_suffix(name)).name) for name in names]
    return sorted(int(number[0]) for number in found if number) if all(found) else []
