"""The three functions of a format's module, and the types that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.numbers import Void

Images = Mapping[str, Path]
"""The images of a dataset, by key."""
Losses = Counter[str]
"""Number of masks, images or pieces of content that lose information or are left out, by the kind of loss."""


@dataclass(frozen=True)
class Loaded:
    """The masks of one image, as its part of a file holds them."""

    masks: ImageMasks
    left_out: Losses = field(default_factory=Losses)
    """Content of the image that gave no mask."""


@dataclass(frozen=True)
class Contents:
    """A file or folder of masks whose shared parts are read, and whose masks are not."""

    loaders: Mapping[str, Callable[[], Loaded]]
    """Functions that load the masks of one image, by the image's key; images without masks are absent."""
    left_out: Losses = field(default_factory=Losses)
    """Content that belongs to no image of the dataset."""


@runtime_checkable
class MaskFormat(Protocol):
    """The functions of a format's module."""

    def recognises(self, path: Path) -> bool:
        """Whether a file or folder is in this format, judged by its content."""
        ...

    def read(self, path: Path, images: Images, void: Void = None) -> Contents:
        """Find the masks of images; each loader reads one image.

        Args:
            void: numbers that are no objects, or None to judge by content; formats without numbers refuse any.
        Raises:
            MaskError: a file shared by all images is broken, or two files fit one image. A loader raises it if its own
                file is broken.
        """
        ...

    def write(self, path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
        """Write the masks of images, given by key, one image at a time. Returns the information that is lost.

        Raises:
            MaskError: the format cannot hold the masks at all.
        """
        ...
