"""labelme's JSON, one file per photograph: polygons, rectangles, circles, and masks; `group_id` joins the parts."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from disconerf_ns.errors import MaskError
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.formats.files import decoding, image_size, objects_in, peek_json, refuse_void, sampled_files
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.formats.said import by_said_image, json_files
from disconerf_ns.masks.formats.segmentations import about, check_within, draw, joined, polygons_in
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.numbers import Void
from disconerf_ns.masks.opening import check_pixels
from disconerf_ns.masks.rle import Rle

CORNERS = 64
"""Corners of the polygon that stands for a circle."""
AREAS = ("polygon", "rectangle", "rotation", "circle")
LINES = ("point", "points", "line", "linestrip")
NOBODY = ("__ignore__", "_background_")
"""Labels that labelme's own converters leave out."""


def recognises(path: Path) -> bool:
    """A JSON file with `shapes`, or a folder with such files."""
    contents = map(peek_json, sampled_files(json_files(path)))
    return any(isinstance(content, dict) and isinstance(content.get("shapes"), list) for content in contents)


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Files by the `imagePath` that they hold, otherwise by their own names."""
    refuse_void(void, path)
    return by_said_image(path, images, lambda content: _field(content, "imagePath"), _load)


def _field(content: Any, name: str) -> Any:
    return content.get(name) if isinstance(content, dict) else None


def _load(content: Any, image: Path) -> Loaded:
    shapes = objects_in(content, "shapes")
    height, width = (run_length.length(content.get(name)) for name in ("imageHeight", "imageWidth"))
    if height is None or width is None:
        height, width = image_size(image)
    parts, left_out = [], Losses()
    for number, shape in enumerate(shapes):
        label, group = shape.get("label"), shape.get("group_id")
        with about(f"shape {number}"):
            if label in NOBODY:
                left_out[f"shapes labelled {label}"] += 1
                continue
            rle, lost = _drawn(shape, height, width)
        left_out += lost
        if rle is not None:
            parts.append((None if group is None else (str(label), str(group)), rle))
    return Loaded(joined(parts, height, width), left_out)


def _drawn(shape: dict[str, Any], height: int, width: int) -> tuple[Rle | None, Losses]:
    kind, points = shape.get("shape_type") or "polygon", shape.get("points")
    if kind == "mask":
        return _pasted(shape, height, width), Losses()
    if kind not in AREAS:
        return None, Losses({"shapes that are points or lines" if kind in LINES else "shapes of unknown kinds": 1})
    polygon = _corners(points)
    if kind == "rectangle" and len(polygon) == 4:
        left, top, right, bottom = polygon
        polygon = [left, top, right, top, right, bottom, left, bottom]
    elif kind == "circle":
        if len(polygon) != 4:
            raise ValueError("a circle is not two points")
        polygon = _circle(*polygon)
    return draw([polygon], height, width)


def _corners(points: Any) -> list[float]:
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise ValueError("its `points` are not a list of points [x, y]")
    return [value for polygon in polygons_in(points) for value in polygon]


def _circle(x: float, y: float, edge_x: float, edge_y: float) -> list[float]:
    radius = math.hypot(edge_x - x, edge_y - y)
    angles = [2 * math.pi * i / CORNERS for i in range(CORNERS)]
    return [value for angle in angles for value in (x + radius * math.cos(angle), y + radius * math.sin(angle))]


def _pasted(shape: dict[str, Any], height: int, width: int) -> Rle:
    """The mask of a PNG in base64, whose upper left pixel is the first of two points."""
    corners, png = _corners(shape.get("points")), shape.get("mask")
    if len(corners) != 4 or not isinstance(png, str):
        raise ValueError("a mask is not a PNG in base64 with two `points`")
    check_pixels(height, width)
    check_within([corners], height, width)
    left, top = math.floor(corners[0]), math.floor(corners[1])
    box = (math.floor(corners[2]) - left, math.floor(corners[3]) - top)
    with Image.open(BytesIO(b64decode(png))) as image:
        if any(not 0 <= side - across <= 1 for side, across in zip(image.size, box)):
            raise ValueError(f"a mask is {image.width} x {image.height}, its `points` {box[0]} x {box[1]} apart")
        with decoding("Pillow"):
            part = np.asarray(image.convert("L")) > 0
    mask = np.zeros((height, width), bool)
    part = part[max(-top, 0) :, max(-left, 0) :][: max(height - max(top, 0), 0), : max(width - max(left, 0), 0)]
    mask[max(top, 0) :, max(left, 0) :][: part.shape[0], : part.shape[1]] = part
    return run_length.encode(mask)


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Refuse.

    Raises:
        MaskError: always.
    """
    raise MaskError("masks: labelme's JSON is read but not written; write coco instead.")
