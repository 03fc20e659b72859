"""Images, and files of masks as other programs write them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from disconerf_ns.masks.formats import format_of
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.images import find_images


def images_of(root: Path, height: int, width: int) -> dict[str, Path]:
    (root / "images/a").mkdir(parents=True, exist_ok=True)
    for name in ("a/1", "a/2"):
        Image.new("RGB", (width, height)).save(root / f"images/{name}.png")
    return find_images(root)


def coco_file(path: Path, names: list[str], annotations: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [{"id": i, "file_name": name, "height": 6, "width": 8} for i, name in enumerate(names)]
    path.write_text(json.dumps({"images": entries, "annotations": annotations}))
    return path


def label_image(path: Path, values: list[int], height: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.tile(np.array(values, np.uint8), (height, 1))).save(path)


def read_masks(name: str, path: Path, images: dict[str, Path], key: str = "a/1") -> ImageMasks:
    """The masks of one image in a file or folder of a format."""
    return format_of(name).read(path, images).loaders[key]().masks
