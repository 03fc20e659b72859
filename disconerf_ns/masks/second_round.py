"""A second round: masks of the objects that a run found, for the views whose masks do not show them.

A trained run knows where an object is in every view. A promptable network is asked for the object there, and its mask
joins the stored ones if it is more like the run's picture of the object than any of them. The picture itself never
becomes a mask: what is learned next comes from the photograph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from disconerf_ns.masks import filters
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.making import Job
from disconerf_ns.masks.prompts import Prompt, at_size, ious
from disconerf_ns.masks.proposers.recipe import Answers

LIKE = 0.75
"""IoU of a new mask with the run's picture of the object, at least: a wrong mask harms, a missing one hardly does."""
FIRST_NEW = "first_new"
"""Entry of a file's `image`: the number of its first mask of the second round; the masks before it are the old ones."""


@runtime_checkable
class Prompted(Protocol):
    """Finds the objects in a photograph that prompts name."""

    def prompted(self, image: UInt8[np.ndarray, "height width 3"], prompts: Sequence[Prompt]) -> Iterable[Answers]:
        """Masks for each prompt, none or several, at one size; only those of which it thinks well."""
        ...


@dataclass(frozen=True)
class Refinement(Job):
    """An image whose masks are to be completed."""

    stored: ImageMasks
    prompts: tuple[Prompt, ...]
    dilate: int = 0
    """Pixels by which new masks grow."""

    def facts(self) -> dict[str, Any]:
        """Where the new masks begin."""
        return {FIRST_NEW: len(self.stored)}

    def masks(self, proposer: Prompted, image: UInt8[np.ndarray, "height width 3"]) -> ImageMasks:
        """The stored masks, and behind them the new ones."""
        if not self.prompts:
            return self.stored
        return completed(self.stored, self.prompts, proposer.prompted(image, self.prompts), self.dilate)


def completed(stored: ImageMasks, prompts: Sequence[Prompt], answers: Iterable[Answers], dilate: int = 0) -> ImageMasks:
    """The stored masks of a view, and behind them the best answer to each prompt, if it is good enough.

    An answer is good enough if its IoU with the picture of the object is at least `LIKE`, and larger than that of every
    stored mask.
    """
    new = []
    for prompt, answer in zip(prompts, answers, strict=True):
        if len(answer.masks) == 0:
            continue
        seen = np.stack([at_size(mask, prompt.picture.shape) for mask in answer.masks])
        iou = ious(prompt.picture, seen)
        best = int(iou.argmax())
        if iou[best] >= LIKE and iou[best] > prompt.shown:
            new.append(answer[np.array([best])])
    if not new:
        return stored
    joined, looked_at = Answers.join(new), stored.decode_looked_at()
    grown = filters.dilate(joined.masks, dilate)
    fitted = np.stack([at_size(mask, (stored.height, stored.width)) for mask in grown]) & looked_at
    scores = joined.predicted_iou.tolist(), None if joined.stability_score is None else joined.stability_score.tolist()
    return replace(stored, annotations=(*stored.annotations, *ImageMasks.from_arrays(fitted, *scores).annotations))
