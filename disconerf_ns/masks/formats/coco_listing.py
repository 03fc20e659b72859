"""COCO's lists of images and annotations, in one file or in several: which annotations belong to which image."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from disconerf_ns.errors import MaskError
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.formats.files import objects_in, peek_json, read_json, reading, value_in
from disconerf_ns.masks.formats.format import Images, Losses
from disconerf_ns.masks.formats.said import json_files
from disconerf_ns.masks.say import say

ID = (int, float, str, type(None))
"""JSON types of an image's id."""
ORPHANS = "annotations whose `image_id` is that of no image"
REPEATED = "image entries without annotations that repeat a name"


@dataclass
class ImageEntry:
    """One file's annotations of one image."""

    file: Path
    image: dict[str, Any]
    """The entry of the list `images`, with a `file_name`."""
    annotations: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The image's `file_name`."""
        return self.image["file_name"]

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width; None if the entry does not say them.

        Raises:
            ValueError: it says something else than a size.
        """
        said = [self.image.get(side) for side in ("height", "width")]
        if said in ([None, None], [0, 0]):
            return None
        height, width = map(run_length.length, said)
        if height is None or width is None:
            raise ValueError("its `height` and `width` are not the size of a photograph")
        return height, width


@dataclass
class Listing:
    """One file's images, by name, and the content of the file that belongs to none of them."""

    file: Path
    entries: dict[str, list[ImageEntry]]
    left_out: Losses


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file is COCO's: instances, boxes, keypoints, captions, or a list of results."""
    annotations = content.get("annotations") if isinstance(content, dict) and "images" in content else content
    if not isinstance(annotations, list) or not all(isinstance(annotation, dict) for annotation in annotations[:1]):
        return False
    if isinstance(content, list):
        return bool(content) and "image_id" in content[0]
    return not any("segments_info" in annotation for annotation in annotations[:1])


def listings_of(path: Path, images: Images) -> list[Listing]:
    """The listings of a JSON file, or of all COCO files below a folder.

    Raises:
        MaskError: there is no file, a file is broken, or a list of results says nowhere which images it is of.
    """
    files = json_files(path)
    if not files:
        raise MaskError(f"masks: {path} has no JSON file.")
    if len(files) > 1:
        files = [file for file in files if is_coco(peek_json(file))] or files[:1]
    contents = {file: read_json(file) for file in files}
    results = [file for file, content in contents.items() if isinstance(content, list)]
    truths = [file for file, content in contents.items() if file not in results and _has_masks(content)]
    if results and truths:
        raise MaskError(
            f"masks: {path} has masks in {truths[0].name} and a list of results in {results[0].name}; name the file "
            "that you want."
        )
    return [
        _of_results(file, content, images) if file in results else _of_images(file, content)
        for file, content in contents.items()
    ]


def _has_masks(content: Any) -> bool:
    annotations = content.get("annotations") if isinstance(content, dict) else None
    return isinstance(annotations, list) and any(isinstance(a, dict) and a.get("segmentation") for a in annotations)


def _of_images(file: Path, content: Any) -> Listing:
    with reading(file):
        return _listing(file, objects_in(content, "images"), objects_in(content, "annotations"))


def _of_results(file: Path, content: Any, images: Images) -> Listing:
    """A list of results, whose images the only COCO file beside it with all ids lists, or whose ids are names.

    Raises:
        MaskError: no such file is there, and the ids are not the names of images.
    """
    with reading(file):
        annotations = objects_in({"results": content}, "results")
        ids = {_plain(annotation.get("image_id")) for annotation in annotations}
        beside = [(other, peek_json(other)) for other in json_files(file.parent) if other.parent == file.parent]
        lists = [(other, objects_in(c, "images")) for other, c in beside if isinstance(c, dict) and is_coco(c)]
        fitting = [(other, entries) for other, entries in lists if ids <= {_plain(e.get("id")) for e in entries}]
        if len(fitting) == 1:
            say(f"{file} has no list of images; it takes that of {fitting[0][0].name}, which has all its ids.")
            return _listing(file, fitting[0][1], annotations)
        stems = {_plain(PurePosixPath(key).name): PurePosixPath(key).name for key in images}
        if ids <= stems.keys() or not any(name.isdecimal() for name in ids):
            entries = [{"id": name, "file_name": stems.get(name, name)} for name in sorted(ids)]
            say(f"{file} has no list of images; its ids are taken for the images' names.")
            return _listing(file, entries, annotations)
    raise MaskError(
        f"masks: {file} is a list of results without a list of images, and its ids, such as {min(ids)}, are not the "
        f"names of the images, such as {next(iter(images))}; put the JSON file whose `images` have these ids beside it."
    )


def _listing(file: Path, image_list: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Listing:
    entries = [ImageEntry(file, image) for image in image_list]
    ids = [value_in(image, "id", *ID) for image in image_list]
    spelling = _plain if len(set(map(_plain, ids))) == len(ids) else str
    by_id = {spelling(number): entry for number, entry in zip(ids, entries, strict=True)}
    if len(by_id) < len(entries):
        raise ValueError("two of its images have the same `id`")
    orphans = 0
    for annotation in annotations:
        entry = by_id.get(spelling(annotation.get("image_id")))
        if entry is None:
            orphans += 1
        else:
            entry.annotations.append(annotation)

    by_name: dict[str, list[ImageEntry]] = defaultdict(list)
    for entry in entries:
        by_name[value_in(entry.image, "file_name", str)].append(entry)
    distinct = {name: [e for e in same if e.annotations] or same[:1] for name, same in by_name.items()}
    repeated = len(entries) - sum(map(len, distinct.values()))
    return Listing(file, distinct, +Losses({ORPHANS: orphans, REPEATED: repeated}))


def _plain(number: Any) -> str:
    """An id as text, the same for 7, 7.0, "7" and "007"."""
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    text = str(number).strip()
    return text.lstrip("0") or "0" if text.isdecimal() else text
