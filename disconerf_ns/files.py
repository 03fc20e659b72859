"""Atomic file writes: a file holds all of its content or does not exist."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

ABANDONED = 3600.0
"""Age in seconds at which a half-written file counts as left behind by a killed run."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file and create its folders; readers see the old content or all of the new content, never half of it.

    Args:
        path: the file, which is replaced if it exists.
        content: text, which is written as UTF-8, or bytes.
    Raises:
        OSError: the file cannot be written; the old file is unchanged, and no temporary file remains.
    """
    with _temporary_beside(path, content) as temporary:
        os.replace(temporary, path)


def write_new(path: Path, content: str | bytes) -> bool:
    """Write a file as `write_whole` does, unless it exists; of several processes that try, one succeeds.

    Returns:
        True if this call wrote the file.
    """
    with _temporary_beside(path, content) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # the file system has no hard links
            if path.exists():
                return False
            os.replace(temporary, path)
        return True


def sweep(folder: Path) -> None:
    """Delete the half-written files that killed runs left in a folder and its subfolders."""
    for part in folder.rglob(".*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED:
            part.unlink(missing_ok=True)


@contextmanager
def _temporary_beside(path: Path, content: str | bytes) -> Iterator[Path]:
    """A temporary file of the content in the folder of `path`, deleted at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        yield part
    finally:
        part.unlink(missing_ok=True)
