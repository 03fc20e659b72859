"""The photographs of a nerfstudio dataset, found by its transforms file or its folders."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from disconerf_ns.errors import UserError
from disconerf_ns.masks.keys import image_key

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
TRANSFORMS = ("transforms.json", "transforms_train.json")


DEEP = {**dict.fromkeys(("I;16", "I;16B", "I;16L", "I;16N"), "16 bit"), "I": "32 bit", "F": "of floating-point numbers"}
"""Pillow's modes of more than 8 bit, whose white is anybody's guess. It reads colours of 16 bit in 8 bit by itself."""
READ_BY_NERFSTUDIO = ("L", "RGB", "RGBA")
"""Pillow's modes whose numbers nerfstudio takes for what they are."""


def find_images(data: Path, folder: Path | None = None) -> dict[str, Path]:
    """The training images of a scene, by key.

    They are the frames of the dataset's transforms.json or transforms_train.json. Without such a file they are all
    images in and below `images/`, and without that folder the images directly in the dataset's folder.

    Args:
        data: the dataset's folder, or its transforms file.
        folder: take all images in and below this folder instead; a relative path is relative to the dataset's folder.
    Raises:
        UserError: no images, a broken transforms file, or two images with the same key.
    """
    if not data.exists():
        raise UserError(f"data: there is no {data}; pass the dataset's folder with --data.")
    root = data if data.is_dir() else data.parent
    transforms = [data] if data.is_file() else [root / name for name in TRANSFORMS if (root / name).is_file()]
    if folder is not None:
        looked_in = root / folder
        paths = _below(looked_in)
    elif transforms:
        looked_in = transforms[0]
        paths = _frames(looked_in)
    elif (root / "images").is_dir():
        looked_in = root / "images"
        paths = _below(looked_in)
    else:
        looked_in = root
        paths = [path for path in _below(root) if path.parent == root]
    if not looked_in.exists():
        raise UserError(f"data: there is no folder {looked_in}; name one with --images, relative to {root}.")
    if not paths:
        raise UserError(f"data: {looked_in} has no images; name the folder of the images with --images.")

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
        with Image.open(path) as image:
            if image.mode in DEEP:
                raise UserError(f"{path} is {DEEP[image.mode]}, which nerfstudio cannot read; save it in 8 bit")
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            return np.asarray(image.convert("RGB"))
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read ({error})") from error


def misread(images: Iterable[Path]) -> str | None:
    """One sentence about the images in whose colours nerfstudio would be wrong, if there are any.

    nerfstudio takes the numbers of a file for grey, RGB or RGBA modulo 256, whatever they mean: white of 16 bit, the
    entries of a palette, the inks of CMYK. Files that are missing or broken are left to those who read them.
    """
    modes = {image: mode for image in images if (mode := _mode(image)) not in (None, *READ_BY_NERFSTUDIO)}
    if not modes:
        return None
    first, mode = next(iter(modes.items()))
    return (
        f"images: nerfstudio cannot read {len(modes)} of the photographs, such as {first}, which is "
        f"{DEEP.get(mode, f'in mode {mode}')}: it would take other colours for them without a word; save them in 8-bit "
        "RGB or grey."
    )


def _mode(path: Path) -> str | None:
    try:
        with Image.open(path) as image:
            return image.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _below(folder: Path) -> list[Path]:
    """Images in and below a folder, without hidden files such as the `._*` copies that macOS writes to other disks."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _frames(transforms: Path) -> list[Path]:
    """The images that a transforms file lists; a name without a suffix is a PNG."""
    try:
        content = json.loads(transforms.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"data: {transforms} is not a nerfstudio transforms file ({type(error).__name__}: {error})."
        ) from error
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) and "file_path" in frame for frame in frames):
        raise UserError(
            f"data: {transforms} is not a nerfstudio transforms file (it has no list `frames` of objects with a "
            "`file_path`)."
        )
    names = [frame["file_path"] for frame in frames]
    for name in names:
        if not isinstance(name, str) or not Path(name).name or "\0" in name:
            raise UserError(f"data: {transforms} has a frame whose `file_path` {name!r} is not the path of a file.")
    paths = map(Path, names)
    return [transforms.parent / (path if path.suffix else path.with_suffix(".png")) for path in paths]
