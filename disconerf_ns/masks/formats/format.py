"""The three functions of a format's module, and the types that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from disconerf_ns.masks.image_masks import ImageMasks

Images = Mapping[str, Path]
"""The images of a dataset, by key."""
Loaders = Mapping[str, Callable[[], ImageMasks]]
"""Functions that load the masks of one image, by the image's key; images without masks are absent."""
Losses = Counter[str]
"""Number of masks or images that lose information in a format, by the kind of information."""


@runtime_checkable
class Format(Protocol):
    """The functions of a format's module."""

    def recognises(self, path: Path) -> bool:
        """Whether a file or folder is in this format, judged by its content."""
        ...

    def read(self, path: Path, images: Images) -> Loaders:
        """Find the masks of images; each loader reads one image.

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
