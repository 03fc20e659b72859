"""What formats share: files found by the images that they are about, and damage told in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats import Images, Loaders
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.keys import KeyIndex


def first_below(root: Path, pattern: str) -> Path | None:
    """A file or folder below a folder whose name fits, None where there is none."""
    return next(iter(sorted(root.rglob(pattern))), None) if root.is_dir() else None


def by_image(
    root: Path, suffixes: tuple[str, ...], images: Images, load: Callable[[Path, Path], ImageMasks]
) -> Loaders:
    """Loaders of the files below a folder that belong to images, by their relative paths without suffix.

    Args:
        load: gives the masks in a file, the first argument, of an image, the second.
    """
    found = {p.relative_to(root).with_suffix("").as_posix(): p for p in root.rglob("*") if p.suffix.lower() in suffixes}
    return match(found, root, images, load)


def match(found: dict[str, Path], root: Path, images: Images, load: Callable[[Path, Path], ImageMasks]) -> Loaders:
    """Loaders of files or folders with names that belong to images."""
    index = KeyIndex(found, root)
    names = {key: name for key in images if (name := index.find(key)) is not None}
    return {key: partial(_load, load, found[name], images[key]) for key, name in names.items()}


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


def peek_json(path: Path | None) -> Any:
    """What a JSON file holds, None where that cannot be said."""
    try:
        return None if path is None else read_json(path)
    except MaskError:
        return None


def mode_of(path: Path | None) -> str | None:
    """Pillow's name for the kind of an image's pixels, None where it is no image."""
    try:
        with Image.open(path) as image:
            return image.mode
    except (OSError, ValueError, AttributeError, SyntaxError):
        return None


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image.

    Raises:
        MaskError: it cannot be read.
    """
    with reading(path), Image.open(path) as image:
        return image.height, image.width
