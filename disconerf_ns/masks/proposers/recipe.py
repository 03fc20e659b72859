"""DiscoNeRF's recipe (section 7.1) for promptable models: the crops that they see and the masks that are kept.

The recipe keeps one size of objects, because its slots are matched with masks of one size. With the level "all" the
whole, its parts and their parts are kept together: they are no rivals there, and only duplicates are dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Shaped, UInt8

from disconerf_ns.masks import filters
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.options import ANY, COUNT, FRACTION, SIDE, WEIGHT, Range, check_options

Level = Literal["all", "auto", 0, 1, 2]
"""Granularity of masks, see `Recipe.level`."""
LEVEL: Level | None = None
"""Granularity of new sets of masks."""


class Filters(NamedTuple):
    """Steps of the recipe for distinct masks."""

    drop_contained: bool
    min_area: float
    dilate: int


ONE_SIZE = Filters(drop_contained=True, min_area=0.03, dilate=5)
"""The paper's filters, which leave masks of about one size."""
ALL_SIZES = Filters(drop_contained=False, min_area=0.001, dilate=0)
"""Filters that leave parts beside their wholes; a small part would be another shape if it grew."""
MACHINE = ("points_per_batch", "half", "device")
"""Options that do not determine the masks."""


@dataclass
class Recipe:
    """Options of proposers with a promptable model; the defaults are the paper's."""

    level: Level | None = LEVEL
    """Granularity. "all" keeps the whole, its parts and their parts together. None lets them compete: a mask inside
    another one is dropped. 0, 1 and 2 keep the largest, middle or smallest of the three masks of a point. "auto"
    chooses, as in the paper, the coarsest level that gives at least 5 masks in each of ten views."""

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
    """Largest IoU of two masks' boxes, or of the masks themselves with the level "all", because a part may fill the box
    of its whole; above it, only the mask with the higher predicted IoU is kept."""
    drop_contained: bool | None = None
    """Drop masks that lie inside another mask; by default unless the level is "all"."""
    contained_share: float = 0.95
    """A mask lies inside another mask that covers at least this fraction of it."""
    min_area: float | None = None
    """Smallest area of a mask, as a fraction of its crop; by default 0.03, or 0.001 with the level "all"."""
    dilate: int | None = None
    """Grow each mask by this many pixels; by default 5, or 0 with the level "all"."""
    points_per_side: int = 32
    """Prompt points along each side of the grid."""
    points_per_batch: int = 64
    """Prompt points per batch; smaller batches need less memory."""
    half: bool = False
    """Run the model's image encoder in half precision (CUDA only)."""
    device: str = "auto"
    """Device of the model; "auto" is CUDA if it is available, otherwise the CPU."""

    def __post_init__(self):
        check_options(
            "masks", self, very_large=COUNT, very_large_scale=Range(1e-3, 1), min_predicted_iou=ANY, min_stability=ANY,
            max_box_iou=FRACTION, contained_share=FRACTION, points_per_side=Range(1, 1_024), points_per_batch=COUNT,
            min_area=WEIGHT, dilate=Range(0, SIDE.high),
        )  # fmt: skip

    @property
    def filters(self) -> Filters:
        """Filters as they are set, or as the level asks for."""
        chosen = {name: getattr(self, name) for name in Filters._fields if getattr(self, name) is not None}
        return (ALL_SIZES if self.level == "all" else ONE_SIZE)._replace(**chosen)

    def recipe(self) -> dict[str, Any]:
        """The options that determine the masks, without those that depend on the machine."""
        options = asdict(self) | self.filters._asdict()
        return {name: value for name, value in options.items() if name not in MACHINE}


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

    def __getitem__(self, chosen: Shaped[np.ndarray, "_"]) -> Answers:
        """Some masks: those at indices, or those where a condition is true."""
        optional = (None if column is None else column[chosen] for column in (self.stability_score, self.level))
        return Answers(self.masks[chosen], self.predicted_iou[chosen], *optional)


def follow(
    recipe: Recipe, image: UInt8[np.ndarray, "height width 3"], ask: Callable[[UInt8[np.ndarray, "h w 3"]], Answers]
) -> ImageMasks:
    """Masks of an RGB image by the recipe, at the resolution that the model saw.

    Args:
        ask: returns the model's distinct masks of a crop, the best first.
    """
    image, kept = shrink(image, recipe.very_large, recipe.very_large_scale), recipe.filters
    height, width = image.shape[:2]
    looked_at, parts = np.zeros((height, width), dtype=bool), []
    for crop in filters.crops(height, width, recipe.crops):
        looked_at[crop] = True
        part = ask(np.ascontiguousarray(image[crop]))
        large = part[filters.large_enough(part.masks, kept.min_area)]
        parts.append(replace(large, masks=filters.uncrop(large.masks, crop, height, width)))
    answers = Answers.join(parts)
    if recipe.level == "all" and len(parts) > 1:
        answers = answers[np.argsort(-answers.predicted_iou, kind="stable")]
        answers = answers[filters.distinct(filters.packed(answers.masks), recipe.max_box_iou)]
    if kept.drop_contained:
        answers = answers[filters.not_contained(answers.masks, recipe.contained_share)]
    return ImageMasks.from_arrays(
        filters.dilate(answers.masks, kept.dilate) & looked_at,
        predicted_iou=answers.predicted_iou.tolist(),
        stability_score=None if answers.stability_score is None else answers.stability_score.tolist(),
        level=None if answers.level is None else answers.level.tolist(),
        looked_at=None if looked_at.all() else looked_at,
    )


def device_of(recipe: Recipe) -> str:
    """The device of the model."""
    if recipe.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return recipe.device


def shrink(image: UInt8[np.ndarray, "height width 3"], very_large: int, scale: float) -> UInt8[np.ndarray, "h w 3"]:
    """The image, scaled down by area averaging if its longer side exceeds `very_large` pixels."""
    height, width = image.shape[:2]
    if max(height, width) <= very_large:
        return image
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
