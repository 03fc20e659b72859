"""DiscoNeRF's recipe (section 7.1) for promptable models: the crops that they see and the masks that are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from disconerf_ns.masks import filters
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.ranges import check_ranges


@dataclass
class Recipe:
    """Options of proposers with a promptable model; the defaults are the paper's."""

    crops: Literal["centre", "two", "none"] = "centre"
    """Crops that the model looks at, because SAM is made for squares: "centre" is the largest square in the middle, as
    in the paper; "two" is such a square at each end of the longer side; "none" is the whole image. Pixels outside the
    crops take part in no loss."""
    very_large: int = 2000
    """Images with more than this many pixels on the longer side are shrunk first."""
    very_large_scale: float = 0.25
    """Factor by which such images are shrunk."""
    min_predicted_iou: float = 0.70
    """Smallest quality of a mask (IoU), as the model predicts it."""
    min_stability: float = 0.70
    """Smallest stability of a mask: the IoU of its versions at a slightly raised and a slightly lowered threshold."""
    max_box_iou: float = 0.70
    """Largest IoU of two masks' boxes; above it, only the mask with the higher predicted IoU is kept."""
    drop_contained: bool = True
    """Drop masks that lie inside another mask."""
    contained_share: float = 0.95
    """A mask lies inside another mask that covers at least this fraction of it."""
    min_area: float = 0.03
    """Smallest area of a mask, as a fraction of its crop."""
    dilate: int = 5
    """Grow each mask by this many pixels."""
    points_per_side: int = 32
    """Prompt points along each side of the grid."""
    points_per_batch: int = 64
    """Prompt points per batch; smaller batches need less memory."""
    half: bool = False
    """Run the model's image encoder in half precision (CUDA only)."""
    device: str = "auto"
    """Device of the model; "auto" is CUDA if it is available, otherwise the CPU."""

    def __post_init__(self):
        fraction, count, any_number = (0, 1), (1, math.inf), (-math.inf, math.inf)
        check_ranges(
            self, very_large=count, very_large_scale=(1e-3, 1), min_predicted_iou=any_number, min_stability=any_number,
            max_box_iou=fraction, contained_share=fraction, min_area=(0, math.inf), dilate=(0, math.inf),
            points_per_side=count, points_per_batch=count,
        )  # fmt: skip


@dataclass
class Answers:
    """A model's masks of an image or a crop, with their scores; None for scores that the model does not give."""

    masks: np.ndarray
    """(K, H, W), bool."""
    predicted_iou: np.ndarray
    """(K,), see `Mask.predicted_iou`."""
    stability_score: np.ndarray | None
    """(K,), see `Mask.stability_score`."""
    level: np.ndarray | None
    """(K,), see `Mask.level`."""

    @classmethod
    def join(cls, parts: list[Answers]) -> Answers:
        """Concatenate answers about crops of one image, padded to the image's size."""
        masks = np.concatenate([part.masks for part in parts])
        predicted_iou = np.concatenate([part.predicted_iou for part in parts])
        columns = zip(*((part.stability_score, part.level) for part in parts))
        optional = (None if column[0] is None else np.concatenate(column) for column in columns)
        return cls(masks, predicted_iou, *optional)

    def __getitem__(self, chosen: Bool[np.ndarray, " masks"]) -> Answers:
        """The masks at some indices."""
        optional = (None if column is None else column[chosen] for column in (self.stability_score, self.level))
        return Answers(self.masks[chosen], self.predicted_iou[chosen], *optional)


def follow(
    recipe: Recipe, image: UInt8[np.ndarray, "height width 3"], ask: Callable[[UInt8[np.ndarray, "h w 3"]], Answers]
) -> ImageMasks:
    """Masks of an RGB image by the recipe, at the resolution that the model saw.

    Args:
        ask: returns the model's distinct masks of a crop, the best first.
    """
    image = shrink(image, recipe.very_large, recipe.very_large_scale)
    height, width = image.shape[:2]
    looked_at, parts = np.zeros((height, width), dtype=bool), []
    for crop in filters.crops(height, width, recipe.crops):
        looked_at[crop] = True
        part = ask(np.ascontiguousarray(image[crop]))
        large = part[filters.large_enough(part.masks, recipe.min_area)]
        parts.append(replace(large, masks=filters.uncrop(large.masks, crop, height, width)))
    answers = Answers.join(parts)
    if recipe.drop_contained:
        answers = answers[filters.not_contained(answers.masks, recipe.contained_share)]
    return ImageMasks.from_arrays(
        filters.dilate(answers.masks, recipe.dilate) & looked_at,
        predicted_iou=answers.predicted_iou.tolist(),
        stability_score=None if answers.stability_score is None else answers.stability_score.tolist(),
        level=None if answers.level is None else answers.level.tolist(),
        looked_at=None if looked_at.all() else looked_at,
    )


def shrink(image: UInt8[np.ndarray, "height width 3"], very_large: int, scale: float) -> UInt8[np.ndarray, "h w 3"]:
    """The image, scaled down by area averaging if its longer side exceeds `very_large` pixels."""
    height, width = image.shape[:2]
    if max(height, width) <= very_large:
        return image
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
