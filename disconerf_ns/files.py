"""Atomic file writes: a file holds all of its content or does not exist; and whether a place can be written at all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

from disconerf_ns.errors import UserError

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


def check_writable(path: Path, remedy: str) -> None:
    """Refuse a file or folder that cannot be written or made, before there is work to lose; this leaves nothing behind.

    Args:
        remedy: end of the sentence, which says where to write instead.
    Raises:
        UserError: a temporary file cannot be written in the folder, or in the nearest one above it that exists.
    """
    path = path.absolute()
    folders = path.parents if path.is_file() else (path, *path.parents)
    nearest = next(folder for folder in folders if os.path.lexists(folder))
    try:
        TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); {remedy}") from error


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
