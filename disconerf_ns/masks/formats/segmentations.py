"""The `segmentation` of an annotation as RLE, whether a program writes it as RLE, as polygons or as rows of pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks import sa1b
from disconerf_ns.masks.formats.format import Loaded, Losses
from disconerf_ns.masks.image_masks import ImageMasks, Mask
from disconerf_ns.masks.opening import check_pixels
from disconerf_ns.masks.rle import Rle

MARGIN_PIXELS, MARGIN = 2, 0.01
"""Polygons may reach beyond their image by this many pixels, or by this share of its side if that is more. They are cut
at the edge; polygons that reach further are for an image of another size."""
BARE = "annotations without a segmentation"
STRAY = "polygons of fewer than three points"
INVISIBLE = "polygons that cover no pixel"
Polygon = list[float]
"""Coordinates x, y, x, y, ... in pixels; 0, 0 is the corner of the image."""


def masks_of(annotations: Iterable[dict[str, Any]], height: int, width: int, looked_at: Any = None) -> Loaded:
    """The masks of an image's annotations, and the number of annotations and polygons that give none.

    Raises:
        ValueError: an annotation is broken; names it and the fault.
    """
    drawn, left_out = [], Losses()
    for number, annotation in enumerate(annotations):
        name = f"annotation {number}" + (f" (id {annotation['id']})" if type(annotation.get("id")) is int else "")
        with about(name):
            rle, lost = to_rle(annotation.get("segmentation"), height, width)
        left_out += lost
        if rle is not None:
            drawn.append({**annotation, "segmentation": rle})
    record = {"image": {"height": height, "width": width}, "annotations": drawn, "looked_at": looked_at}
    return Loaded(sa1b.parse(record), left_out)


def to_rle(segmentation: Any, height: int, width: int) -> tuple[Rle | None, Losses]:
    """The mask of a segmentation in an image of this size, and what of it was left out; None if nothing gives a mask.

    Raises:
        ValueError: the segmentation is broken, or its polygons are for an image of another size.
    """
    if not segmentation:
        return None, Losses({BARE: 1})
    if not isinstance(segmentation, list):
        return sa1b.sized(segmentation, [height, width]), Losses()
    if _rows(segmentation) == [height, width]:
        return run_length.encode(np.array(segmentation) != 0), Losses()
    return draw(polygons_in(segmentation), height, width)


def size_of(segmentation: Any) -> list[int] | None:
    """[height, width] of a segmentation; None if it does not say its size, as polygons do not.

    Raises:
        ValueError: RLE whose size is broken.
    """
    return run_length.size_of(segmentation) if isinstance(segmentation, dict) else _rows(segmentation)


def _rows(segmentation: Any) -> list[int] | None:
    """[height, width] of rows of pixels that are 0 or 1 or 255, or booleans; None if these are no such rows."""
    if not isinstance(segmentation, list) or not segmentation or not isinstance(segmentation[0], list):
        return None
    width = len(segmentation[0])
    if not all(isinstance(row, list) and len(row) == width for row in segmentation):
        return None
    binary = all(type(value) in (bool, int) and value in (0, 1, 255) for row in segmentation for value in row)
    return [len(segmentation), width] if binary and width else None


def polygons_in(segmentation: list[Any]) -> list[Polygon]:
    """The polygons of a list of polygons, or of a single one; a polygon is x, y, x, y, ... or a list of points [x, y].

    Raises:
        ValueError: a polygon is something else.
    """
    nested = [isinstance(part, list) for part in segmentation]
    points = len(segmentation) >= 3 and all(nested) and all(len(part) == 2 for part in segmentation)
    if not any(nested) or (points and not any(isinstance(part[0], list) for part in segmentation)):
        return [_polygon(segmentation)]
    if not all(nested):
        raise ValueError("a polygon is not a list x, y, x, y, ...")
    return [_polygon(part) for part in segmentation]


def _polygon(coordinates: list[Any]) -> Polygon:
    values = [value for point in coordinates for value in (point if isinstance(point, list) else [point])]
    numbers = [run_length.number(value) for value in values]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        raise ValueError("a polygon has coordinates that are not finite numbers")
    if len(known) % 2:
        raise ValueError("a polygon is not a list x, y, x, y, ..., as its length is odd")
    return known


def draw(polygons: list[Polygon], height: int, width: int) -> tuple[Rle | None, Losses]:
    """The union of polygons as pycocotools draws it, and the number of those that are none; None if no pixel is left.

    Raises:
        ValueError: the image is too large, or polygons reach beyond it.
    """
    check_pixels(height, width)
    areas = [polygon for polygon in polygons if len(polygon) >= 6]
    stray = +Losses({STRAY: len(polygons) - len(areas)})
    check_within(areas, height, width)
    rle = run_length.draw(areas, height, width) if areas else None
    if rle is not None and not run_length.area(rle):
        return None, stray + Losses({INVISIBLE: len(areas)})
    return rle, stray


def check_within(polygons: list[Polygon], height: int, width: int) -> None:
    """Check that polygons lie in an image, up to the margin.

    Raises:
        ValueError: one lies further beyond.
    """
    furthest = beyond(polygons, height, width)
    if furthest is not None:
        raise ValueError(
            f"polygons reach beyond the image, to {furthest[0]:g} of {furthest[1]}, as if they were drawn on one of "
            "another size"
        )


def beyond(polygons: list[Polygon], height: int, width: int) -> tuple[float, int] | None:
    """The coordinate that lies furthest beyond an image, and the side that it should lie within.

    Returns:
        None if all lie in the image, or beyond it by no more than the margin.
    """
    found = None
    furthest = 0.0
    for axis, side in enumerate((width, height)):
        margin = max(MARGIN_PIXELS, MARGIN * side)
        for polygon in polygons:
            for value in (min(polygon[axis::2]), max(polygon[axis::2])):
                excess = max(-value, value - side) - margin
                if excess > furthest:
                    found, furthest = (value, side), excess
    return found


def joined(parts: Iterable[tuple[Hashable, Rle]], height: int, width: int) -> ImageMasks:
    """One mask for each object of an image.

    Args:
        parts: the object of each part, and its mask; a part of the object None is an object of its own.
    """
    objects: dict[Hashable, list[Rle]] = defaultdict(list)
    for number, (name, rle) in enumerate(parts):
        objects[(number,) if name is None else (name, None)].append(rle)
    return ImageMasks(height, width, tuple(Mask.from_rle(run_length.union(rles)) for rles in objects.values()))


@contextmanager
def about(what: str) -> Iterator[None]:
    """Begin the message of a ValueError with the place of the fault."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
