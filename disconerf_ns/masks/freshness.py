"""Detection of masks whose image file has changed since they were made."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from disconerf_ns.errors import UserError
from disconerf_ns.masks.images import find_images
from disconerf_ns.masks.opening import read_bytes
from disconerf_ns.masks.store import MaskStore


def fingerprint(image: Path) -> dict[str, Any]:
    """Size (`bytes`), SHA-256 (`sha256`) and time (`modified`, in ns since 1970) of an image's file."""
    modified, content = image.stat().st_mtime_ns, read_bytes(image)
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "modified": modified}


def made_of(image: Path, store: MaskStore) -> dict[str, Any]:
    """What is stored with masks about the image's file that they belong to: its name, its path and its fingerprint.

    Raises:
        OSError: the file cannot be read.
    """
    path = os.path.relpath(os.path.realpath(image), os.path.realpath(store.root))
    return {"file_name": image.name, "path": Path(path).as_posix(), **fingerprint(image)}


def changed(store: MaskStore, key: str, image: Path) -> bool:
    """Whether an image file differs from the one that its stored masks were made of; False if they do not record it.

    Masks of a copy in another folder, such as images_4/, are compared with that copy. A file of the recorded size and
    time counts as unchanged and is not read; where no time is recorded, this is a file that is older than its masks.
    """
    recorded = store.about(key)
    if not {"bytes", "sha256"} <= recorded.keys():
        return False
    image = _copy_in_another_folder(store, recorded, image) or image
    now = image.stat()
    as_then = now.st_mtime_ns == recorded["modified"] if "modified" in recorded else now.st_mtime <= store.written(key)
    if now.st_size == recorded["bytes"] and as_then:
        return False
    return fingerprint(image)["sha256"] != recorded["sha256"]


def stale(store: MaskStore, images: Mapping[str, Path]) -> list[str]:
    """Keys of the images that have stored masks, are there, and have changed since."""
    there = (key for key, image in images.items() if store.holds(key) and image.is_file())
    return [key for key in there if changed(store, key, images[key])]


def said_of_changed(store: MaskStore, data: Path) -> str:
    """A sentence on the images of a dataset that have changed since their masks were made; "" if none has."""
    try:
        images = find_images(data)
    except UserError:
        return ""
    if not (found := stale(store, images)):
        return ""
    return (
        f"masks: {len(found)} images have changed since the masks in {store.root} were made of them, such as "
        f"{images[found[0]]}; make or convert the masks anew, or they may lie on other pixels."
    )


def _copy_in_another_folder(store: MaskStore, recorded: dict[str, Any], image: Path) -> Path | None:
    """The file that masks were made of, if it is there and lies in another folder than the image."""
    if not isinstance(recorded.get("path"), str):
        return None
    first = Path(os.path.realpath(os.path.realpath(store.root) / Path(recorded["path"])))
    elsewhere = first.parent != Path(os.path.realpath(image)).parent
    return first if elsewhere and first.is_file() else None
