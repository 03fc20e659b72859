"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

ABANDONED = 3600.0
"""Seconds after which a half-written file is taken to be what a killed run left."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file and the folders above it; readers see what was there before or all of the new, never half of it.

    Args:
        path: the file, replaced where there is one.
        content: text, which is written as UTF-8, or bytes.
    Raises:
        OSError: it cannot be written; what was there is still there, and nothing is left beside it.
    """
    with _beside(path, content) as whole:
        os.replace(whole, path)


def write_new(path: Path, content: str | bytes) -> bool:
    """Write a file as `write_whole` does, unless there is one: of several that try, one succeeds.

    Returns:
        Whether this call wrote it.
    """
    with _beside(path, content) as whole:
        try:
            os.link(whole, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            if path.exists():
                return False
            os.replace(whole, path)
        return True


def sweep(folder: Path) -> None:
    """Delete the half-written files that killed runs left in a folder and below."""
    for part in folder.rglob(".*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED:
            part.unlink(missing_ok=True)


@contextmanager
def _beside(path: Path, content: str | bytes) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        yield part
    finally:
        part.unlink(missing_ok=True)
