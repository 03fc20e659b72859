"""The recipe of DiscoNeRF (section 7.1) for promptable models: what they look at, and which of their masks are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from disconerf_ns.masks import filters
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.ranges import check_ranges


@dataclass
class Recipe:
    """Options that such proposers share, with the paper's values."""

    crops: Literal["centre", "two", "none"] = "centre"
    """What is looked at, because SAM is made for squares: the largest square in the middle of the image, as in the
    paper; two of them, at both ends of the longer side; or the image as it is. The rest takes part in no loss."""
    very_large: int = 2000
    """Images with a longer side of more pixels than this are shrunk first."""
    very_large_scale: float = 0.25
    """What very large images are shrunk to."""
    min_predicted_iou: float = 0.70
    """Least quality of a mask by the model's own estimate."""
    min_stability: float = 0.70
    """Least IoU of a mask cut out at a threshold a little higher and a little lower."""
    max_box_iou: float = 0.70
    """Of masks whose boxes overlap by more than this (IoU), the one with the best predicted IoU stays."""
    drop_contained: bool = True
    """Drop masks that lie inside another."""
    contained_share: float = 0.95
    """A mask lies inside another that covers at least this share of it."""
    min_area: float = 0.03
    """Least area of a mask, as a fraction of the pixels of its crop."""
    dilate: int = 5
    """Grow every mask by this many pixels."""
    points_per_side: int = 32
    """Points of the grid along each side."""
    points_per_batch: int = 64
    """Points put to the model at once; fewer take less memory."""
    half: bool = False
    """Run the model's image encoder in half precision (CUDA only)."""
    device: str = "auto"
    """Where the model runs: "auto" is CUDA where there is one."""

    def __post_init__(self):
        share, pixels, any_number = (0, 1), (1, math.inf), (-math.inf, math.inf)
        check_ranges(
            self, very_large=pixels, very_large_scale=(1e-3, 1), min_predicted_iou=any_number, min_stability=any_number,
            max_box_iou=share, contained_share=share, min_area=(0, math.inf), dilate=(0, math.inf),
            points_per_side=pixels, points_per_batch=pixels,
        )  # fmt: skip


@dataclass
class Answers:
    """A model's masks of one image, each with its scores."""

    masks: np.ndarray
    """(K, H, W), bool."""
    predicted_iou: np.ndarray
    stability_score: np.ndarray | None
    level: np.ndarray | None

    @classmethod
    def join(cls, parts: list[Answers]) -> Answers:
        """All of the answers."""
        names = ("masks", "predicted_iou", "stability_score", "level")
        columns = ([getattr(part, name) for part in parts] for name in names)
        return cls(*(None if column[0] is None else np.concatenate(column) for column in columns))


def follow(
    recipe: Recipe, image: UInt8[np.ndarray, "height width 3"], ask: Callable[[UInt8[np.ndarray, "h w 3"]], Answers]
) -> ImageMasks:
    """Masks of an RGB image, at the resolution that the model saw.

    Args:
        ask: gives a model's distinct masks of a crop, the best first.
    """
    image = shrink(image, recipe.very_large, recipe.very_large_scale)
    height, width = image.shape[:2]
    looked_at, parts = np.zeros((height, width), dtype=bool), []
    for crop in filters.crops(height, width, recipe.crops):
        looked_at[crop] = True
        found = ask(np.ascontiguousarray(image[crop]))
        large = filters.large_enough(found.masks, recipe.min_area)
        scores = (None if v is None else v[large] for v in (found.predicted_iou, found.stability_score, found.level))
        parts.append(Answers(filters.uncrop(found.masks[large], crop, height, width), *scores))
    every = Answers.join(parts)
    keep = np.ones(len(every.masks), bool)
    if recipe.drop_contained:
        keep = filters.not_contained(every.masks, recipe.contained_share)
    return ImageMasks.from_arrays(
        filters.dilate(every.masks[keep], recipe.dilate) & looked_at,
        predicted_iou=every.predicted_iou[keep].tolist(),
        stability_score=None if every.stability_score is None else every.stability_score[keep].tolist(),
        level=None if every.level is None else every.level[keep].tolist(),
        looked_at=None if looked_at.all() else looked_at,
    )


def shrink(image: UInt8[np.ndarray, "height width 3"], very_large: int, scale: float) -> UInt8[np.ndarray, "h w 3"]:
    """The image, scaled down by area averaging if its longer side exceeds `very_large` pixels."""
    height, width = image.shape[:2]
    if max(height, width) <= very_large:
        return image
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
