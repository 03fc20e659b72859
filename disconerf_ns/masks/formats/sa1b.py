"""SA-1B's format, one JSON file per image, which is also the format of `MaskStore`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from disconerf_ns.masks.formats.files import below, by_image, peek_json, read_json, refuse_void, sampled_files
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.freshness import made_of
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.numbers import Void
from disconerf_ns.masks.sa1b import parse
from disconerf_ns.masks.store import MANIFEST, MaskStore


def recognises(path: Path) -> bool:
    """A folder with JSON files that have `image` and `annotations`."""
    contents = map(peek_json, sampled_files(_files(path)))
    return any(isinstance(content, dict) and {"image", "annotations"} <= content.keys() for content in contents)


def _files(path: Path) -> list[Path]:
    return [file for file in below(path, ".json") if file != path / MANIFEST]


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Files by the images' names."""
    refuse_void(void, path)
    return by_image(_files(path), path, images, _load)


def _load(path: Path, image: Path) -> Loaded:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    return Loaded(parse(content))


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Save masks in a `MaskStore`, with the fingerprints of the images that can be read."""
    store = MaskStore(path)
    for key, image_masks in masks:
        store.save(key, image_masks, _facts(images[key], store))
    return Losses()


def _facts(image: Path, store: MaskStore) -> dict[str, Any]:
    try:
        return made_of(image, store)
    except OSError:
        return {"file_name": image.name}
