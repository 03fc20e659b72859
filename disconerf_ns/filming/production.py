"""Films and their files: frames go from whoever draws them to the encoders of all formats at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from disconerf_ns.filming.backdrop import RGB, WHITE
from disconerf_ns.filming.matte import in_bytes, on_color, write_png
from disconerf_ns.filming.sheet import SmallFilms
from disconerf_ns.filming.shots import Shot
from disconerf_ns.filming.writers import FORMATS, film_file

Frames = Iterator[UInt8[np.ndarray, "height width channels"]]


def laid_on(
    picture: UInt8[np.ndarray, "height width channels"], color: RGB | None
) -> UInt8[np.ndarray, "height width _"]:
    """A picture with transparency on a colour, in bytes; as it is without a colour, or if it is opaque."""
    if color is None or picture.shape[2] == 3:
        return picture
    return in_bytes(on_color(picture / np.float32(255), color))


def produce(
    shots: Sequence[Shot],
    frames: Frames,
    folder: Path,
    formats: Mapping[str, RGB | None],
    fps: float,
    small: SmallFilms | None,
    done: Callable[[Shot], None],
) -> list[str]:
    """Write the films of all shots, each whole or not at all.

    Args:
        frames: pictures of all shots in order.
        folder: where the files go; an older file of the same name is replaced.
        formats: names in `FORMATS` and the colour behind each; None where the film stays transparent.
        small: keeps all frames in small.
        done: called after each frame.
    Returns:
        Names of the files, those of a film together.
    """
    behind, written = next((color for color in formats.values() if color is not None), WHITE), []
    for film, shot in enumerate(shots):
        with ExitStack() as files:
            puts = [
                (files.enter_context(film_file(folder / shot.name, FORMATS[name], fps)), color)
                for name, color in formats.items()
            ]
            for number in range(len(shot.cameras)):
                picture = next(frames)
                for put, color in puts:
                    put(laid_on(picture, color))
                if small is not None:
                    small.keep(film, number, laid_on(picture, behind))
                done(shot)
        written += [shot.name + FORMATS[name].suffix for name in formats]
    return written


def write_sheet(small: SmallFilms, path: Path) -> None:
    """Write the first page of all films as a PNG file."""
    write_png(path, next(small.pages()))


def write_grid(small: SmallFilms, path: Path, fps: float) -> None:
    """Write the pages of all films as an .mp4 file."""
    with film_file(path.with_suffix(""), FORMATS["mp4"], fps) as put:
        for page in small.pages():
            put(page)
