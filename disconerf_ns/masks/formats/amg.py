"""Lists of masks as JSON, one file per image: segment-anything's `amg.py --convert-to-rle`, Grounded SAM 2."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks import sa1b
from disconerf_ns.masks.formats.files import image_size, peek_json, refuse_void, sampled_files, unsaid
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.formats.said import by_said_image, json_files
from disconerf_ns.masks.formats.segmentations import about, masks_of, size_of
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.numbers import Void

LISTS = ("annotations", "masks")
"""Names of the list of masks in an object that holds more than the list."""
OTHERS = ("images", "image", "info", "segments_info")
"""Names that only other formats have beside such a list."""


def recognises(path: Path) -> bool:
    """Files whose JSON is a list of annotations with a `segmentation`, or an object with such a list."""
    return any(map(_is_amg, map(peek_json, sampled_files(json_files(path)))))


def _is_amg(content: Any) -> bool:
    if isinstance(content, dict) and any(name in content for name in OTHERS):
        return False
    annotations = _list(content)
    if annotations is None:
        return False
    first = annotations[0] if annotations else {"segmentation": []}
    return isinstance(first, dict) and "segmentation" in first and "image_id" not in first


def _list(content: Any) -> list[Any] | None:
    """The list of annotations in a file's content, or None if there is none."""
    if isinstance(content, dict):
        content = next((content[name] for name in LISTS if name in content), None)
    return content if isinstance(content, list) else None


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Files by the `image_path` that they hold, otherwise by their own names."""
    refuse_void(void, path)
    return by_said_image(path, images, _photograph, _load)


def _photograph(content: Any) -> Any:
    return content.get("image_path") if isinstance(content, dict) else None


def _load(content: Any, image: Path) -> Loaded:
    """The masks of a list; an empty list or polygons, which state no size, take the image's size."""
    annotations = _list(content)
    if annotations is None or not all(isinstance(annotation, dict) for annotation in annotations):
        raise ValueError("it is not a list of annotations")
    return masks_of(annotations, *_size(content, annotations, image))


def _size(content: Any, annotations: list[dict[str, Any]], image: Path) -> tuple[int, int]:
    """Height and width: as the file says, or of its first mask, or of the image."""
    if isinstance(content, dict):
        height, width = (run_length.length(content.get(name)) for name in ("img_height", "img_width"))
        if height is not None and width is not None:
            return height, width
    for number, annotation in enumerate(annotations):
        with about(f"annotation {number}"):
            size = size_of(annotation.get("segmentation"))
        if size is not None:
            return size[0], size[1]
    return image_size(image)


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write the generator's lists, with the scores that the masks have."""
    lost = Losses()
    for key, image_masks in masks:
        lost += unsaid(image_masks, "looked_at")
        write_whole(path / f"{key}.json", json.dumps(sa1b.record(image_masks, {})["annotations"]))
    return lost
