"""COCO instances: JSON with the masks of all images, as polygons or RLE; masks may overlap."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from disconerf_ns.errors import MaskError
from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks import sa1b
from disconerf_ns.masks.formats.coco_listing import ImageEntry, Listing, is_coco, listings_of
from disconerf_ns.masks.formats.files import image_size, match_images, peek_json, reading, refuse_void, sampled_files
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.formats.said import json_files
from disconerf_ns.masks.formats.segmentations import about, beyond, masks_of, polygons_in, size_of
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.keys import pair_names
from disconerf_ns.masks.numbers import Void
from disconerf_ns.masks.say import say

TWICE = "annotations that are there twice"
UNKNOWN = "images that are not in the dataset"
MANY = 0.1
"""If polygons reach beyond their images in this share of the images or more, all polygons are in doubt."""


def recognises(path: Path) -> bool:
    """JSON with `images` and `annotations`, or a list of results with `image_id`, or a folder with such files."""
    return any(is_coco(peek_json(file)) for file in sampled_files(json_files(path)))


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Images by their `file_name`; what several files say of an image is taken together.

    Raises:
        MaskError: as in `MaskFormat`; or polygons are for images of another size, or no annotation has a mask.
    """
    refuse_void(void, path)
    listings = listings_of(path, images)
    found: dict[str, list[ImageEntry]] = defaultdict(list)
    left_out = Losses()
    for listing, names in zip(listings, _matched(listings, images, path), strict=True):
        left_out += listing.left_out + Losses({UNKNOWN: len(listing.entries) - len(names)})
        for key, name in names.items():
            found[key] += listing.entries[name]
    _check_masks(found, path)
    _check_reach(found, images, path)
    files_of = {key: list(dict.fromkeys(e.file for e in entries if e.annotations)) for key, entries in found.items()}
    shared = [key for key, files in files_of.items() if len(files) > 1]
    if shared:
        files = " and ".join(file.name for file in files_of[shared[0]])
        say(f"{len(shared)} images are in several files, such as {shared[0]} in {files}; all masks are taken.")
    loaders = {key: partial(_load, found[key], images[key]) for key in images if key in found}
    return Contents(loaders, +left_out)


def _matched(listings: list[Listing], images: Images, path: Path) -> list[dict[str, str]]:
    """Each file's names by the keys of their images.

    Where files in several folders have the same name, as `left/` and `right/` may, the folder counts as part of it.
    """
    folders: dict[str, set[Path]] = defaultdict(set)
    for listing in listings:
        for name in listing.entries:
            folders[name].add(listing.file.parent)
    pairs = []
    for listing in listings:
        found = {}
        if any(len(folders[name]) > 1 for name in listing.entries):
            folder = listing.file.parent.relative_to(path).as_posix()
            long = {f"{folder}/{name}": name for name in listing.entries}
            found = {key: long[name] for key, name in pair_names(long, images, listing.file).items()}
        pairs.append(found or pair_names(listing.entries, images, listing.file))
    if not any(pairs):
        match_images([name for listing in listings for name in listing.entries], images, path)
    return pairs


def _check_masks(found: Mapping[str, list[ImageEntry]], path: Path) -> None:
    annotations = [annotation for entries in found.values() for entry in entries for annotation in entry.annotations]
    if annotations and not any(annotation.get("segmentation") for annotation in annotations):
        raise MaskError(
            f"masks: none of the {len(annotations)} annotations in {path} has a `segmentation`, they are boxes, "
            "keypoints or captions; export polygons or RLE."
        )


def _check_reach(found: Mapping[str, list[ImageEntry]], images: Images, path: Path) -> None:
    """Check that polygons lie in their images, if they do not in many: then the others are for another size too."""
    reaches = [reach for key, entries in found.items() if (reach := _reach(key, entries, images)) is not None]
    far = [reach for reach in reaches if reach[1] > 0]
    if far and len(far) >= MANY * len(reaches):
        key, _, value, side = max(far, key=lambda reach: reach[1])
        raise MaskError(
            f"masks: polygons of {len(far)} of {len(reaches)} images in {path} reach beyond them, to {value:g} of "
            f"{side} in {key}: they are for images of another size; export them for these, or mend the sizes "
            "in `images`."
        )


def _reach(key: str, entries: list[ImageEntry], images: Images) -> tuple[str, float, float, int] | None:
    """The key, and how far, where and at which side polygons reach beyond; None without polygons that can be read."""
    annotations = [annotation for entry in entries for annotation in entry.annotations]
    try:
        lists = [a["segmentation"] for a in annotations if isinstance(a.get("segmentation"), list)]
        outlines = [outline for polygons in lists if size_of(polygons) is None for outline in polygons_in(polygons)]
        areas = [outline for outline in outlines if len(outline) >= 6]
        if not areas:
            return None
        height, width = _size(entries, images[key])
    except (ValueError, MaskError):
        return None
    value, side = beyond(areas, height, width) or (0.0, 0)
    return key, max(-value, value - side) / side if side else 0.0, value, side


def _load(entries: list[ImageEntry], image: Path) -> Loaded:
    first = entries[0]
    with reading(first.file), about(f"image {first.name}"):
        for other in entries[1:]:
            _check_same(first, other)
        annotations, twice = _once(entries)
        looked_at = next((entry.image["looked_at"] for entry in entries if "looked_at" in entry.image), None)
        loaded = masks_of(annotations, *_size(entries, image), looked_at)
        return Loaded(loaded.masks, loaded.left_out + Losses({TWICE: twice}))


def _check_same(one: ImageEntry, other: ImageEntry) -> None:
    if one.file == other.file:
        raise ValueError(
            f"two entries of `images` with annotations have this `file_name`, with the ids {one.image.get('id')} and "
            f"{other.image.get('id')}"
        )
    names = [PurePosixPath(entry.name.replace("\\", "/")).name for entry in (one, other)]
    if names[0] != names[1]:
        raise ValueError(f"{other.file} has another picture of the image, {other.name}; keep one of them")
    if one.size and other.size and one.size != other.size:
        raise ValueError(
            f"it is {one.size[1]} x {one.size[0]} here, but {other.size[1]} x {other.size[0]} in {other.file}"
        )


def _once(entries: list[ImageEntry]) -> tuple[list[dict[str, Any]], int]:
    """The annotations of an image without those that another file has already, and the number of these."""
    annotations = list(entries[0].annotations)
    known = {json.dumps(annotation.get("segmentation")) for annotation in annotations}
    twice = 0
    for entry in entries[1:]:
        new = {json.dumps(a.get("segmentation")): a for a in entry.annotations}
        annotations += [annotation for text, annotation in new.items() if text not in known]
        twice += len(entry.annotations) - len(new.keys() - known)
        known |= new.keys()
    return annotations, twice


def _size(entries: list[ImageEntry], image: Path) -> tuple[int, int]:
    """Height and width: as an entry says, or of the first RLE, or of the image.

    Raises:
        ValueError: an entry says something else than a size.
    """
    for entry in entries:
        if entry.size:
            return entry.size
    for annotation in (annotation for entry in entries for annotation in entry.annotations):
        if isinstance(annotation.get("segmentation"), dict):
            height, width = run_length.size_of(annotation["segmentation"])
            return height, width
    return image_size(image)


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write one file of compressed RLE: `path` if it ends in .json, otherwise `masks.json` in the folder `path`."""
    entries, annotations = [], []
    for number, (key, image_masks) in enumerate(masks, 1):
        record = sa1b.record(image_masks, {"id": number, "file_name": f"{key}{images[key].suffix}"})
        looked_at = {"looked_at": image_masks.looked_at} if image_masks.looked_at is not None else {}
        entries.append(record["image"] | looked_at)
        for annotation in record["annotations"]:
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append({**entry, **annotation})
    content = {"images": entries, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
    write_whole(path if path.suffix.lower() == ".json" else path / "masks.json", json.dumps(content))
    return Losses()
