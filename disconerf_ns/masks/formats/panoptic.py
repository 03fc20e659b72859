"""COCO panoptic: a PNG per image with the ids of segments as colours, R + 256 G + 65536 B, and one JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from disconerf_ns.errors import MaskError
from disconerf_ns.files import write_whole
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
from disconerf_ns.masks.formats.partition import SPREAD, flatten, gather, read_colors, write_colors
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.numbers import Void
from disconerf_ns.masks.rle import is_number

FILE, FOLDER = "panoptic.json", "panoptic"


def recognises(path: Path) -> bool:
    """A JSON file with annotations that have `segments_info`, or a folder with such a file."""
    return any(map(_lists_segments, sampled_files(_files(path))))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() and path.suffix.lower() == ".json" else below(path, ".json")


def _lists_segments(file: Path) -> bool:
    content = peek_json(file)
    annotations = content.get("annotations") if isinstance(content, dict) else None
    return isinstance(annotations, list) and any(isinstance(a, dict) and "segments_info" in a for a in annotations[:1])


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """PNGs by the `file_name` of annotations, in the folder with the JSON file's name or beside the file."""
    refuse_void(void, path)
    files = _files(path)
    if not files:
        raise MaskError(f"masks: {path} has no JSON file.")
    file = next((file for file in files if _lists_segments(file)), files[0])
    content = read_json(file)
    folder = file.with_suffix("") if file.with_suffix("").is_dir() else file.parent
    with reading(file):
        annotations = objects_in(content, "annotations")
        segments = {value_in(a, "file_name", str): objects_in(a, "segments_info") for a in annotations}
        if len(segments) < len(annotations):
            raise ValueError("two of its images have the same `file_name`")
        names = match_images(segments, images, file)
        loaders = {key: partial(_load, folder / name.replace("\\", "/"), segments[name]) for key, name in names.items()}
        return Contents(loaders, unmatched(segments, names, "annotations of other images"))


def _load(png: Path, segments: list[dict]) -> Loaded:
    with reading(png):
        ids = [value_in(segment, "id", int, float, str) for segment in segments]
        if not all(isinstance(number, str) or is_number(number) for number in ids):
            raise ValueError("the `id` of a segment is not a number")
        colors = read_colors(png)
        return Loaded(gather((colors == int(number) for number in ids), *colors.shape))


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write `panoptic.json` and the PNGs in `panoptic/`; the smallest of overlapping masks covers the others."""
    entries, annotations, lost = [], [], Losses()
    for number, (key, image_masks) in enumerate(masks, 1):
        labels, hidden = flatten(image_masks, 2**24 - 1, key, "a panoptic image")
        lost += hidden
        write_colors(labels * SPREAD % 2**24, path / FOLDER / f"{key}.png")
        segments = [
            {"id": (i + 1) * SPREAD % 2**24, "category_id": 1, "iscrowd": 0, "area": area, "bbox": list(mask.bbox)}
            for i, mask in enumerate(image_masks.annotations)
            if (area := int((labels == i + 1).sum()))
        ]
        size = {"height": image_masks.height, "width": image_masks.width}
        entries.append({"id": number, "file_name": f"{key}{images[key].suffix}", **size})
        annotations.append({"image_id": number, "file_name": f"{key}.png", "segments_info": segments})
    categories = [{"id": 1, "name": "object", "isthing": 1}]
    write_whole(path / FILE, json.dumps({"images": entries, "annotations": annotations, "categories": categories}))
    return lost
