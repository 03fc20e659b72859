"""An `ffmpeg` on PATH without installing one: nerfstudio and mediapy look it up by that name and nowhere else."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
from pathlib import Path

_log = logging.getLogger(__name__)
_private_folder: tempfile.TemporaryDirectory | None = None


def ensure_ffmpeg() -> None:
    """Make `shutil.which("ffmpeg")` find imageio-ffmpeg's bundled program when nothing else is found.

    A link called `ffmpeg` is kept in the user's cache folder, or in a folder that lives as long as the process where
    the cache can't be written. That folder goes to the end of PATH, so an ffmpeg installed later takes over.

    Raises nothing: every `ns-*` command calls it while loading plugins, and most of them need no ffmpeg.
    """
    if shutil.which("ffmpeg"):
        return
    try:
        _append_to_path(_folder_with_ffmpeg())
    except Exception as error:  # whatever a broken installation raises must not take every ns-* command down
        _log.debug("no ffmpeg on PATH and none could be provided: %s", error)


def _folder_with_ffmpeg() -> Path:
    global _private_folder
    try:
        folder = _cache_folder()
        if not shutil.which("ffmpeg", path=str(folder)):
            _link(folder / "ffmpeg")
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        _private_folder = tempfile.TemporaryDirectory(prefix="disconerf_ns-")
        folder = Path(_private_folder.name)
        _link(folder / "ffmpeg")
    return folder


def _cache_folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "disconerf_ns" / "bin"


def _link(link: Path) -> None:
    """Point `link` at the bundled program; a process doing the same meanwhile sees the old link or a whole new one."""
    import imageio_ffmpeg

    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".ffmpeg-{secrets.token_hex(8)}")
    fresh.symlink_to(os.path.abspath(imageio_ffmpeg.get_ffmpeg_exe()))
    fresh.replace(link)


def _append_to_path(folder: Path) -> None:
    path = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join(part for part in (path, str(folder)) if part)
