"""Masks by Segment Anything (SAM), with the recipe of DiscoNeRF (section 7.1).

SAM is prompted with a grid of points and answers each point with three nested masks. segment-anything's own automatic
generator mixes them; here each mask keeps its level, so that a scene can be taken apart at one granularity.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from disconerf_ns.errors import MaskError, reason
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.images import read_image
from disconerf_ns.masks.proposers.recipe import Answers, Recipe, follow
from disconerf_ns.masks.report import FEW

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

WEIGHTS = "https://dl.fbaipublicfiles.com/segment_anything"
CHECKPOINTS = {"vit_h": "sam_vit_h_4b8939.pth", "vit_l": "sam_vit_l_0b3195.pth", "vit_b": "sam_vit_b_01ec64.pth"}

PROBED = 10
"""Number of evenly spaced views by which the granularity of a scene is chosen."""

TOO_LARGE = "masks: there is not enough memory for SAM {model}; choose a smaller model with --model."

_log = logging.getLogger(__name__)


@dataclass
class SamConfig(Recipe):
    """Segment Anything's masks, with the paper's recipe; needs SAM's weights."""

    sam_checkpoint: Path | None = None
    """File with SAM's weights, from facebookresearch/segment-anything; by default the file that --download fetches."""
    download: bool = False
    """Fetch the weights (2.4 GB for vit_h) and check them, unless they have been fetched before."""
    model: Literal["vit_h", "vit_l", "vit_b"] = "vit_h"
    """Size of the model, which must be the checkpoint's."""
    level: Literal["auto", 0, 1, 2] | None = None
    """Granularity: keep the largest (0), middle (1) or smallest (2) of the three masks of a point; None keeps all.
    "auto" chooses, as in the paper, the coarsest level that gives at least 5 masks in each of ten views."""

    def setup(self) -> SamProposer:
        """Load the model.

        Raises:
            MaskError: the weights are missing or belong to another model, or segment_anything is not installed.
        """
        return SamProposer(self, load_sam(self.sam_checkpoint or cached_weights(self.model, self.download), self.model))

    def decide(self, images: Sequence[Path]) -> dict[str, Any]:
        """The level for the scene if it is "auto"; otherwise no values."""
        if self.level != "auto":
            return {}
        proposer, views = self.setup(), [read_image(path) for path in images[:: -(-len(images) // PROBED)]]
        for level in (0, 1):
            proposer.config = replace(self, level=level)
            if all(len(proposer(view)) >= FEW for view in views):
                return {"level": level}
        return {"level": 2}

    def recipe(self) -> dict[str, Any]:
        """The options that determine the masks, without those that depend on the machine."""
        machine = ("sam_checkpoint", "download", "points_per_batch", "half", "device")
        weights = self.sam_checkpoint.name if self.sam_checkpoint else CHECKPOINTS[self.model]
        return {name: value for name, value in asdict(self).items() if name not in machine} | {"weights": weights}


class SamProposer:
    """Prompts SAM with a grid of points and filters its masks."""

    def __init__(self, config: SamConfig, sam: Sam):
        from segment_anything import SamPredictor

        device = config.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.config, self.at_once = config, config.points_per_batch
        self.predictor = SamPredictor(sam.to(device).eval())

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> ImageMasks:
        """Masks of an RGB image, at the resolution that SAM saw."""
        return follow(self.config, image, self.ask)

    @torch.no_grad()
    def ask(self, image: UInt8[np.ndarray, "height width 3"]) -> Answers:
        """SAM's distinct masks for a grid of points, like its automatic mask generator's, the best first.

        Raises:
            MaskError: the model does not fit in memory.
        """
        from segment_anything.utils.amg import build_point_grid
        from torchvision.ops import nms

        config, predictor = self.config, self.predictor
        height, width = image.shape[:2]
        try:
            with torch.autocast("cuda", enabled=config.half and predictor.device.type == "cuda"):
                predictor.set_image(image)
        except torch.OutOfMemoryError:
            raise MaskError(TOO_LARGE.format(model=config.model)) from None
        predictor.features = predictor.get_image_embedding().float()
        points = predictor.transform.apply_coords(
            build_point_grid(config.points_per_side) * (width, height), (height, width)
        )

        packed, scores = [], []
        todo = torch.as_tensor(points, device=predictor.device)
        while len(todo) > 0:
            try:
                bits, score = self._answer(todo[: self.at_once])
            except torch.OutOfMemoryError:
                if self.at_once == 1:
                    raise MaskError(TOO_LARGE.format(model=config.model)) from None
                self.at_once = max(self.at_once // 2, 1)
                print(f"masks: memory ran out; the batches now have {self.at_once} points.")
                torch.cuda.empty_cache()
                continue
            todo = todo[self.at_once :]
            packed.append(bits)
            scores.append(score)
        predictor.reset_image()

        score = torch.cat(scores)
        distinct = nms(score[:, :4], score[:, 4], config.max_box_iou).cpu()
        bits = np.concatenate(packed)[distinct.numpy()]
        masks = np.unpackbits(bits, axis=1, count=height * width).reshape(-1, height, width).view(bool)
        _, _, _, _, predicted_iou, stability, level = score.cpu()[distinct].numpy().T
        return Answers(masks, predicted_iou, stability, level.astype(int))

    def _answer(self, points: Float[Tensor, "points 2"]) -> tuple[UInt8[np.ndarray, "masks bytes"], Tensor]:
        """Masks for points that reach the minimal scores: packed pixels, and (box, predicted IoU, stability, level)."""
        from segment_anything.utils.amg import batched_mask_to_box, calculate_stability_score

        config, threshold = self.config, self.predictor.model.mask_threshold
        if config.level == "auto":
            raise ValueError('the level "auto" is not decided; `SamConfig.decide` does so for a scene')
        inside = torch.ones(len(points), 1, dtype=torch.int, device=points.device)
        logits, predicted_iou, _ = self.predictor.predict_torch(points[:, None], inside, return_logits=True)
        logits, predicted_iou, level = by_level(logits, predicted_iou, config.level)
        stability = calculate_stability_score(logits, threshold, 1.0)
        good = (predicted_iou >= config.min_predicted_iou) & (stability >= config.min_stability)
        masks = logits[good] > threshold
        scores = torch.stack([predicted_iou, stability, level], 1)[good]
        bits = np.packbits(masks.flatten(1).cpu().numpy(), axis=1)
        return bits, torch.cat([batched_mask_to_box(masks).float(), scores], 1)


def by_level(
    logits: Float[Tensor, "points 3 height width"], predicted_iou: Float[Tensor, "points 3"], level: int | None
) -> tuple[Float[Tensor, "masks height width"], Float[Tensor, " masks"], Float[Tensor, " masks"]]:
    """The masks of one level, or of all levels, with their predicted IoU and level.

    SAM's three masks for a point are meant to be subpart, part and whole, but training does not enforce the order. The
    level is therefore the rank by area among the three: 0 is the largest.

    Args:
        level: 0, 1 or 2; None for all levels.
    """
    order = (logits > 0).sum((2, 3)).argsort(dim=1, descending=True, stable=True)
    order = order if level is None else order[:, level : level + 1]
    point = torch.arange(len(order), device=order.device)[:, None]
    rank = torch.arange(3, device=order.device) if level is None else torch.tensor([level], device=order.device)
    return logits[point, order].flatten(0, 1), predicted_iou[point, order].flatten(), rank.float().repeat(len(order))


def cached_weights(model: str, download: bool) -> Path | None:
    """Path of a model's weights in torch's cache; None if they are not there.

    Args:
        download: fetch missing weights, with a progress bar; the end of the file's name is the start of its SHA-256.
    Raises:
        MaskError: the weights cannot be fetched, or their SHA-256 is wrong.
    """
    name = CHECKPOINTS[model]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if download and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"masks: fetching {WEIGHTS}/{name} to {path}")
        try:
            torch.hub.download_url_to_file(f"{WEIGHTS}/{name}", str(path), hash_prefix=Path(name).stem.split("_")[-1])
        except (OSError, RuntimeError) as error:
            raise MaskError(
                f"masks: {WEIGHTS}/{name} cannot be fetched ({error}); get it in another way and name the file with "
                "--sam-checkpoint."
            ) from error
    return path if path.is_file() else None


def load_sam(checkpoint: Path | None, model: str) -> Sam:
    """SAM with its weights.

    Raises:
        MaskError: the weights are missing or belong to another model, or segment_anything is not installed.
    """
    url = f"{WEIGHTS}/{CHECKPOINTS[model]}"
    remedy = (
        f"get them from {url} (facebookresearch/segment-anything) and name the file with --sam-checkpoint, or pass "
        "--download"
    )
    if checkpoint is None:
        raise MaskError(f"masks: SAM {model} needs its weights; {remedy}, or use `graph`, which needs none.")
    if not checkpoint.is_file():
        raise MaskError(f"masks: SAM's weights are not at {checkpoint}; {remedy}.")
    try:
        from segment_anything import sam_model_registry
    except ImportError:
        raise MaskError("masks: SAM is not installed; run `pip install segment-anything`, or use `graph`.") from None
    try:
        weights = torch.load(checkpoint, map_location="cpu", weights_only=True)
        sam = sam_model_registry[model]()
        sam.load_state_dict(weights)
    except Exception as error:  # torch's unpickler raises anything over a file that is not a checkpoint
        _log.debug("%s is not a checkpoint of SAM %s", checkpoint, model, exc_info=True)
        raise MaskError(
            f"masks: {checkpoint} does not hold the weights of SAM {model} ({reason(error)}); {remedy}."
        ) from error
    return sam
