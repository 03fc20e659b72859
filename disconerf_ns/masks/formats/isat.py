"""ISAT's JSON, one file per photograph: polygons, which `group` joins to objects and `__background__` cuts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from disconerf_ns.errors import MaskError
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.formats.files import image_size, objects_in, peek_json, refuse_void, sampled_files
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.formats.said import by_said_image, json_files
from disconerf_ns.masks.formats.segmentations import about, joined, to_rle
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.numbers import Void
from disconerf_ns.masks.rle import Rle

BACKGROUND = "__background__"
"""Category of polygons that cut holes into the polygons of lower layers."""


def recognises(path: Path) -> bool:
    """A JSON file with `info` and `objects` that have a `segmentation`, or a folder with such files."""
    return any(map(_is_isat, map(peek_json, sampled_files(json_files(path)))))


def _is_isat(content: Any) -> bool:
    if not isinstance(content, dict) or not isinstance(content.get("info"), dict):
        return False
    objects = content.get("objects")
    return isinstance(objects, list) and all(isinstance(o, dict) and "segmentation" in o for o in objects[:1])


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Files by the `name` of the photograph that they hold, otherwise by their own names."""
    refuse_void(void, path)
    return by_said_image(path, images, _name, _load)


def _name(content: Any) -> Any:
    return content["info"].get("name") if _is_isat(content) else None


def _load(content: Any, image: Path) -> Loaded:
    objects = objects_in(content, "objects")
    info = content.get("info")
    if not isinstance(info, dict):
        raise ValueError("it lacks an object `info`")
    height, width = (run_length.length(info.get(side)) for side in ("height", "width"))
    if height is None or width is None:
        height, width = image_size(image)
    drawn, left_out = [], Losses()
    for number, entry in enumerate(objects):
        with about(f"object {number}"):
            rle, lost = to_rle(entry.get("segmentation"), height, width)
            layer = run_length.number(entry.get("layer", 0))
            if layer is None:
                raise ValueError("its `layer` is not a number")
        left_out += lost
        if rle is not None:
            drawn.append((layer, entry, rle))
    holes = [(layer, rle) for layer, entry, rle in drawn if entry.get("category") == BACKGROUND]
    parts = [
        (_object(entry), _without(rle, [hole for above, hole in holes if above > layer]))
        for layer, entry, rle in drawn
        if entry.get("category") != BACKGROUND
    ]
    return Loaded(joined(parts, height, width), left_out)


def _object(entry: dict[str, Any]) -> tuple[str, str] | None:
    """Key of a polygon's object: polygons of one category and group belong to one object."""
    group = entry.get("group")
    return None if group in (None, "") else (str(entry.get("category")), str(group))


def _without(rle: Rle, holes: list[Rle]) -> Rle:
    if not holes:
        return rle
    return run_length.encode(run_length.decode(rle) & ~run_length.decode(run_length.union(holes)))


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Refuse.

    Raises:
        MaskError: always.
    """
    raise MaskError("masks: ISAT's JSON is read but not written; write coco instead.")
