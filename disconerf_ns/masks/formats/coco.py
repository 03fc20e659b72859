"""COCO instances: all images and their masks in one JSON file, as polygons or RLE; masks may overlap."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from pycocotools import mask as coco

from disconerf_ns.errors import MaskError
from disconerf_ns.files import write_whole
from disconerf_ns.masks import sa1b
from disconerf_ns.masks.formats import Images, Loaders
from disconerf_ns.masks.formats.files import first_below, peek_json, read_json, reading
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.keys import KeyIndex

MOST_PIXELS = 2**28
"""Pixels of an image up to which polygons are drawn."""


def recognises(path: Path) -> bool:
    """A JSON file with `images` and `annotations` that have a `segmentation`, or a folder with one such file."""
    file = _file(path)
    content = peek_json(file)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        return False
    annotations = content["annotations"]
    return isinstance(annotations, list) and all(isinstance(a, dict) and "segmentation" in a for a in annotations[:1])


def _file(path: Path) -> Path | None:
    return path if path.is_file() and path.suffix.lower() == ".json" else first_below(path, "*.json")


def read(path: Path, images: Images) -> Loaders:
    """Images by their `file_name`."""
    file = _file(path)
    if file is None:
        raise MaskError(f"masks: {path} has no JSON file.")
    content = read_json(file)
    with reading(file):
        entries = {PurePosixPath(entry["file_name"]).with_suffix("").as_posix(): entry for entry in content["images"]}
        if len(entries) < len(content["images"]):
            raise ValueError("two of its images have one `file_name`")
        about: dict[Any, list[dict]] = defaultdict(list)
        for annotation in content["annotations"]:
            about[annotation["image_id"]].append(annotation)
        index = KeyIndex(entries, file)
        names = {key: name for key in images if (name := index.find(key)) is not None}
        return {key: partial(_load, file, entries[name], about[entries[name]["id"]]) for key, name in names.items()}


def _load(file: Path, entry: dict[str, Any], annotations: list[dict[str, Any]]) -> ImageMasks:
    with reading(file):
        size = {side: entry[side] for side in ("height", "width")}
        drawn = [{**a, "segmentation": _as_rle(a["segmentation"], **size)} for a in annotations]
        return sa1b.parse({"image": size, "annotations": drawn})


def _as_rle(segmentation: Any, height: int, width: int) -> Any:
    """RLE as it is, or polygons drawn together as COCO draws them."""
    if not isinstance(segmentation, list):
        return segmentation
    if not (type(height) is type(width) is int and 0 < height * width <= MOST_PIXELS):
        raise ValueError("an image's `height` and `width` are not those of a photograph")
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise ValueError("a polygon is not x, y, x, y, ... of three points or more")
        if not all(type(v) in (int, float) and math.isfinite(v) for v in polygon):
            raise ValueError("a polygon has coordinates that are no numbers")
        if not all(-side <= v <= 2 * side for side, part in ((width, 0), (height, 1)) for v in polygon[part::2]):
            raise ValueError("a polygon lies far outside of its image")
    if not segmentation:
        raise ValueError("an annotation has no polygon")
    merged = coco.merge(coco.frPyObjects(segmentation, height, width))
    return {"size": [height, width], "counts": merged["counts"].decode("ascii")}


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> None:
    """Write one file of compressed RLE; an existing folder gets `masks.json`."""
    entries, annotations = [], []
    for number, (key, found) in enumerate(masks, 1):
        record = sa1b.record(found, {"id": number, "file_name": f"{key}{images[key].suffix}"})
        entries.append(record["image"])
        for annotation in record["annotations"]:
            about = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append({**about, **annotation})
    content = {"images": entries, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
    write_whole(path if path.suffix == ".json" else path / "masks.json", json.dumps(content))
