"""What formats share: files found by the images that they are about, and damage told in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats import Images, Loaders, Losses
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.keys import match

SAMPLED = 16
"""Files of many that are looked at to see what they are."""


def below(root: Path, *suffixes: str) -> list[Path]:
    """The files below a folder with these suffixes, in either case, or all; hidden files and folders are left aside."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    seen = (path for path in files if not any(part.startswith(".") for part in path.relative_to(root).parts))
    return [path for path in seen if not suffixes or path.suffix.lower() in suffixes]


def sample(files: list[Path]) -> list[Path]:
    """Some of many files, enough that what is half of them is among these."""
    return files if len(files) <= SAMPLED else Random(0).sample(files, SAMPLED)


def by_image(files: Iterable[Path], root: Path, images: Images, load: Callable[[Path, Path], ImageMasks]) -> Loaders:
    """Loaders of the files or folders below a folder that belong to images, by their relative paths.

    Args:
        load: gives the masks in a file, the first argument, of an image, the second.
    Raises:
        MaskError: no file belongs to an image, two to one, or one to two; or the folder is a file.
    """
    if root.is_file():
        raise MaskError(f"masks: {root} is one file; name the folder with the files of all images.")
    names = {path.relative_to(root).as_posix(): path for path in files}
    found = match_images(names, images, root)
    return {key: partial(_load, load, names[name], images[key]) for key, name in found.items()}


def match_images(names: Iterable[str], images: Images, root: Path) -> dict[str, str]:
    """Which name belongs to which image, by the images' keys.

    Raises:
        MaskError: no name belongs to an image, two to one, or one to two.
    """
    names = list(names)
    found = match(names, images, root)
    if not found:
        there = f"of {len(names)} others, such as {names[0]}" if names else "of no image at all"
        raise MaskError(
            f"masks: {root} has masks of none of the {len(images)} images, which are found by names such as "
            f"{next(iter(images))}, but {there}."
        )
    return found


def unsaid(masks: ImageMasks, *fields: str) -> Losses:
    """What a format without these fields does not keep of an image's masks.

    Args:
        fields: some of `looked_at`, `scores`, `level`.
    """
    scored = [mask.predicted_iou is not None or mask.stability_score is not None for mask in masks.annotations]
    counts = {
        "looked_at": ("images' parts that were not looked at", int(masks.looked_at is not None)),
        "scores": ("masks' scores", sum(scored)),
        "level": ("masks' levels", sum(mask.level is not None for mask in masks.annotations)),
    }
    return +Losses(dict(counts[field] for field in fields))


def _load(load: Callable[[Path, Path], ImageMasks], path: Path, image: Path) -> ImageMasks:
    with reading(path):
        return load(path, image)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file is broken, and why, whatever the library that reads it raises."""
    try:
        yield
    except MaskError:
        raise
    except MemoryError:
        raise MaskError(f"masks: {path} takes more memory than there is.") from None
    except KeyError as error:
        raise MaskError(f"masks: {path} is broken (it lacks {error}).") from None
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise MaskError(f"masks: {path} is broken ({reason[0][:160] if reason else type(error).__name__}).") from None


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        MaskError: it is not JSON.
    """
    with reading(path):
        return json.loads(path.read_bytes())


def peek_json(path: Path) -> Any:
    """What a JSON file holds, None where that cannot be said."""
    try:
        return read_json(path)
    except MaskError:
        return None


def modes_of(files: list[Path]) -> set[str]:
    """Pillow's names for the kinds of pixels of a sample of images."""
    return {mode for path in sample(files) if (mode := _mode(path)) is not None}


def _mode(path: Path) -> str | None:
    try:
        with Image.open(path) as image:
            return image.mode
    except (OSError, ValueError, SyntaxError):
        return None


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image.

    Raises:
        MaskError: it cannot be read.
    """
    with reading(path), Image.open(path) as image:
        return image.height, image.width
