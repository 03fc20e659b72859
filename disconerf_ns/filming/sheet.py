"""All objects together: a contact sheet with names and colours, and a video of all films side by side."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from disconerf_ns.scene.objects import SceneObject

WIDEST, TILE = 1920, 256
"""Largest width of a page, and largest side of a tile, in pixels."""
CAPTION = 34
"""Height of the line below a picture, in pixels."""
PAPER, INK, PALE = (255, 255, 255), (38, 38, 42), (128, 128, 134)

Image3 = UInt8[np.ndarray, "height width 3"]


@dataclass
class SmallFilms:
    """The frames of several films, made small, kept in a file that is gone with this value."""

    objects: Sequence[SceneObject]
    frames: int
    """Frames of each film."""
    _kept: np.memmap | None = field(default=None, repr=False)
    _folder: tempfile.TemporaryDirectory = field(default_factory=tempfile.TemporaryDirectory, repr=False)

    @property
    def columns(self) -> int:
        """Films beside each other on a page that is a little wider than high."""
        return min(math.ceil(math.sqrt(1.5 * len(self.objects))), len(self.objects))

    def keep(self, film: int, frame: int, picture: Image3) -> None:
        """Keep a frame of a film, both by number; frames of all films have the same size."""
        side = min(TILE, WIDEST // self.columns)
        scale = min(side / max(picture.shape[:2]), 1.0)
        height, width = (max(round(scale * length), 1) for length in picture.shape[:2])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        if self._kept is None:
            shape = (self.frames, len(self.objects), height, width, 3)
            self._kept = np.memmap(Path(self._folder.name) / "tiles", np.uint8, "w+", shape=shape)
        self._kept[frame, film] = small

    def pages(self) -> Iterator[Image3]:
        """Page after page, one for each frame, with all films and their captions."""
        if self._kept is None:
            raise ValueError("no frame was kept")
        captions = [caption(each, self._kept.shape[3]) for each in self.objects]
        for tiles in self._kept:
            yield page([np.concatenate(pair) for pair in zip(tiles, captions)], self.columns)


def caption(shown: SceneObject, width: int) -> Image3:
    """An object's colour, its output name, and the name that a person gave it, beside or below that."""
    strip = Image.new("RGB", (width, CAPTION), PAPER)
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(13)
    middle, color = CAPTION // 2, tuple(round(255 * channel) for channel in shown.color)
    draw.rounded_rectangle((8, middle - 6, 20, middle + 6), 3, fill=color)
    beside = 36 + draw.textlength(shown.name, font)
    one_line = not shown.title or beside + draw.textlength(shown.title, font) <= width - 8
    left, rise = (beside, 0) if one_line else (28, 8)
    title = shortened(shown.title, lambda text: draw.textlength(text, font) <= width - left - 4)
    draw.text((28, middle - rise), shown.name, fill=INK, font=font, anchor="lm")
    draw.text((left, middle + rise), title, fill=PALE, font=font, anchor="lm")
    return np.asarray(strip)


def shortened(text: str, fits: Callable[[str], bool]) -> str:
    """The text, or its longest beginning that fits, with an ellipsis; nothing if not a letter fits."""
    beginnings = (text[:end].rstrip() + "…" for end in range(len(text) - 1, 0, -1))
    return next(filter(fits, (text, *beginnings)), "")


def page(tiles: Sequence[UInt8[np.ndarray, "_ _ 3"]], columns: int) -> Image3:
    """Tiles of one size in rows, on paper."""
    height, width = tiles[0].shape[:2]
    sheet = np.full((-(-len(tiles) // columns) * height, columns * width, 3), PAPER, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + height, left : left + width] = tile
    return sheet
