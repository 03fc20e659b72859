"""File formats of other programs' masks: one module per format, and the recognition of a path's format.

To add a format, write a module with the functions of `MaskFormat` and name it in `FORMATS`.
"""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import cast

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats import color
from disconerf_ns.masks.formats.files import below, read_json, refuse_jpeg, sampled_files
from disconerf_ns.masks.formats.format import Images, MaskFormat
from disconerf_ns.masks.formats.objects import groups
from disconerf_ns.masks.formats.said import json_files
from disconerf_ns.masks.say import say

FORMATS = {
    "sa1b": "SA-1B's JSON, one file per image, as `disconerf masks` writes it",
    "amg": "lists of segment-anything's automatic mask generator, one JSON file per image (Grounded SAM 2's too)",
    "amg_folder": "folders of segment-anything's amg.py, one per image: a PNG per mask and metadata.csv",
    "objects": "a binary PNG per object: a folder with the image's name, or names such as NAME_object0.png",
    "coco": "COCO instances: JSON files with polygons or RLE (CVAT, Roboflow, Label Studio, ...), or lists of results",
    "labelme": "labelme's JSON, one file per image (X-AnyLabeling's too)",
    "isat": "ISAT's JSON, one file per image",
    "labels": "label images (PNG, TIFF, BMP, GIF): a number per object, or a page per mask (Gaussian Grouping's too)",
    "object_mask": "label images of 8 bit, as Gaussian Grouping reads them",
    "color": "PNGs with one colour per mask, black is no mask (DEVA's Annotations too)",
    "panoptic": "COCO panoptic: PNGs with ids as colours, and one JSON file",
    "arrays": ".npy, .npz, .pt or .pth files, one per image: a stack of masks, an array per mask, or a label map",
    "garfield": "GARField's sam_data.hdf5",
}
"""Name and description of every format; a format's module is imported when it is used."""
TARGETS = tuple(name for name in FORMATS if name not in ("objects", "labelme", "isat", "garfield"))
"""Formats that masks can be written in."""
PIXELS = {"labels", "color"}
"""Formats that are recognised by their pixels alone."""
UNREAD = {
    ".pkl": "pickles can run code and are not opened, so write arrays with numpy.savez",
    ".xml": "XML of CVAT and others is not read, so export COCO",
    ".jsonl": "JSON lines are not read, so write one JSON file per image",
    ".txt": "text such as YOLO's polygons is not read, so export COCO",
    ".zip": "archives are not read, so unpack it",
    ".json": "JSON of VIA, Supervisely, Label Studio and others is not read, so export COCO",
    ".webp": "WebP is not read, so write label images as PNG",
}
"""Remedies for kinds of files that no format reads, by suffix."""


def format_of(name: str) -> MaskFormat:
    """The module of a format.

    Raises:
        MaskError: there is no such format.
    """
    if name not in FORMATS:
        raise MaskError(f"masks: there is no format {name}; choose one of {', '.join(FORMATS)}.")
    return cast("MaskFormat", import_module(f"{__name__}.{name}"))


def recognise(path: Path, images: Images | None = None) -> str:
    """The name of the format of a file or folder.

    Args:
        images: the images, whose names tell a PNG per object from a PNG per image.
    Raises:
        MaskError: the format is unknown or ambiguous.
    """
    names = [name for name in FORMATS if format_of(name).recognises(path)]
    if "color" in names and len(names) > 1 and color.are_photographs(path):
        names.remove("color")
        say(f"PNGs in {path} are taken for photographs, since they have as many colours.")
    if images is not None and names and set(names) <= PIXELS and groups(path, images):
        return "objects"
    if len(names) == 1:
        return names[0]
    if names:
        raise MaskError(f"masks: {path} might be {' or '.join(names)}; say which with --source-format.")
    _check_json(path)
    way_out = _way_out(path)
    if path.is_file() and not way_out:
        raise MaskError(
            f"masks: {path} is a single file, but in none of the formats that keep all images in one file (coco, "
            f"panoptic, garfield); name the folder with the files of all images, such as {path.parent}."
        )
    if not way_out:
        refuse_jpeg(path)
    content = "" if path.is_file() else f": {_summary(path)}"
    raise MaskError(
        f"masks: {path} is in no known format ({', '.join(FORMATS)}){content}; {way_out}see `disconerf masks convert "
        "--help`."
    )


def _check_json(path: Path) -> None:
    """Check that a JSON file, or those in a folder, can be read at all.

    Raises:
        MaskError: one cannot.
    """
    for file in sampled_files(json_files(path)):
        read_json(file)


def _way_out(path: Path) -> str:
    """A message's remedy for files in a format that is not read, whether photographs lie beside them or not."""
    suffixes = {file.suffix.lower() for file in [path, *below(path)]}
    return next((f"{remedy}; " for suffix, remedy in UNREAD.items() if suffix in suffixes), "")


def _summary(path: Path) -> str:
    """The kinds of files in a folder, for a message."""
    files = below(path)
    if not files:
        return "it has no files"
    suffixes = Counter(file.suffix.lower() or "without suffix" for file in files).most_common(3)
    return "it has " + ", ".join(f"{count} {suffix}" for suffix, count in suffixes) + f", such as {files[0].name}"
