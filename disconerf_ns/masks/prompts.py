"""Prompts for objects that a view's masks do not show: pure geometry of a rendered view and the masks stored for it.

An object gets a prompt where enough of it is seen and no mask shows it: none is like its picture, or the mask that is
most like it lies inside and leaves out much of what is surely the object, because the mask was cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from disconerf_ns.masks.image_masks import resample

INSIDE = 0.9
"""Minimum fraction of a mask inside an object's picture, for the mask to show the object or a part of it."""
CUT = 0.25
"""Share of an object's sure pixels that a mask inside the object may leave out at most."""
PIECE = 0.1
"""Share of an object's picture below which a separate piece of it counts for nothing in the box."""
POINTS = 3
"""Points inside the object, at most."""
NEXT_POINT = 0.5
"""Minimum distance of a further point from the border, as a fraction of the first point's distance."""
BESIDE = 2
"""Points on neighbours, at most."""

Point = tuple[float, float]
"""(x, y) as fractions of the image's width and height."""


@dataclass(frozen=True)
class Seen:
    """The objects of one cut that a run sees in a view, as two images of any size."""

    labels: Int[np.ndarray, "h w"]
    """Number of the object that each pixel shows, 0 for none."""
    confidence: Float[np.ndarray, "h w"]
    """In [0, 1]."""


@dataclass(frozen=True)
class PromptCriteria:
    """Which objects get a prompt."""

    shown: float = 0.6
    """Minimum IoU of a stored mask with an object's picture, for the mask to show the object."""
    least_share: float = 0.25
    """Smallest picture of an object, as a fraction of its median picture over all views."""
    least_pixels: int = 40
    """Smallest picture of an object, in rendered pixels."""
    sure: float = 0.5
    """Minimum confidence of a pixel that is surely the object's."""


@dataclass(frozen=True)
class Prompt:
    """An object that the masks of a view do not show, for a network that takes a box and points."""

    object: int
    """Number of the object."""
    box: tuple[float, float, float, float]
    """(left, top, right, bottom) of its picture, as fractions of the image's width and height."""
    inside: tuple[Point, ...]
    """Points of the object, the one furthest from its border first; at least one."""
    outside: tuple[Point, ...]
    """Points of objects beside it in the box."""
    picture: Bool[np.ndarray, "h w"]
    """Its pixels."""
    shown: float
    """IoU of its picture with the stored mask that is most like it, in [0, 1]."""


def usual_sizes(views: Iterable[Seen]) -> dict[int, float]:
    """Median size of every object's picture over the views that see it, as a fraction of the image."""
    sizes = defaultdict(list)
    for view in views:
        for label, count in zip(*np.unique(view.labels, return_counts=True)):
            sizes[int(label)].append(count / view.labels.size)
    return {label: median(shares) for label, shares in sizes.items() if label > 0}


def prompts_of(
    cuts: Sequence[Seen],
    masks: Bool[np.ndarray, "masks height width"],
    looked_at: Bool[np.ndarray, "height width"],
    usual: dict[int, float],
    wanted: PromptCriteria,
) -> tuple[Prompt, ...]:
    """Prompts for the objects of a view that its masks do not show, one for each.

    Args:
        cuts: what the run sees in the view as objects of one size or of several, the same object by the same number.
        masks: the stored masks, at the size of the labels.
        looked_at: pixels in which masks could be.
        usual: sizes of the objects' pictures, see `usual_sizes`.
    """
    found: dict[int, Prompt] = {}
    for view in cuts:
        for prompt in _prompts_of_cut(view, masks, looked_at, usual, wanted):
            found.setdefault(prompt.object, prompt)
    return tuple(found.values())


def _prompts_of_cut(
    view: Seen,
    masks: Bool[np.ndarray, "masks height width"],
    looked_at: Bool[np.ndarray, "height width"],
    usual: dict[int, float],
    wanted: PromptCriteria,
) -> Iterator[Prompt]:
    labels = np.where(looked_at, view.labels, 0)
    sure = view.confidence >= wanted.sure
    for label in np.unique(labels[labels > 0]).tolist():
        picture = labels == label
        least = max(wanted.least_pixels, wanted.least_share * usual[label] * picture.size)
        if picture.sum() < least or not (picture & sure).any():
            continue
        iou = ious(picture, masks & looked_at)
        best = int(iou.argmax()) if len(iou) else None
        shown = 0.0 if best is None else float(iou[best])
        if best is not None and shown >= wanted.shown and not is_cut(masks[best] & looked_at, picture, picture & sure):
            continue
        box = box_of(picture)
        others = (labels > 0) & ~picture & sure & within(box, picture.shape)
        scale = np.array(picture.shape[::-1], dtype=float)
        yield Prompt(
            label,
            tuple((np.array(box).reshape(2, 2) / scale).ravel().tolist()),
            deep_points(picture & sure, POINTS, scale),
            beside(labels, others, scale),
            picture,
            shown,
        )


def ious(picture: Bool[np.ndarray, "h w"], masks: Bool[np.ndarray, "masks h w"]) -> Float[np.ndarray, " masks"]:
    """IoU of a picture with each mask."""
    shared, either = (picture & masks).sum((1, 2)), (picture | masks).sum((1, 2))
    return shared / np.maximum(either, 1)


def is_cut(mask: Bool[np.ndarray, "h w"], picture: Bool[np.ndarray, "h w"], sure: Bool[np.ndarray, "h w"]) -> bool:
    """Whether a mask shows only a part of an object: it lies inside, and much of what is surely the object outside."""
    return bool((mask & picture).sum() >= INSIDE * mask.sum() and (sure & ~mask).sum() > CUT * sure.sum())


def box_of(picture: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a picture's pieces without strays, in pixels; right and bottom lie beyond it."""
    _, pieces = cv2.connectedComponents(picture.astype(np.uint8), connectivity=8)
    sizes = np.bincount(pieces.ravel())
    kept = (sizes >= min(PIECE * picture.sum(), sizes[1:].max()))[pieces] & picture
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def within(box: tuple[int, int, int, int], shape: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    """The pixels of a box."""
    left, top, right, bottom = box
    inside = np.zeros(shape, dtype=bool)
    inside[top:bottom, left:right] = True
    return inside


def deep_points(picture: Bool[np.ndarray, "h w"], most: int, scale: Float[np.ndarray, "2"]) -> tuple[Point, ...]:
    """Points far from the border of a picture and from each other.

    The first one has the largest distance d from the border. The others are found in the same way outside of the disks
    of the points before them, whose radii are these points' distances, while their own distance is at least d / 2.

    Args:
        scale: the image's width and height, by which the points are divided.
    """
    left, points, first = picture.copy(), [], None
    rows, columns = np.indices(picture.shape)
    while len(points) < most and left.any():
        padded = np.pad(left, 1).astype(np.uint8)
        depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        deepest = float(depth[row, column])
        first = first or deepest
        if deepest < NEXT_POINT * first:
            break
        points.append(tuple((np.array([column + 0.5, row + 0.5]) / scale).tolist()))
        left &= np.hypot(rows - row, columns - column) > deepest
    return tuple(points)


def beside(
    labels: Int[np.ndarray, "h w"], others: Bool[np.ndarray, "h w"], scale: Float[np.ndarray, "2"]
) -> tuple[Point, ...]:
    """The deepest point of each of the largest neighbours, at most `BESIDE`."""
    sizes = np.bincount(labels[others])
    largest = np.argsort(-sizes, kind="stable")[:BESIDE]
    return tuple(deep_points(others & (labels == label), 1, scale)[0] for label in largest.tolist() if sizes[label] > 0)


def at_size(mask: Bool[np.ndarray, "height width"], shape: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    """A mask at another size, by nearest neighbour at pixel centres."""
    return np.ascontiguousarray(resample(mask, *shape))
