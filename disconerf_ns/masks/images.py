"""The photographs of a dataset, whichever of nerfstudio's formats it is in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from disconerf_ns.errors import UserError
from disconerf_ns.masks.keys import image_key

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
TRANSFORMS = ("transforms.json", "transforms_train.json")


def find_images(data: Path, folder: Path | None = None) -> dict[str, Path]:
    """The images that a scene is trained on, by key.

    They are the frames of the dataset's transforms.json or transforms_train.json, or else all in `images/` and below,
    or else those in the dataset's own folder.

    Args:
        data: the dataset's folder, or its transforms file.
        folder: take all images in this folder and below instead; a relative one is looked up in `data`.
    Raises:
        UserError: no images, a broken transforms file, or two images of one key.
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
        raise UserError(f"data: there is no folder {looked_in}; name the one of the images, within {root}.")
    if not paths:
        raise UserError(f"data: {looked_in} has no images; name the folder of the images with --images.")

    images: dict[str, Path] = {}
    for path in paths:
        other = images.setdefault(image_key(path, data), path)
        if other != path:
            raise UserError(f"data: {other} and {path} would share one file of masks; rename one of them.")
    return images


def read_image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """An image's colours, on white where it is transparent, as it is stored (nerfstudio ignores EXIF orientation too).

    Raises:
        UserError: the file is missing or no image; says which and why.
    """
    try:
        with Image.open(path) as image:
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read ({error})") from None


def _below(folder: Path) -> list[Path]:
    """Images in a folder and below, but for hidden ones, such as those that macOS leaves on other disks."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _frames(transforms: Path) -> list[Path]:
    try:
        names = [frame["file_path"] for frame in json.loads(transforms.read_bytes())["frames"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"data: {transforms} is not a nerfstudio transforms file ({reason}).") from None
    for name in names:
        if not isinstance(name, str) or not Path(name).name or "\0" in name:
            raise UserError(f"data: {transforms} has a frame whose `file_path` {name!r} is no file.")
    paths = map(Path, names)
    return [transforms.parent / (path if path.suffix else path.with_suffix(".png")) for path in paths]
