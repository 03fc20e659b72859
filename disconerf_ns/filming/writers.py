"""Files of films, one table: each format's way of encoding, and what it can do with transparency.

Frames go to the encoder one by one, and a file is there whole or not at all.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast
from uuid import uuid4

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from disconerf_ns.errors import UserError, cause
from disconerf_ns.filming.matte import in_bytes

Put = Callable[[UInt8[np.ndarray, "height width channels"]], None]
"""Takes the next frame: RGB, or RGB and straight alpha."""


class Alpha(Enum):
    """What a format can do with transparency."""

    NONE = "opaque"
    BINARY = "there or not"
    SMOOTH = "256 steps or more"


@dataclass(frozen=True)
class Format:
    """A kind of film that other programs open."""

    suffix: str
    alpha: Alpha
    encoder: tuple[str, ...] = ()
    """ffmpeg's options; none for a folder of PNG files."""


BT709 = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv")
TO_709 = "scale=out_color_matrix=bt709:out_range=tv"
EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"
"""Half as many pixels of colour fit only pictures of even size, so a last odd row or column goes."""
PALETTE = "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=bayer:bayer_scale=4:alpha_threshold=128"

FORMATS = {
    "mp4": Format(
        ".mp4", Alpha.NONE,
        ("-vf", f"{EVEN},{TO_709}", *BT709, "-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p",
         "-movflags", "+faststart"),
    ),
    "webm": Format(
        ".webm", Alpha.SMOOTH,
        ("-vf", TO_709, *BT709, "-c:v", "libvpx-vp9", "-crf", "18", "-b:v", "0", "-pix_fmt", "yuva420p",
         "-auto-alt-ref", "0", "-row-mt", "1", "-deadline", "good", "-cpu-used", "4"),
    ),
    "mov": Format(
        ".mov", Alpha.SMOOTH,
        ("-vf", TO_709, *BT709, "-c:v", "prores_ks", "-profile:v", "4444", "-vendor", "apl0", "-alpha_bits", "16",
         "-pix_fmt", "yuva444p10le"),
    ),
    "webp": Format(
        ".webp", Alpha.SMOOTH, ("-c:v", "libwebp_anim", "-pix_fmt", "yuva420p", "-q:v", "85", "-loop", "0")
    ),
    "gif": Format(".gif", Alpha.BINARY, ("-vf", PALETTE, "-loop", "0")),
    "png": Format("", Alpha.SMOOTH),
}  # fmt: skip
"""H.264, VP9, ProRes 4444, animated WebP and GIF, and a folder of PNG files, by the names of their files' ends."""


PICTURE = re.compile(r"\d{4,}\.png")
"""Names of the pictures of a film."""
FULL = os.strerror(errno.ENOSPC)
EMPTY = "there are no frames; give at least one"
ROOM = "make room there, or name another folder"


@contextmanager
def film_file(path: Path, format: Format, fps: float) -> Iterator[Put]:
    """A film that frames are put into; it appears at the end, and never if anything fails before.

    Args:
        path: the file or folder without its suffix; an older one is replaced.
        fps: frames per second; a folder of pictures has none.
    Raises:
        OSError: the encoder failed, there were no frames, the place cannot be written, or it is a folder that holds
            other files than pictures of a film.
    """
    path = path.with_name(path.name + format.suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_replaceable(path)
    part = path.with_name(f".{uuid4().hex}.part{format.suffix}")
    try:
        with _encoder(part, path, format, fps) if format.encoder else _folder(part, path) as put:
            yield put
        _check_replaceable(path)  # again, since a film takes long
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        part.unlink(missing_ok=True)


def write_film(path: Path, frames: Iterable[Shaped[np.ndarray, "height width channels"]], fps: float) -> None:
    """Write frames as the film that a file's suffix stands for, whole or not at all.

    Args:
        path: an .mp4, .webm, .mov, .webp or .gif file, or without suffix a folder of PNG files.
        frames: RGB, or RGB and straight alpha, as bytes or as floats in [0, 1].
        fps: frames per second.
    Raises:
        KeyError: the suffix stands for no film.
        OSError: the film cannot be written.
        UserError: a frame is neither RGB nor RGB and alpha, or has another shape than the first one.
    """
    formats = {format.suffix: format for format in FORMATS.values()}
    with film_file(path.with_suffix(""), formats[path.suffix], fps) as put:
        for frame in _of_one_shape(frames):
            put(frame if frame.dtype == np.uint8 else in_bytes(frame))


def _of_one_shape(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    first = None
    for number, frame in enumerate(frames):
        first = first or frame.shape
        said = f"film: frame {number} has the shape {frame.shape}"
        if frame.ndim != 3 or frame.shape[2] not in (3, 4):
            raise UserError(
                f"{said}; pass (height, width, 3) for RGB, or (height, width, 4) for RGB and alpha; of a mask, "
                "mask.expand(-1, -1, 3)."
            )
        if frame.shape != first:
            raise UserError(f"{said} and the first one {first}; frames of a film have one shape.")
        yield frame


def _check_replaceable(path: Path) -> None:
    """Refuse to replace a folder that holds more than the pictures of a film."""
    files = sorted(path.iterdir()) if path.is_dir() else []
    if other := next((file for file in files if not PICTURE.fullmatch(file.name)), None):
        raise OSError(
            f"{path} is not written: it holds {other.name}, which is no picture of a film; name another folder"
        )


@contextmanager
def _folder(part: Path, film: Path) -> Iterator[Put]:
    part.mkdir()
    number = 0

    def put(frame: UInt8[np.ndarray, "height width channels"]) -> None:
        nonlocal number
        try:
            Image.fromarray(frame).save(part / f"{number:04d}.png", compress_level=4)
        except OSError as error:
            raise OSError(f"{film} is not written: {cause(error)}; {ROOM}") from error
        number += 1

    yield put
    if number == 0:
        raise OSError(f"{film} is not written: {EMPTY}")


@contextmanager
def _encoder(part: Path, film: Path, format: Format, fps: float) -> Iterator[Put]:
    """A process of ffmpeg that frames are piped into; it starts with the first one, which tells their size.

    Args:
        part: the file that it writes.
        film: the file that this becomes, for messages.
    """
    process: subprocess.Popen[bytes] | None = None
    with TemporaryFile() as log:

        def put(frame: UInt8[np.ndarray, "height width channels"]) -> None:
            nonlocal process
            if process is None:
                process = subprocess.Popen(_command(part, format, fps, frame), stdin=subprocess.PIPE, stderr=log)
            try:
                _input(process).write(np.ascontiguousarray(frame).tobytes())
            except OSError as error:
                raise _failed(process, log, film) from error

        try:
            yield put
            if process is None:
                raise OSError(f"{film} is not written: {EMPTY}")
            _input(process).close()
            if process.wait() != 0:
                raise _failed(process, log, film)
        finally:
            if process is not None:
                process.kill()
                process.wait()


def _input(process: subprocess.Popen[bytes]) -> IO[bytes]:
    return cast("IO[bytes]", process.stdin)


def _command(path: Path, format: Format, fps: float, frame: UInt8[np.ndarray, "height width channels"]) -> list[str]:
    import imageio_ffmpeg

    height, width, channels = frame.shape
    opaque = [option.replace("yuva", "yuv") for option in format.encoder]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgba" if channels == 4 else "rgb24", "-s", f"{width}x{height}"]
    options = format.encoder if channels == 4 else opaque
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-hide_banner", "-loglevel", "error"]
    return [*program, *raw, "-r", f"{fps:g}", "-i", "-", *options, str(path.absolute())]


def _failed(process: subprocess.Popen[bytes], log: IO[bytes], film: Path) -> OSError:
    process.kill()
    process.wait()
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    line = next((line for line in lines if FULL in line), lines[-1] if lines else f"exit code {process.returncode}")
    said = re.sub(r"^\[[^]]*\] ", "", line)
    return OSError(f"{film} is not written, ffmpeg failed: {said}{f'; {ROOM}' if FULL in said else ''}")
