"""COCO panoptic: a PNG per image with the ids of segments as colours, R + 256 G + 65536 B, and one JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from disconerf_ns.errors import MaskError
from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
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
from disconerf_ns.masks.formats.partition import SPREAD, flatten, read_colors, write_colors
from disconerf_ns.masks.formats.said import json_files
from disconerf_ns.masks.image_masks import ImageMasks, Mask
from disconerf_ns.masks.numbers import Void
from disconerf_ns.masks.rle import is_number

FILE, FOLDER = "panoptic.json", "panoptic"


def recognises(path: Path) -> bool:
    """JSON with annotations that have `segments_info`, or a folder with such a file; not if other PNGs lie there.

    DEVA's pred.json lists segments too, but names photographs; its masks are the colours of the PNGs in Annotations/.
    """
    files = [file for file in sampled_files(json_files(path)) if _lists_segments(peek_json(file))]
    return any(_folder(file, _names(peek_json(file))) is not None for file in files) or (
        bool(files) and not (path.is_dir() and below(path, ".png"))
    )


def _lists_segments(content: Any) -> bool:
    annotations = content.get("annotations") if isinstance(content, dict) else None
    return isinstance(annotations, list) and any(isinstance(a, dict) and "segments_info" in a for a in annotations[:1])


def _names(content: Any) -> list[str]:
    names = [annotation.get("file_name") for annotation in content["annotations"] if isinstance(annotation, dict)]
    return [name for name in names if isinstance(name, str)]


def _folder(file: Path, names: list[str]) -> Path | None:
    """The folder with the PNGs that a JSON file names: the one with its name, the one that it is in, or one in that."""
    inside = sorted(folder for folder in file.parent.iterdir() if folder.is_dir())
    folders = [folder for folder in (file.with_suffix(""), file.parent, *inside) if folder.is_dir()]
    return next((folder for folder in folders if any(_is_there(folder, name) for name in names)), None)


def _is_there(folder: Path, name: str) -> bool:
    return name.lower().endswith(".png") and "\0" not in name and (folder / name.replace("\\", "/")).is_file()


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """PNGs by the `file_name` of annotations, in the folder with the JSON file's name, beside it, or in a folder there.

    Raises:
        MaskError: as in `MaskFormat`; or no PNG that the file names is there.
    """
    refuse_void(void, path)
    files = json_files(path)
    if not files:
        raise MaskError(f"masks: {path} has no JSON file.")
    file = next((file for file in files if _lists_segments(peek_json(file))), files[0])
    content = read_json(file)
    with reading(file):
        annotations = objects_in(content, "annotations")
        segments = {value_in(a, "file_name", str): objects_in(a, "segments_info") for a in annotations}
        if len(segments) < len(annotations):
            raise ValueError("two of its images have the same `file_name`")
        names = match_images(segments, images, file)
    folder = _folder(file, list(segments))
    if folder is None:
        raise MaskError(
            f"masks: {file} names {next(iter(segments))}, but no PNG of ids with such a name lies in {file.parent} or "
            "in a folder there; put the PNGs there, or name the folder of masks itself, such as DEVA's Annotations."
        )
    files = {key: folder / name.replace("\\", "/") for key, name in names.items()}
    loaders = {key: partial(_load, files[key], segments[name], images[key]) for key, name in names.items()}
    return Contents(loaders, unmatched(segments, names, "annotations of other images"))


def _load(png: Path, segments: list[dict], image: Path) -> Loaded:
    with reading(png):
        ids = [value_in(segment, "id", int, float, str) for segment in segments]
        if not all(isinstance(number, str) or is_number(number) for number in ids):
            raise ValueError("the `id` of a segment is not a number")
        colors = read_colors(png, image)
        wanted, there = list(dict.fromkeys(map(int, ids))), set(np.unique(colors).tolist())
        seen = [number for number in wanted if number in there]
        if wanted and not seen:
            raise ValueError(f"none of its {len(wanted)} segments' ids is a colour of the PNG, R + 256 G + 65536 B")
        by_color = run_length.partition(colors)
        masks = tuple(Mask.from_rle(by_color[number]) for number in seen)
        counts = {"segments without a pixel": len(ids) - len(seen), "colours of no segment": len(there - {0, *wanted})}
        return Loaded(ImageMasks(colors.shape[0], colors.shape[1], masks), +Losses(counts))


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write `panoptic.json` and the PNGs in `panoptic/`; the smallest of overlapping masks covers the others."""
    entries, annotations, lost = [], [], Losses()
    for image_id, (key, image_masks) in enumerate(masks, 1):
        labels, hidden = flatten(image_masks, 2**24 - 1, key, "a panoptic image")
        lost += hidden
        write_colors(labels * SPREAD % 2**24, path / FOLDER / f"{key}.png")
        segments = []
        for number, rle in run_length.partition(labels).items():
            if number > 0:
                segment = {"id": number * SPREAD % 2**24, "category_id": 1, "iscrowd": 0, "area": run_length.area(rle)}
                segments.append({**segment, "bbox": list(run_length.bounding_box(rle))})
        size = {"height": image_masks.height, "width": image_masks.width}
        entries.append({"id": image_id, "file_name": f"{key}{images[key].suffix}", **size})
        annotations.append({"image_id": image_id, "file_name": f"{key}.png", "segments_info": segments})
    categories = [{"id": 1, "name": "object", "isthing": 1}]
    write_whole(path / FILE, json.dumps({"images": entries, "annotations": annotations, "categories": categories}))
    return lost
