"""JSON files of which each holds the masks of one image and says which: labelme's, ISAT's, Grounded SAM 2's."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats.files import below, match_images, peek_json, read_json, reading, unmatched
from disconerf_ns.masks.formats.format import Contents, Images, Loaded
from disconerf_ns.masks.keys import pair_names


def json_files(path: Path) -> list[Path]:
    """A JSON file itself, or the JSON files below a folder."""
    return [path] if path.is_file() and path.suffix.lower() == ".json" else below(path, ".json")


def by_said_image(
    path: Path, images: Images, said: Callable[[Any], Any], load: Callable[[Any, Path], Loaded]
) -> Contents:
    """The JSON files that belong to images by the photographs that they name, and the others by their own names.

    The name of a photograph counts from the file's folder, as in labelme. Files that name the same photograph, as
    copies do, go by their own names.

    Args:
        path: a JSON file or a folder of them.
        said: the name of the photograph in a file's content; anything but text means that it names none.
        load: called with a file's content and its image, returns the image's masks.
    Raises:
        MaskError: no file belongs to an image, two files fit one image or one file two, or a file names one image and
            is called like another.
    """
    root = path.parent if path.is_file() else path
    own = {file.relative_to(root).as_posix(): file for file in json_files(path)}
    photographs = {name: _photograph(said(peek_json(file)), name) for name, file in own.items()}
    times = Counter(photographs.values())
    by_photograph = {photograph: name for name, photograph in photographs.items() if times[photograph] == 1}

    found = {key: by_photograph[name] for key, name in pair_names(by_photograph, images, path).items()}
    _check_names(found, photographs, images, root)
    rest = [name for name in own if name not in found.values()]
    for key, name in pair_names(rest, images, path).items():
        if found.setdefault(key, name) != name:
            raise MaskError(f"masks: {path} has 2 candidates for image {key} ({found[key]}, {name}); keep one of them.")
    if not found:
        match_images([*by_photograph, *rest], images, path)
    loaders = {key: partial(_load, own[found[key]], images[key], load) for key in images if key in found}
    return Contents(loaders, unmatched(own, found, "files that fit no image"))


def _photograph(said: Any, name: str) -> str:
    """The path of the photograph that a file names, from the root on; the file's own name if it names none."""
    if not isinstance(said, str) or not said.strip():
        return name
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), said.strip().replace("\\", "/")))
    return path.removeprefix("/").replace("../", "")


def _check_names(found: dict[str, str], photographs: dict[str, str], images: Images, root: Path) -> None:
    stems = {PurePosixPath(key).name for key in images}
    for key, name in found.items():
        stem = PurePosixPath(name).stem
        if stem in stems and stem != PurePosixPath(key).name:
            raise MaskError(
                f"masks: {root / name} says that it is of {photographs[name]!r}, but it is called like image {stem}; "
                "rename the file, or mend the name in it."
            )


def _load(file: Path, image: Path, load: Callable[[Any, Path], Loaded]) -> Loaded:
    with reading(file):
        return load(read_json(file), image)
