"""COCO's run-length encoding (RLE) of masks, and a check that RLE from a file is safe to decode.

A mask is stored as the lengths of its runs in column-major order, zeros first. COCO writes each length in base 32:
5 bits per character, offset 48, and bit 6 is set if the number continues. The fourth and later lengths are written as
differences to the length two before. pycocotools' decoder reads past the end of a string that ends within a number, so
`checked` must refuse such strings first.
"""

from __future__ import annotations

import sys
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Bool, Int, Integer
from pycocotools import mask

from disconerf_ns.masks.opening import MOST_PIXELS, check_pixels

coco: Any = mask
"""pycocotools, whose stubs know counts neither as text alone nor as a list."""


class Rle(TypedDict):
    """A run-length encoded mask in pycocotools' form."""

    size: list[int]
    """[height, width]."""
    counts: str
    """Run lengths as a string of COCO's characters."""


def encode(mask: Bool[np.ndarray, "height width"]) -> Rle:
    """The RLE of a mask."""
    return _with_text(coco.encode(np.asfortranarray(mask, dtype=np.uint8)))


def partition(labels: Integer[np.ndarray, "height width"]) -> dict[int, Rle]:
    """The RLE of each number of a label map, in ascending order, in one pass over the pixels.

    A run of a number in column-major order is a run of its mask; the zeros before it begin where its last one ended.
    """
    height, width = labels.shape
    column_major = labels.ravel(order="F")
    starts = np.flatnonzero(np.r_[True, column_major[1:] != column_major[:-1]])[: column_major.size]
    ends = np.r_[starts[1:], column_major.size]
    numbers = column_major[starts]
    order = np.argsort(numbers, kind="stable")
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    rles = {}
    for runs in np.split(order, cuts) if len(order) else ():
        edges = np.stack([starts[runs], ends[runs]], 1).ravel()
        counts = np.trim_zeros(np.diff(np.r_[0, edges, column_major.size]), "b")
        rle = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
        rles[int(numbers[runs[0]])] = _with_text(rle)
    return rles


def draw(polygons: list[list[int | float]], height: int, width: int) -> Rle:
    """The RLE of the union of polygons x, y, x, y, ..., as pycocotools draws it."""
    return _with_text(coco.merge(coco.frPyObjects(polygons, height, width)))


def _with_text(rle: dict[str, Any]) -> Rle:
    """An RLE of pycocotools, whose counts are bytes."""
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode(rle: Rle) -> Bool[np.ndarray, "height width"]:
    """The mask of a valid RLE (from `encode` or `checked`), column-major in memory."""
    return coco.decode(rle).view(bool)


def area(rle: Rle) -> int:
    """Number of pixels of the mask."""
    return int(coco.area(rle))


def union_area(rles: list[Rle]) -> int:
    """Number of pixels that at least one of an image's masks covers."""
    return int(coco.area(coco.merge(rles))) if rles else 0


def union(rles: list[Rle]) -> Rle:
    """The RLE of the pixels that at least one of an image's masks covers; there is at least one mask."""
    return _with_text(coco.merge(rles))


def bounding_box(rle: Rle) -> tuple[float, float, float, float]:
    """(x, y, width, height) of the smallest box around the mask, in pixels; zeros for an empty mask."""
    return tuple(coco.toBbox(rle).tolist())


def checked(segmentation: Any) -> Rle:
    """The RLE of a COCO `segmentation` entry, safe to decode.

    Args:
        segmentation: `{"size": [height, width], "counts": ...}`; the counts are a string, also as Python prints bytes
            (`"b'...'"`), or a list of run lengths. Sizes may be written as 256.0 or "256".
    Raises:
        ValueError: the entry has another form, or its runs do not add up to height x width; says what is wrong.
    """
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ValueError("a segmentation is not RLE with `size` and `counts`")
    counts = segmentation["counts"]
    height, width = size = size_of(segmentation)
    check_pixels(height, width)

    if isinstance(counts, str):
        counts = _unprinted(counts)
        runs = run_lengths(counts)
    elif isinstance(counts, list) and all(type(run) is int and 0 <= run <= MOST_PIXELS for run in counts):
        runs = np.array(counts, dtype=np.int64)
    else:
        raise ValueError("RLE counts are neither a string nor a list of run lengths")
    if len(runs) == 0 or runs.min() < 0 or int(runs.sum()) != height * width:
        raise ValueError(f"RLE counts do not add up to {height} x {width} pixels")

    if isinstance(counts, list):
        return _with_text(coco.frPyObjects({"size": size, "counts": counts}, height, width))
    return {"size": size, "counts": counts}


def size_of(segmentation: dict[str, Any]) -> list[int]:
    """[height, width] of an RLE entry.

    Raises:
        ValueError: its `size` has another form.
    """
    size = segmentation.get("size")
    sides = [length(side) for side in size] if isinstance(size, list) else []
    known = [side for side in sides if side is not None]
    if not len(sides) == len(known) == 2:
        raise ValueError(f"RLE size {_short(size)} is not [height, width]")
    return known


def _unprinted(counts: str) -> str:
    """Counts without the `b'...'` and the doubled backslashes of printed bytes."""
    printed = counts[:2] in ("b'", 'b"') and len(counts) > 2 and counts[-1] == counts[1]
    return counts[2:-1].replace("\\\\", "\\") if printed else counts


def run_lengths(counts: str) -> Int[np.ndarray, " runs"]:
    """Decode a string of COCO's characters to run lengths; a negative length means that the string is no valid RLE.

    Raises:
        ValueError: the string has characters that COCO does not use, or ends within a number.
    """
    codes = np.frombuffer(counts.encode("utf-8"), dtype=np.uint8).astype(np.int64) - 48
    if len(codes) == 0:
        return codes
    if codes.min() < 0 or codes.max() > 63:
        raise ValueError("RLE counts have characters that are not COCO's")
    ends = codes & 32 == 0
    if not ends[-1]:
        raise ValueError("RLE counts break off within a number")

    starts = np.flatnonzero(np.r_[True, ends[:-1]])
    lengths = np.diff(np.r_[starts, len(codes)])
    if lengths.max() > 7:
        raise ValueError("RLE counts hold a number beyond 32 bits")
    digit = np.arange(len(codes)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((codes & 31) << (5 * digit), starts)
    negative = codes[ends] & 16 != 0
    numbers -= np.where(negative, 1 << (5 * lengths), 0)

    runs = numbers
    runs[1::2] = np.cumsum(numbers[1::2])
    runs[2::2] = np.cumsum(numbers[2::2])
    return runs


def length(value: Any) -> int | None:
    """A side in pixels that a JSON file gives as 256, 256.0 or "256"; None if it is none."""
    side = number(value)
    return int(side) if side is not None and 0 < side < 2**32 and side == int(side) else None


def number(value: Any) -> float | None:
    """A finite number that a JSON file gives as a number or as text; None if it is none."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if is_number(value) else None


def is_number(value: Any) -> bool:
    """Whether a value from a JSON file is a number that a float can hold: neither NaN nor infinite nor larger."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
