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
        paths = _below(root / folder)
    elif transforms:
        paths = _frames(transforms[0])
    elif (root / "images").is_dir():
        paths = _below(root / "images")
    else:
        paths = sorted(path for path in root.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(f"data: {root} has no images where they were looked for; name their folder with --images.")

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
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _frames(transforms: Path) -> list[Path]:
    try:
        frames = [Path(frame["file_path"]) for frame in json.loads(transforms.read_bytes())["frames"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"data: {transforms} is not a nerfstudio transforms file ({error!r}).") from None
    return [transforms.parent / (path if path.suffix else path.with_suffix(".png")) for path in frames]
