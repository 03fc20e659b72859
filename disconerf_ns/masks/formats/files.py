"""Helpers of all formats: files are paired with images, and a broken file is reported in one sentence."""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from disconerf_ns.errors import MaskError, UserError, reason
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.formats.partners import none_fits, say_what_is_left
from disconerf_ns.masks.image_masks import ImageMasks, same_shape
from disconerf_ns.masks.keys import pair_names
from disconerf_ns.masks.numbers import Void
from disconerf_ns.masks.opening import check_pixels, picture, read_bytes

SAMPLED = 16
"""Largest number of files that are opened to recognise a format."""
BROKEN = (OSError, ValueError, KeyError, SyntaxError, RuntimeError, csv.Error, Image.DecompressionBombError)
"""Errors that json, csv, Pillow and h5py raise over a broken file, and ours over one that lacks something. Any other
error, such as AttributeError, TypeError or IndexError, is a bug."""

AT_ONCE = 2**24
"""Pixels that are unpacked whatever the image's size, so that all faults of a file are named together."""

_log = logging.getLogger(__name__)


def below(root: Path, *suffixes: str) -> list[Path]:
    """The files below a folder, sorted, without hidden files and folders.

    Args:
        suffixes: keep files with these suffixes only, given in lower case and compared in any case.
    """
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    visible = (path for path in files if not any(part.startswith(".") for part in path.relative_to(root).parts))
    return [path for path in visible if not suffixes or path.suffix.lower() in suffixes]


def sampled_files(files: list[Path]) -> list[Path]:
    """At most SAMPLED files, drawn with a fixed seed; a kind that makes up half of the files is hardly missed."""
    return files if len(files) <= SAMPLED else Random(0).sample(files, SAMPLED)


def by_image(files: Iterable[Path], root: Path, images: Images, load: Callable[[Path, Path], Loaded]) -> Contents:
    """The files (or folders) below `root` that belong to images by their relative paths.

    Args:
        load: called with a file and its image, returns the image's masks.
    Raises:
        MaskError: no file belongs to an image, two files belong to one image, one file to two, or `root` is a file.
    """
    return match_files(files, root, images).contents(images, load)


@dataclass(frozen=True)
class MatchedFiles:
    """Files (or folders) of masks that belong to images."""

    files: Mapping[str, Path]
    """By the image's key."""
    left_out: Losses
    """Files that belong to none."""

    def pairs(self, images: Images) -> list[tuple[Path, Path]]:
        """Each file with its image."""
        return [(file, images[key]) for key, file in self.files.items()]

    def contents(self, images: Images, load: Callable[[Path, Path], Loaded]) -> Contents:
        """The masks of the files; `load` is called with a file and its image."""
        loaders = {key: partial(_load, load, file, images[key]) for key, file in self.files.items()}
        return Contents(loaders, self.left_out)


def match_files(files: Iterable[Path], root: Path, images: Images) -> MatchedFiles:
    """Match files (or folders) below `root` with images by their relative paths.

    Raises:
        MaskError: as for `by_image`.
    """
    if root.is_file():
        raise MaskError(f"masks: {root} is a single file; name the folder with the files of all images.")
    files = list(files)
    masks = without_photographs(files, images)
    paths = {path.relative_to(root).as_posix(): path for path in masks}
    names = match_images(paths, images, root)
    photographs = Losses({"photographs of the dataset": len(files) - len(masks)})
    left_out = +photographs + unmatched(paths, names, "files that fit no image")
    return MatchedFiles({key: paths[name] for key, name in names.items()}, left_out)


def without_photographs(files: Iterable[Path], images: Images) -> list[Path]:
    """Files that are not the dataset's images themselves, beside which some programs save masks."""
    photographs = {os.path.abspath(image) for image in images.values()}
    return [path for path in files if os.path.abspath(path) not in photographs]


def unmatched(names: Collection[Any], matched: Mapping[str, Any], kind: str) -> Losses:
    """Count the names that belong to no image.

    Args:
        names: all names of a file or folder of masks, each once.
        matched: one name for each image, by the image's key.
        kind: kind of the loss.
    """
    return +Losses({kind: len(names) - len(matched)})


def match_images(names: Iterable[str], images: Images, root: Path) -> dict[str, str]:
    """Names by the keys of the images that they belong to, as `keys.pair_names` pairs them; says what is left over.

    Raises:
        MaskError: no name belongs to an image, two names belong to one image, one name to two, or the numbers of all
            names are shifted against those of the images.
    """
    names = list(names)
    pairs = pair_names(names, images, root)
    if not pairs:
        raise none_fits(names, images, root)
    say_what_is_left(names, pairs, images, root)
    return pairs


def refuse_jpeg(path: Path) -> None:
    """Refuse a folder whose only images are JPEGs.

    Raises:
        MaskError: it is one.
    """
    jpegs = below(path, ".jpg", ".jpeg")
    if jpegs:
        raise MaskError(
            f"masks: {path} has JPEGs, such as {jpegs[0].name}, but no masks in another format; JPEG changes the "
            "numbers and colours of label images along borders, so write them as PNG."
        )


def refuse_void(void: Void, path: Path) -> None:
    """Refuse void numbers for a format in which masks are no numbers.

    Raises:
        MaskError: numbers are given.
    """
    if void is not None:
        raise MaskError(f"masks: the masks in {path} are not numbers of pixels; leave --void out.")


def unsaid(masks: ImageMasks, *fields: str) -> Losses:
    """Count the information of an image's masks that a format without these fields loses.

    Args:
        fields: names among `looked_at`, `scores`, `level`.
    """
    scored = [mask.predicted_iou is not None or mask.stability_score is not None for mask in masks.annotations]
    counts = {
        "looked_at": ("regions that were not looked at", int(masks.looked_at is not None)),
        "scores": ("scores of masks", sum(scored)),
        "level": ("levels of masks", sum(mask.level is not None for mask in masks.annotations)),
    }
    return +Losses(dict(counts[field] for field in fields))


def _load(load: Callable[[Path, Path], Loaded], path: Path, image: Path) -> Loaded:
    with reading(path):
        return load(path, image)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the errors of a broken file into one sentence; the traceback goes to the log, at level DEBUG.

    Raises:
        MaskError: names the file and the reason.
    """
    try:
        yield
    except MaskError:
        raise
    except UserError as error:
        raise MaskError(f"masks: {error}") from error
    except MemoryError:
        _log.debug("%s does not fit in memory", path, exc_info=True)
        raise MaskError(f"masks: {path} does not fit in memory.") from None
    except FileNotFoundError as error:
        raise MaskError(f"masks: {error.filename or path} is missing.") from None
    except BROKEN as error:
        _log.debug("%s is broken", path, exc_info=True)
        fault = f"it lacks {error}" if isinstance(error, KeyError) else reason(error)
        raise MaskError(f"masks: {path} is broken ({fault}).") from error


@contextmanager
def decoding(library: str) -> Iterator[None]:
    """Turn a library's unusual errors over a broken file into a ValueError; put it around the library's calls only.

    Raises:
        ValueError: names the library and the reason.
    """
    try:
        yield
    except (MemoryError, OSError, ValueError, RuntimeError):
        raise
    except Exception as error:  # damage makes Pillow, NumPy and torch raise TypeError, IndexError, zlib.error, ... too
        raise ValueError(f"{library} cannot read it: {reason(error)}") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        MaskError: the file is not JSON.
    """
    with reading(path):
        return json.loads(read_bytes(path))


def peek_json(path: Path) -> Any:
    """The content of a JSON file, or None if the file cannot be read."""
    try:
        return read_json(path)
    except MaskError:
        return None


def objects_in(content: Any, name: str) -> list[dict[str, Any]]:
    """The list of objects under a name of a JSON object.

    Raises:
        ValueError: there is no such list.
    """
    objects = content.get(name) if isinstance(content, dict) else None
    if not isinstance(objects, list) or not all(isinstance(entry, dict) for entry in objects):
        raise ValueError(f"it lacks a list `{name}` of JSON objects")
    return objects


def value_in(entry: dict[str, Any], name: str, *kinds: type) -> Any:
    """The value under a name of a JSON object, of one of these types.

    Raises:
        KeyError: the name is missing.
        ValueError: the value is of another type.
    """
    value = entry[name]
    if not isinstance(value, kinds):
        raise ValueError(f"a `{name}` has the wrong type, {type(value).__name__}")
    return value


def modes_of(files: list[Path]) -> set[str]:
    """Pillow's pixel modes that occur in a sample of images."""
    return {mode for path in sampled_files(files) if (mode := _mode(path)) is not None}


def _mode(path: Path) -> str | None:
    try:
        with picture(path) as image:
            return image.mode
    except BROKEN:
        return None


def check_size(path: Path, height: int, width: int, image: Path, count: int = 1) -> None:
    """Refuse masks of another picture by the size that their file declares, where unpacking them would take long.

    Args:
        count: number of pictures in the file.
    Raises:
        MaskError: they have more than AT_ONCE pixels, and another shape than the image, upright or turned.
        ValueError: they are too large for any photograph.
    """
    check_pixels(height, width, count)
    if count * height * width <= AT_ONCE:
        return
    size = image_size(image)
    if not same_shape((height, width), size) and not same_shape((width, height), size):
        raise MaskError(
            f"masks: {path} is {width} x {height}, but {image.name} is {size[1]} x {size[0]}, another shape or much "
            "smaller; export the masks in the shape of these images."
        )


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image.

    Raises:
        MaskError: the file cannot be read.
    """
    with reading(path), picture(path) as image:
        return image.height, image.width
