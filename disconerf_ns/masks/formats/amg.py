"""The list that segment-anything's automatic mask generator gives, as JSON: `amg.py --convert-to-rle`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from disconerf_ns.files import write_whole
from disconerf_ns.masks import sa1b
from disconerf_ns.masks.formats import Images, Loaders, Losses
from disconerf_ns.masks.formats.files import below, by_image, image_size, peek_json, read_json, sample, unsaid
from disconerf_ns.masks.image_masks import ImageMasks


def recognises(path: Path) -> bool:
    """A folder whose JSON files are lists."""
    return any(isinstance(peek_json(file), list) for file in sample(below(path, ".json")))


def read(path: Path, images: Images) -> Loaders:
    """Lists of annotations; an empty one is as large as its image."""
    return by_image(below(path, ".json"), path, images, _load)


def _load(path: Path, image: Path) -> ImageMasks:
    annotations = read_json(path)
    if not isinstance(annotations, list):
        raise ValueError("it holds no list of masks")
    height, width = annotations[0]["segmentation"]["size"] if annotations else image_size(image)
    return sa1b.parse({"image": {"height": height, "width": width}, "annotations": annotations})


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write the generator's lists, as far as masks remember what it said."""
    lost = Losses()
    for key, found in masks:
        lost += unsaid(found, "looked_at")
        write_whole(path / f"{key}.json", json.dumps(sa1b.record(found, {})["annotations"]))
    return lost
