"""SA-1B's JSON file per image, the format of `MaskStore`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from disconerf_ns.masks.formats import Images, Loaders
from disconerf_ns.masks.formats.files import peek_json
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore


def recognises(path: Path) -> bool:
    """A folder whose JSON files have an `image` and `annotations`."""
    keys = MaskStore(path).keys() if path.is_dir() else []
    content = peek_json(path / f"{keys[0]}.json") if keys else None
    return isinstance(content, dict) and {"image", "annotations"} <= content.keys()


def read(path: Path, images: Images) -> Loaders:
    """The store's masks of images."""
    store = MaskStore.open(path)
    names = {key: store.resolve(key) for key in images}
    return {key: partial(store.load, name) for key, name in names.items() if name is not None}


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> None:
    """Save masks in a store."""
    store = MaskStore(path)
    for key, found in masks:
        store.save(key, found, {"file_name": images[key].name})
