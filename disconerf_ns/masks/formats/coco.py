"""COCO instances: one JSON file with the masks of all images, as polygons or RLE; masks may overlap."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from disconerf_ns.errors import MaskError
from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks import sa1b
from disconerf_ns.masks.formats.files import (
    below,
    match_images,
    objects_in,
    peek_json,
    read_json,
    reading,
    refuse_void,
    sampled_files,
    unmatched,
    value_in,
)
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.numbers import Void

MOST_PIXELS = 2**28
"""Largest image, in pixels, in which polygons are drawn."""
ID = (int, float, str, type(None))
"""JSON types of an image's id."""
BARE = "annotations without a segmentation"
"""Kind of content that gives no mask."""


def recognises(path: Path) -> bool:
    """A JSON file with `images` and `annotations` that have a `segmentation`, or a folder with such a file."""
    return any(map(_is_coco, sampled_files(_files(path))))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() and path.suffix.lower() == ".json" else below(path, ".json")


def _is_coco(file: Path) -> bool:
    content = peek_json(file)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        return False
    annotations = content["annotations"]
    if not isinstance(annotations, list):
        return False
    return not annotations or any(isinstance(a, dict) and "segmentation" in a for a in annotations)


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Images by their `file_name`; annotations without a segmentation are left out and counted."""
    refuse_void(void, path)
    files = _files(path)
    if not files:
        raise MaskError(f"masks: {path} has no JSON file.")
    if len(files) > 1:
        files = [file for file in files if _is_coco(file)] or files[:1]
    if len(files) > 1:
        raise MaskError(f"masks: {path} has {len(files)} COCO files, {files[0].name} and {files[1].name}; name one.")
    file = files[0]
    content = read_json(file)
    with reading(file):
        image_list, annotations = objects_in(content, "images"), objects_in(content, "annotations")
        entries = {value_in(entry, "file_name", str): entry for entry in image_list}
        if len(entries) < len(image_list):
            raise ValueError("two of its images have the same `file_name`")
        of_image: dict[Any, list[dict]] = defaultdict(list)
        for annotation in annotations:
            of_image[value_in(annotation, "image_id", *ID)].append(annotation)
        names = match_images(entries, images, file)
        ids = {key: value_in(entries[name], "id", *ID) for key, name in names.items()}
        loaders = {key: partial(_load, file, entries[name], of_image[ids[key]]) for key, name in names.items()}
        bare = Losses({BARE: sum(not annotation.get("segmentation") for annotation in annotations)})
        return Contents(loaders, +bare + unmatched(entries, names, "images that are not in the dataset"))


def _load(file: Path, entry: dict[str, Any], annotations: list[dict[str, Any]]) -> Loaded:
    with reading(file), about(f"image {entry['file_name']}"):
        size = {side: entry[side] for side in ("height", "width")}
        drawn = [_drawn(annotation, **size) for annotation in annotations if annotation.get("segmentation")]
        return Loaded(sa1b.parse({"image": size, "annotations": drawn, "looked_at": entry.get("looked_at")}))


def _drawn(annotation: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    with about(f"annotation {annotation.get('id')}"):
        return {**annotation, "segmentation": _as_rle(annotation["segmentation"], height, width)}


@contextmanager
def about(what: str) -> Iterator[None]:
    """Begin the message of a ValueError with the place of the fault."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def _as_rle(segmentation: Any, height: int, width: int) -> Any:
    """RLE unchanged, or the union of polygons as pycocotools draws it."""
    if not isinstance(segmentation, list):
        return segmentation
    if not (type(height) is type(width) is int and 0 < height * width <= MOST_PIXELS):
        raise ValueError("the image's `height` and `width` are not the size of a photograph")
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise ValueError("a polygon is not a list x, y, x, y, ... of at least three points")
        if not all(map(run_length.is_number, polygon)):
            raise ValueError("a polygon has coordinates that are not finite numbers")
        if not all(-side <= v <= 2 * side for side, axis in ((width, 0), (height, 1)) for v in polygon[axis::2]):
            raise ValueError("a polygon lies far outside its image")
    return run_length.draw(segmentation, height, width)


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write one file of compressed RLE: `path` if it ends in .json, otherwise `masks.json` in the folder `path`."""
    entries, annotations = [], []
    for number, (key, image_masks) in enumerate(masks, 1):
        record = sa1b.record(image_masks, {"id": number, "file_name": f"{key}{images[key].suffix}"})
        looked_at = {"looked_at": image_masks.looked_at} if image_masks.looked_at is not None else {}
        entries.append(record["image"] | looked_at)
        for annotation in record["annotations"]:
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append({**entry, **annotation})
    content = {"images": entries, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
    write_whole(path if path.suffix.lower() == ".json" else path / "masks.json", json.dumps(content))
    return Losses()
