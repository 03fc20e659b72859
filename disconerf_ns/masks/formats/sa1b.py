"""SA-1B's JSON file per image, the format of `MaskStore`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from disconerf_ns.masks.formats import Images, Loaders, Losses
from disconerf_ns.masks.formats.files import below, by_image, peek_json, read_json, sample
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.sa1b import parse
from disconerf_ns.masks.store import MANIFEST, MaskStore


def recognises(path: Path) -> bool:
    """A folder whose JSON files have an `image` and `annotations`."""
    contents = map(peek_json, sample(_files(path)))
    return any(isinstance(content, dict) and {"image", "annotations"} <= content.keys() for content in contents)


def _files(path: Path) -> list[Path]:
    return [file for file in below(path, ".json") if file != path / MANIFEST]


def read(path: Path, images: Images) -> Loaders:
    """Files by the images' names."""
    return by_image(_files(path), path, images, _load)


def _load(path: Path, image: Path) -> ImageMasks:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError("it does not hold a JSON object")
    return parse(content)


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Save masks in a store."""
    store = MaskStore(path)
    for key, found in masks:
        store.save(key, found, {"file_name": images[key].name})
    return Losses()
