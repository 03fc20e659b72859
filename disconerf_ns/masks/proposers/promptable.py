"""Masks by promptable networks such as SAM: everything under a grid of points, or the objects that prompts name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torchvision.ops import nms

from disconerf_ns.errors import MaskError
from disconerf_ns.masks import filters
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.images import read_image
from disconerf_ns.masks.prompts import Prompt
from disconerf_ns.masks.proposers.recipe import Answers, Recipe, follow, shrink
from disconerf_ns.masks.report import FEW
from disconerf_ns.spacing import evenly_spaced

PROBED = 10
"""Number of evenly spaced views by which the granularity of a scene is chosen, if there are as many."""


@runtime_checkable
class Network(Protocol):
    """A network that looks at an image once and then answers prompts, each with a few masks."""

    device: torch.device
    threshold: float
    """Logit above which a pixel belongs to a mask."""
    smaller: str
    """Its name and the way to a smaller one, for people whose memory it does not fit into."""

    def look_at(self, image: UInt8[np.ndarray, "height width 3"]) -> None:
        """Encode an RGB image."""
        ...

    def answer(
        self,
        points: Float[Tensor, "prompts points 2"],
        inside: Int[Tensor, "prompts points"],
        boxes: Float[Tensor, "prompts 4"] | None = None,
    ) -> tuple[Float[Tensor, "prompts answers height width"], Float[Tensor, "prompts answers"]]:
        """Logits of masks at the image's size, and their predicted IoU.

        Args:
            points: (x, y) in pixels of the image.
            inside: 1 for points of the object, 0 for points beside it.
            boxes: (left, top, right, bottom) in pixels.
        """
        ...


class PromptableProposer:
    """Prompts a network and filters its masks."""

    def __init__(self, config: Recipe, network: Network):
        self.config, self.network, self.at_once = config, network, config.points_per_batch

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> ImageMasks:
        """Masks of an RGB image, at the resolution that the network saw."""
        return follow(self.config, image, self.ask)

    @torch.no_grad()
    def ask(self, image: UInt8[np.ndarray, "height width 3"]) -> Answers:
        """The network's distinct masks for a grid of points, the best first.

        Raises:
            MaskError: the network does not fit in memory.
        """
        height, width = image.shape[:2]
        self._look_at(image)
        points = torch.from_numpy(grid(self.config.points_per_side) * (width, height)).to(self.network.device)
        bits, scores = zip(*self._in_batches(points))
        bits, scores = np.concatenate(bits), torch.cat(scores)
        chosen = self._distinct(bits, scores)
        masks = np.unpackbits(bits[chosen], axis=1, count=height * width).reshape(-1, height, width).view(bool)
        predicted_iou, stability, level = scores.cpu().numpy()[chosen, 4:].T
        return Answers(masks, predicted_iou, stability, level.astype(int))

    @torch.no_grad()
    def prompted(self, image: UInt8[np.ndarray, "height width 3"], prompts: Sequence[Prompt]) -> list[Answers]:
        """The network's masks for each prompt that reach the recipe's minimal scores.

        Raises:
            MaskError: the network does not fit in memory.
        """
        image = shrink(image, self.config.very_large, self.config.very_large_scale)
        size = torch.tensor([image.shape[1], image.shape[0]], device=self.network.device)
        self._look_at(image)
        answers = []
        for prompt in prompts:
            points = torch.tensor(prompt.inside + prompt.outside).to(size.device) * size
            inside = torch.tensor([1] * len(prompt.inside) + [0] * len(prompt.outside)).to(size.device)
            box = (torch.tensor(prompt.box).to(size.device).view(2, 2) * size).flatten()
            logits, predicted_iou = self.network.answer(points[None], inside[None], box[None])
            good, masks, scores = self._good(logits[0], predicted_iou[0])
            predicted_iou, stability = scores[good].cpu().numpy().T
            answers.append(Answers(masks.cpu().numpy(), predicted_iou, stability, None))
        return answers

    def _look_at(self, image: UInt8[np.ndarray, "height width 3"]) -> None:
        try:
            self.network.look_at(image)
        except torch.OutOfMemoryError:
            raise self._too_large from None

    @property
    def _too_large(self) -> MaskError:
        return MaskError(f"masks: there is not enough memory for {self.network.smaller}.")

    def _in_batches(self, todo: Float[Tensor, "points 2"]) -> Iterator[tuple[UInt8[np.ndarray, "masks bytes"], Tensor]]:
        """`_answer` for all points; batches become smaller where memory runs out."""
        while len(todo) > 0:
            try:
                answer = self._answer(todo[: self.at_once])
            except torch.OutOfMemoryError:
                if self.at_once == 1:
                    raise self._too_large from None
                self.at_once //= 2
                print(f"masks: memory ran out; the batches now have {self.at_once} points.")
                torch.cuda.empty_cache()
                continue
            todo = todo[self.at_once :]
            yield answer

    def _answer(self, points: Float[Tensor, "points 2"]) -> tuple[UInt8[np.ndarray, "masks bytes"], Tensor]:
        """Masks for points that reach the minimal scores: packed pixels, and (box, predicted IoU, stability, level)."""
        level = self.config.level
        if level == "auto":
            raise ValueError('the level "auto" is not decided; `decide_level` does so for a scene')
        inside = torch.ones(len(points), 1, dtype=torch.int, device=points.device)
        logits, predicted_iou = self.network.answer(points[:, None], inside)
        logits, predicted_iou, level = by_level(logits, predicted_iou, None if level == "all" else level)
        good, masks, scores = self._good(logits, predicted_iou)
        bits = np.packbits(masks.flatten(1).cpu().numpy(), axis=1)
        return bits, torch.cat([boxes_of(masks), scores[good], level[good, None]], 1)

    def _good(
        self, logits: Float[Tensor, "masks height width"], predicted_iou: Float[Tensor, " masks"]
    ) -> tuple[Bool[Tensor, " masks"], Bool[Tensor, "good height width"], Float[Tensor, "masks 2"]]:
        """Which masks reach the minimal scores, these masks, and the scores of all: predicted IoU, stability."""
        threshold = self.network.threshold
        raised, lowered = ((logits > threshold + offset).sum((1, 2)) for offset in (1.0, -1.0))
        stability = raised / lowered
        good = (predicted_iou >= self.config.min_predicted_iou) & (stability >= self.config.min_stability)
        return good, logits[good] > threshold, torch.stack([predicted_iou.float(), stability], 1)

    def _distinct(self, bits: UInt8[np.ndarray, "masks bytes"], scores: Float[Tensor, "masks 7"]) -> np.ndarray:
        """Indices of masks that are no duplicates of better ones, the best first."""
        boxes, quality = scores[:, :4], scores[:, 4]
        if self.config.level != "all":
            return nms(boxes, quality, self.config.max_box_iou).cpu().numpy()
        order = quality.argsort(descending=True, stable=True).cpu().numpy()
        return order[filters.distinct(bits[order], self.config.max_box_iou)]


def decide_level(config: Any, images: Sequence[Path]) -> dict[str, Any]:
    """The level for a scene if it is "auto"; otherwise no values.

    Args:
        config: a recipe that can be set up.
    """
    if config.level != "auto":
        return {}
    proposer, views = config.setup(), [read_image(images[i]) for i in evenly_spaced(len(images), PROBED)]
    for level in (0, 1):
        proposer.config = replace(config, level=level)
        if all(len(proposer(view)) >= FEW for view in views):
            return {"level": level}
    return {"level": 2}


def grid(side: int) -> Float[np.ndarray, "points 2"]:
    """The centres (x, y) of side x side cells of the unit square, row by row."""
    centres = (np.arange(side) + 0.5) / side
    return np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)


def boxes_of(masks: Bool[Tensor, "masks height width"]) -> Float[Tensor, "masks 4"]:
    """First and last column and row (left, top, right, bottom) of each mask; zeros for an empty one."""
    sides = []
    for line in (masks.any(1), masks.any(2)):
        first, last = line.int().argmax(1), line.shape[1] - 1 - line.flip(1).int().argmax(1)
        sides.append(torch.stack([first, last], 1) * line.any(1, keepdim=True))
    (left, right), (top, bottom) = (side.unbind(1) for side in sides)
    return torch.stack([left, top, right, bottom], 1).float()


def by_level(
    logits: Float[Tensor, "points answers height width"],
    predicted_iou: Float[Tensor, "points answers"],
    level: int | None,
) -> tuple[Float[Tensor, "masks height width"], Float[Tensor, " masks"], Float[Tensor, " masks"]]:
    """The masks of one level, or of all levels, with their predicted IoU and level.

    SAM's three masks for a point are meant to be subpart, part and whole, but training does not enforce the order. The
    level is therefore the rank by area among the answers: 0 is the largest.

    Args:
        level: 0, 1 or 2; None for all levels.
    """
    order = (logits > 0).sum((2, 3)).argsort(dim=1, descending=True, stable=True)
    order = order if level is None else order[:, level : level + 1]
    point = torch.arange(len(order), device=order.device)[:, None]
    rank = torch.arange(order.shape[1], device=order.device) + (level or 0)
    return logits[point, order].flatten(0, 1), predicted_iou[point, order].flatten(), rank.float().repeat(len(order))
