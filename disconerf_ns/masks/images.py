"""The photographs of a nerfstudio dataset, found by the file that lists them or by its folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from disconerf_ns.errors import UserError
from disconerf_ns.masks.frames import listed, lists_of
from disconerf_ns.masks.keys import image_key
from disconerf_ns.masks.opening import picture
from disconerf_ns.masks.say import say
from disconerf_ns.masks.simplify import SUFFIX, without_photo_word

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
FOLDERS = re.compile(r"(images?|imgs?|input|rgb|colou?r|frames?|photos?)(_\d+)?", re.IGNORECASE)
"""Folders of photographs, and of their smaller copies."""
BESIDE = re.compile(r"[_-](depth|normals?|disparity|cp_masks|masks?|seg|alpha)([_-]?\d+)?$", re.IGNORECASE)
"""Endings of depth, normals and the like, which some datasets keep beside their photographs."""


UNREADABLE = OSError, SyntaxError, ValueError, Image.DecompressionBombError
"""Errors that Pillow raises for a file that it cannot read as a picture."""
DEEP = {**dict.fromkeys(("I;16", "I;16B", "I;16L", "I;16N"), "16 bit"), "I": "32 bit", "F": "of floating-point numbers"}
"""Pillow's modes of more than 8 bit, whose white is anybody's guess. It reads colours of 16 bit in 8 bit by itself."""
READ_BY_NERFSTUDIO = ("L", "RGB", "RGBA")
"""Pillow's modes whose numbers nerfstudio takes for what they are."""


def find_images(data: Path, folder: Path | None = None) -> dict[str, Path]:
    """The training images of a scene, by key.

    They are the frames of the dataset's transforms.json, transforms_train.json or meta_data.json. Without such a file
    they are all images in and below `images/`. Without that folder they are the images directly in the dataset's
    folder, or those in and below the only folder with a name such as `input` or `rgb`.

    Args:
        data: the dataset's folder, or the file that lists its frames.
        folder: take all images in and below this folder instead; a relative path is relative to the dataset's folder.
    Raises:
        UserError: no images, several folders that may hold them, a broken transforms file, or two images with the same
            key.
    """
    if not data.exists():
        raise UserError(f"data: there is no {data}; pass the dataset's folder with --data.")
    root = data if data.is_dir() else data.parent
    lists = [] if folder is not None else lists_of(data)
    if lists:
        looked_in = lists[0]
        paths = [frame_file(root, name) for name in listed(looked_in)]
    else:
        looked_in = root / folder if folder is not None else _photo_folder(root)
        if not looked_in.exists():
            raise UserError(f"data: there is no folder {looked_in}; name one with --images, relative to {root}.")
        paths = _photographs(_directly_in(root) if looked_in == root else _below(looked_in))
    if not paths:
        raise UserError(
            f"data: {looked_in} has no images; name the folder of the images with --images.{_folders_with_images(root)}"
        )

    images: dict[str, Path] = {}
    for path in paths:
        first = images.setdefault(image_key(path, data), path)
        if first != path:
            raise UserError(f"data: {first} and {path} would share one file of masks; rename one of them.")
    return images


def read_image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """The colours of an image file, with transparent pixels blended onto white.

    The pixels stay as they are stored: like nerfstudio, this ignores EXIF orientation.

    Raises:
        UserError: the file is missing, is not an image, or has more than 8 bit per channel; names the file and the
            reason.
    """
    try:
        with picture(path) as image:
            if image.mode in DEEP:
                raise UserError(f"{path} is {DEEP[image.mode]}, which nerfstudio cannot read; save it in 8 bit")
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            return np.asarray(image.convert("RGB"))
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read ({error})") from error


def frame_file(root: Path, name: str) -> Path:
    """The file of a frame; Blender and instant-ngp leave out its suffix .png."""
    path = root / name
    with_png = path.with_name(f"{path.name}.png")
    known = os.path.isfile(path) or (SUFFIX.search(path.name) and not os.path.isfile(with_png))
    return path if known else with_png


def _photo_folder(root: Path) -> Path:
    """The folder of a dataset that has no list of its photographs.

    Raises:
        UserError: several folders may be meant.
    """
    if (root / "images").is_dir():
        return root / "images"
    named = [path for path in sorted(root.iterdir()) if path.is_dir() and FOLDERS.fullmatch(path.name) and _below(path)]
    whole = [path for path in named if not re.search(r"_\d+$", path.name)]
    candidates = ([root] if _directly_in(root) else []) + whole or named
    if len(candidates) > 1:
        raise UserError(
            f"data: the images may be those in {' or '.join(map(str, candidates))}; name the folder with --images."
        )
    if candidates and candidates[0] != root:
        say(f"taking the images in {candidates[0]}.")
    return candidates[0] if candidates else root


def _folders_with_images(root: Path) -> str:
    """A sentence with the folders of a dataset that hold images, or nothing."""
    folders = sorted({path.parent.relative_to(root).as_posix() for path in _below(root)})
    more = ", ..." if len(folders) > 5 else ""
    return f" Folders in {root} that hold images: {', '.join(folders[:5])}{more}." if folders else ""


def _photographs(paths: list[Path]) -> list[Path]:
    """Images without the depth, normals and masks that lie beside a photograph and have its name and an ending."""
    names = {path.parent / without_photo_word(path.stem) for path in paths}
    names |= {path.parent / path.stem for path in paths}
    others = [
        path for path in paths if (stem := BESIDE.sub("", path.stem)) != path.stem and path.parent / stem in names
    ]
    if others:
        say(f"{len(others)} images, such as {others[0]}, are not taken for photographs, by their names.")
    return [path for path in paths if path not in set(others)]


def _directly_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")


def misread(images: Iterable[Path]) -> str | None:
    """One sentence about the images in whose colours nerfstudio would be wrong, if there are any.

    nerfstudio takes the numbers of a file for grey, RGB or RGBA modulo 256, whatever they mean: white of 16 bit, the
    entries of a palette, the inks of CMYK.
    """
    return misread_sentence(misread_modes(headers_of(images)))


def misread_sentence(modes: Mapping[Path, str]) -> str | None:
    """The sentence of `misread` about images and their modes."""
    if not modes:
        return None
    first, mode = next(iter(modes.items()))
    return (
        f"nerfstudio cannot read {len(modes)} of the photographs, such as {first}, which is "
        f"{DEEP.get(mode, f'in mode {mode}')}: it would take other colours for them without a word; save them in 8-bit "
        "RGB or grey."
    )


def misread_modes(headers: Mapping[Path, Header | None]) -> dict[Path, str]:
    """Pillow's modes of the images that nerfstudio cannot read; missing and broken files are left to their readers."""
    return {image: each.mode for image, each in headers.items() if each and each.mode not in READ_BY_NERFSTUDIO}


class Header(NamedTuple):
    """Mode and size of an image, from the header of its file."""

    mode: str
    """Pillow's mode."""
    size: tuple[int, int]
    """Width and height in pixels."""


def headers_of(images: Iterable[Path]) -> dict[Path, Header | None]:
    """The mode and size of each image; None where it is missing or broken."""
    return {image: _header(image) for image in images}


def _header(path: Path) -> Header | None:
    try:
        with picture(path) as image:
            return Header(image.mode, image.size)
    except UNREADABLE:
        return None


def _below(folder: Path) -> list[Path]:
    """Images in and below a folder, without hidden files such as the `._*` copies that macOS writes to other disks."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
