"""Lists of segment-anything's automatic mask generator as JSON, which `amg.py --convert-to-rle` writes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks import sa1b
from disconerf_ns.masks.formats.files import (
    below,
    by_image,
    image_size,
    peek_json,
    read_json,
    refuse_void,
    sampled_files,
    unsaid,
)
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.numbers import Void


def recognises(path: Path) -> bool:
    """A folder whose JSON files are lists."""
    return any(isinstance(peek_json(file), list) for file in sampled_files(below(path, ".json")))


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Lists of annotations; an empty list takes its size from the image."""
    refuse_void(void, path)
    return by_image(below(path, ".json"), path, images, _load)


def _load(path: Path, image: Path) -> Loaded:
    annotations = read_json(path)
    if not isinstance(annotations, list) or not all(isinstance(annotation, dict) for annotation in annotations):
        raise ValueError("it is not a list of annotations")
    if annotations:
        height, width = run_length.checked(annotations[0].get("segmentation"))["size"]
    else:
        height, width = image_size(image)
    return Loaded(sa1b.parse({"image": {"height": height, "width": width}, "annotations": annotations}))


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write the generator's lists, with the scores that the masks have."""
    lost = Losses()
    for key, image_masks in masks:
        lost += unsaid(image_masks, "looked_at")
        write_whole(path / f"{key}.json", json.dumps(sa1b.record(image_masks, {})["annotations"]))
    return lost
