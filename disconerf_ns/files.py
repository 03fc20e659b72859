"""Atomic file writes: a file holds all of its content or does not exist; and what can be written or read at all."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

from disconerf_ns.errors import UserError

ABANDONED = 3600.0
"""Age in seconds at which a half-written file counts as left behind by a killed run."""
KINDS = {
    stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a named pipe", stat.S_ISSOCK: "a socket", stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}  # fmt: skip


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file and create its folders; readers see the old content or all of the new content, never half of it.

    Args:
        path: the file, which is replaced if it exists.
        content: text, which is written as UTF-8, or bytes.
    Raises:
        OSError: the file cannot be written; the old file is unchanged, and no temporary file remains.
    """
    with whole_file(path) as part:
        part.write_bytes(_bytes(content))


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place at the end; it is on the disk by then.

    Raises:
        OSError: the file cannot be written; the old file is unchanged, and no temporary file remains.
    """
    with _temporary_beside(path) as part:
        yield part
        _settle(part)
        os.replace(part, path)
    _settle(path.parent)


def write_new(path: Path, content: str | bytes) -> bool:
    """Write a file as `write_whole` does, unless it exists; of several processes that try, one succeeds.

    Returns:
        True if this call wrote the file.
    """
    with _temporary_beside(path) as part:
        part.write_bytes(_bytes(content))
        _settle(part)
        try:
            os.link(part, path)
        except FileExistsError:
            return False
        except OSError:  # the file system has no hard links
            if path.exists():
                return False
            os.replace(part, path)
    _settle(path.parent)
    return True


def check_file(path: Path, remedy: str) -> None:
    """Refuse a file that cannot be written, before there is work to lose; this leaves nothing behind.

    Args:
        remedy: end of the sentence, which says where to write instead.
    Raises:
        UserError: it is a folder, or a temporary file cannot be written in the nearest folder above it that exists.
    """
    path = path.absolute()
    if path.is_dir():
        raise UserError(f"{path} is a folder, and a file would be written there; {remedy}")
    _check_writable(path, path.parents, remedy)


def check_folder(path: Path, remedy: str) -> None:
    """Refuse a folder that cannot be made, or in which nothing can be written; this leaves nothing behind.

    Args:
        remedy: end of the sentence, which says where to write instead.
    Raises:
        UserError: it is no folder, or a temporary file cannot be written in it, or in the nearest one that exists.
    """
    path = path.absolute()
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file, not a folder; {remedy}")
    _check_writable(path, (path, *path.parents), remedy)


def _check_writable(path: Path, folders: Sequence[Path], remedy: str) -> None:
    nearest = next(folder for folder in folders if os.path.lexists(folder))
    try:
        TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); {remedy}") from error


def regular(path: Path) -> Path:
    """The path itself, if opening it gives a file: a pipe would wait for a writer, and a device may never end.

    Raises:
        FileNotFoundError: there is nothing.
        UserError: it is something else than a regular file.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = next((kind for is_kind, kind in KINDS.items() if is_kind(mode)), "no file")
        raise UserError(f"{path} is {kind}, not a regular file; put a file there, or remove it.")
    return path


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with file.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(2**22):
            digest.update(block)
    return digest.hexdigest()


def sweep(folder: Path) -> None:
    """Delete the half-written files that killed runs left in a folder and its subfolders."""
    for part in folder.rglob(".*.part"):
        with suppress(FileNotFoundError):  # another process may finish it meanwhile
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


@contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    """A name for a temporary file in the folder of `path`, which is deleted at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid4().hex}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _settle(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; not every file system can say so of a folder."""
    with suppress(OSError) if path.is_dir() else nullcontext():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
