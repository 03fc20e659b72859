"""What other programs keep masks in: a module per format, and how the format of a path is recognised.

To add one, write a module with the functions of `Format` and name it in `FORMATS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.image_masks import ImageMasks

FORMATS = {
    "sa1b": "SA-1B's JSON, a file per image: what `disconerf masks` writes",
    "amg": "lists of segment-anything's automatic mask generator, a JSON file per image",
    "amg_folder": "folders of that generator: a PNG per mask and metadata.csv",
    "coco": "COCO instances: one JSON file with polygons or RLE",
    "labels": "label images: PNGs of 8 or 16 bit, 0 is no mask (Gaussian Grouping's object_mask too)",
    "object_mask": "label images of 8 bit, as Gaussian Grouping reads them",
    "color": "PNGs with a colour per mask, black is none",
    "panoptic": "COCO panoptic: PNGs with ids as colours, and their JSON file",
    "arrays": ".npy, .npz or .pt per image: stacks of binary masks, or label maps",
    "garfield": "GARField's sam_data.hdf5",
}
"""Name and description of every format; its module is imported when it is asked for."""
TARGETS = tuple(name for name in FORMATS if name != "garfield")
"""Formats that masks can be written in."""

Images = Mapping[str, Path]
"""The images of a dataset by key."""
Loaders = Mapping[str, Callable[[], ImageMasks]]
"""What gives the masks of the images that there are some of, by the images' keys."""
Losses = Counter[str]
"""What was not kept, and of how many masks or images."""


@runtime_checkable
class Format(Protocol):
    """The functions of a format's module."""

    def recognises(self, path: Path) -> bool:
        """Whether a file or folder is in this format, by what it holds."""

    def read(self, path: Path, images: Images) -> Loaders:
        """Find the masks of images; they are read one image at a time.

        Raises:
            MaskError: what all images share is broken, or two files fit one image; so does a loader whose file is
                broken.
        """

    def write(self, path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
        """Write the masks of images, given by key, one image at a time; what of them the format does not hold.

        Raises:
            MaskError: the format cannot hold them.
        """


def format_of(name: str) -> Format:
    """The module of a format.

    Raises:
        MaskError: there is none.
    """
    if name not in FORMATS:
        raise MaskError(f"masks: there is no format {name}; the ones there are: {', '.join(FORMATS)}.")
    return import_module(f"{__name__}.{name}")


def recognise(path: Path) -> str:
    """The name of the format that a file or folder is in.

    Raises:
        MaskError: it is in none, or might be in several.
    """
    found = [name for name in FORMATS if format_of(name).recognises(path)]
    if len(found) == 1:
        return found[0]
    if found:
        raise MaskError(f"masks: {path} might be {' or '.join(found)}; say which with --source-format.")
    if path.is_file():
        raise MaskError(
            f"masks: {path} is one file, but in none of the formats that keep all images in one (coco, panoptic, "
            f"garfield); name the folder with the files of all images, such as {path.parent}."
        )
    raise MaskError(
        f"masks: {path} is in no format that is known ({', '.join(FORMATS)}), {_held(path)}; see `disconerf masks "
        "convert --help`."
    )


def _held(path: Path) -> str:
    from disconerf_ns.masks.formats.files import below

    files = below(path)
    if not files:
        return "it has no files"
    suffixes = Counter(file.suffix.lower() or "without suffix" for file in files).most_common(3)
    return "it has " + ", ".join(f"{count} {suffix}" for suffix, count in suffixes) + f", such as {files[0].name}"
