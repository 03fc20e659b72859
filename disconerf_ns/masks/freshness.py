"""Whether masks are of the image that is there now."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from disconerf_ns.masks.store import MaskStore


def fingerprint(image: Path) -> dict[str, Any]:
    """What a file of masks says of its image's file: `bytes` and `sha256`."""
    content = image.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def changed(store: MaskStore, key: str, image: Path) -> bool:
    """Whether an image is another than the one that the stored masks were made of; False where that is not known.

    An image that is as large as then and older than its masks is taken to be the same, without reading it.
    """
    about = store.about(key)
    if not {"bytes", "sha256"} <= about.keys():
        return False
    now = image.stat()
    if now.st_size == about["bytes"] and now.st_mtime <= store.written(key):
        return False
    return fingerprint(image) != {name: about[name] for name in ("bytes", "sha256")}
