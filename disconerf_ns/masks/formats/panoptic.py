"""COCO panoptic: PNGs whose colours are R + 256 G + 65536 B = id, and one JSON file that lists the ids."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from disconerf_ns.errors import MaskError
from disconerf_ns.files import write_whole
from disconerf_ns.masks.formats import Images, Loaders, Losses
from disconerf_ns.masks.formats.files import below, match_images, peek_json, read_json, reading, sample
from disconerf_ns.masks.formats.partition import SPREAD, flatten, gather, read_colors, write_colors
from disconerf_ns.masks.image_masks import ImageMasks

FILE, FOLDER = "panoptic.json", "panoptic"


def recognises(path: Path) -> bool:
    """A JSON file whose annotations have `segments_info`, or a folder with such a file."""
    return any(map(_lists_segments, sample(_files(path))))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() and path.suffix.lower() == ".json" else below(path, ".json")


def _lists_segments(file: Path) -> bool:
    content = peek_json(file)
    annotations = content.get("annotations") if isinstance(content, dict) else None
    return isinstance(annotations, list) and any(isinstance(a, dict) and "segments_info" in a for a in annotations[:1])


def read(path: Path, images: Images) -> Loaders:
    """PNGs by the `file_name` of annotations; they lie in a folder of the JSON file's name, or beside it."""
    files = _files(path)
    if not files:
        raise MaskError(f"masks: {path} has no JSON file.")
    file = next((file for file in files if _lists_segments(file)), files[0])
    content = read_json(file)
    folder = file.with_suffix("") if file.with_suffix("").is_dir() else file.parent
    with reading(file):
        entries = {a["file_name"]: a["segments_info"] for a in content["annotations"]}
        if len(entries) < len(content["annotations"]):
            raise ValueError("two of its images have one `file_name`")
        found = match_images(entries, images, file)
        return {key: partial(_load, folder / name.replace("\\", "/"), entries[name]) for key, name in found.items()}


def _load(png: Path, segments: list[dict]) -> ImageMasks:
    with reading(png):
        numbers = read_colors(png)
        return gather((numbers == int(segment["id"]) for segment in segments), *numbers.shape)


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write `panoptic.json` and the PNGs in `panoptic/`; where masks overlap, the smallest shows."""
    entries, annotations, lost = [], [], Losses()
    for number, (key, found) in enumerate(masks, 1):
        labels, hidden = flatten(found, 2**24 - 1, key, "a panoptic image")
        lost += hidden
        write_colors(labels * SPREAD % 2**24, path / FOLDER / f"{key}.png")
        segments = [
            {"id": (i + 1) * SPREAD % 2**24, "category_id": 1, "iscrowd": 0, "area": area, "bbox": list(mask.bbox)}
            for i, mask in enumerate(found.annotations)
            if (area := int((labels == i + 1).sum()))
        ]
        entries.append(
            {"id": number, "file_name": f"{key}{images[key].suffix}", "height": found.height, "width": found.width}
        )
        annotations.append({"image_id": number, "file_name": f"{key}.png", "segments_info": segments})
    categories = [{"id": 1, "name": "object", "isthing": 1}]
    write_whole(path / FILE, json.dumps({"images": entries, "annotations": annotations, "categories": categories}))
    return lost
