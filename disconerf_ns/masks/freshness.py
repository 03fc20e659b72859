"""Detection of masks whose image file has changed since they were made."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from disconerf_ns.masks.store import MaskStore


def fingerprint(image: Path) -> dict[str, Any]:
    """Size (`bytes`) and SHA-256 (`sha256`) of an image's file, which are stored with its masks."""
    content = image.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def changed(store: MaskStore, key: str, image: Path) -> bool:
    """Whether an image file differs from the one that its stored masks were made of; False if they do not record it.

    A file of the recorded size that is older than its masks counts as unchanged and is not read.
    """
    recorded = store.about(key)
    if not {"bytes", "sha256"} <= recorded.keys():
        return False
    now = image.stat()
    if now.st_size == recorded["bytes"] and now.st_mtime <= store.written(key):
        return False
    return fingerprint(image) != {name: recorded[name] for name in ("bytes", "sha256")}
