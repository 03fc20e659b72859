"""Masks by Segment Anything, with the recipe of DiscoNeRF (section 7.1).

A grid of points is put to SAM, which answers each with three nested masks. segment-anything's own automatic generator
throws them together; here each keeps its level, so that a scene can be taken apart at one granularity.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from disconerf_ns.errors import MaskError
from disconerf_ns.masks import filters
from disconerf_ns.masks.image_masks import ImageMasks

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

WEIGHTS = "https://dl.fbaipublicfiles.com/segment_anything"
CHECKPOINTS = {"vit_h": "sam_vit_h_4b8939.pth", "vit_l": "sam_vit_l_0b3195.pth", "vit_b": "sam_vit_b_01ec64.pth"}


@dataclass
class SamConfig:
    """Segment Anything's masks, with the paper's recipe; needs SAM's weights."""

    sam_checkpoint: Path | None = None
    """File with SAM's weights, from facebookresearch/segment-anything."""
    model: Literal["vit_h", "vit_l", "vit_b"] = "vit_h"
    """Size of the model; it must be the checkpoint's."""
    level: Literal[0, 1, 2] | None = None
    """Granularity: keep the largest (0), middle (1) or smallest (2) of the three masks of a point; None keeps all."""
    square_crop: bool = True
    """Look at the largest square in the middle of the image only; the rest then takes part in no loss."""
    very_large: int = 2000
    """Images with a longer side of more pixels than this are shrunk first."""
    very_large_scale: float = 0.25
    """What very large images are shrunk to."""
    min_predicted_iou: float = 0.70
    """Least quality of a mask by SAM's own estimate."""
    min_stability: float = 0.70
    """Least IoU of a mask cut out at a threshold a little higher and a little lower."""
    max_box_iou: float = 0.70
    """Of masks whose boxes overlap by more than this (IoU), the one with the best predicted IoU stays."""
    drop_contained: bool = True
    """Drop masks that lie inside another."""
    contained_share: float = 0.95
    """A mask lies inside another that covers at least this share of it."""
    min_area: float = 0.03
    """Least area of a mask, as a fraction of the pixels looked at."""
    dilate: int = 5
    """Grow every mask by this many pixels."""
    points_per_side: int = 32
    """Points of the grid along each side."""
    points_per_batch: int = 64
    """Points put to SAM at once; fewer take less memory."""
    half: bool = False
    """Run SAM's image encoder in half precision (CUDA only)."""
    device: str = "auto"
    """Where SAM runs: "auto" is CUDA where there is one."""

    def setup(self) -> SamProposer:
        """Load the model.

        Raises:
            MaskError: weights missing or of another model, segment_anything not installed.
        """
        return SamProposer(self, load_sam(self.sam_checkpoint, self.model))

    def recipe(self) -> dict[str, Any]:
        """The options that decide what the masks are, whichever machine they are made on."""
        machine = ("sam_checkpoint", "points_per_batch", "half", "device")
        return {name: value for name, value in asdict(self).items() if name not in machine}


class SamProposer:
    """SAM's answers to a grid of points, filtered."""

    def __init__(self, config: SamConfig, sam: Sam):
        from segment_anything import SamPredictor

        device = config.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.config = config
        self.predictor = SamPredictor(sam.to(device).eval())

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> ImageMasks:
        """Masks of an RGB image, at the resolution that SAM saw."""
        config = self.config
        image = shrink(image, config.very_large, config.very_large_scale)
        height, width = image.shape[:2]
        crop = filters.centre_square(height, width) if config.square_crop else (slice(0, height), slice(0, width))

        answers = self.ask(np.ascontiguousarray(image[crop]))
        masks = answers.masks
        keep = filters.large_enough(masks, config.min_area)
        if config.drop_contained:
            keep[keep] = filters.not_contained(masks[keep], config.contained_share)

        looked_at = filters.uncrop(np.ones(masks.shape[1:], dtype=bool), crop, height, width)
        return ImageMasks.from_arrays(
            filters.uncrop(filters.dilate(masks[keep], config.dilate), crop, height, width),
            predicted_iou=answers.predicted_iou[keep].tolist(),
            stability_score=answers.stability_score[keep].tolist(),
            level=answers.level[keep].tolist(),
            looked_at=None if looked_at.all() else looked_at,
        )

    @torch.no_grad()
    def ask(self, image: UInt8[np.ndarray, "height width 3"]) -> Answers:
        """SAM's distinct answers to a grid of points, as its automatic mask generator finds them, best first."""
        from segment_anything.utils.amg import batched_mask_to_box, build_point_grid, calculate_stability_score
        from torchvision.ops import nms

        config, predictor = self.config, self.predictor
        height, width = image.shape[:2]
        with torch.autocast("cuda", enabled=config.half and predictor.device.type == "cuda"):
            predictor.set_image(image)
        predictor.features = predictor.features.float()
        points = predictor.transform.apply_coords(
            build_point_grid(config.points_per_side) * (width, height), (height, width)
        )

        packed, scores = [], []
        for batch in torch.as_tensor(points, device=predictor.device).split(config.points_per_batch):
            inside = torch.ones(len(batch), 1, dtype=torch.int, device=batch.device)
            logits, predicted_iou, _ = predictor.predict_torch(batch[:, None], inside, return_logits=True)
            logits, predicted_iou, level = by_level(logits, predicted_iou, config.level)

            stability = calculate_stability_score(logits, predictor.model.mask_threshold, 1.0)
            good = (predicted_iou >= config.min_predicted_iou) & (stability >= config.min_stability)
            masks = logits[good] > predictor.model.mask_threshold
            box = batched_mask_to_box(masks).float()
            packed.append(np.packbits(masks.flatten(1).cpu().numpy(), axis=1))
            scores.append(torch.cat([box, torch.stack([predicted_iou, stability, level], 1)[good]], 1))
        predictor.reset_image()

        score = torch.cat(scores)
        distinct = nms(score[:, :4], score[:, 4], config.max_box_iou).cpu()
        bits = np.concatenate(packed)[distinct.numpy()]
        masks = np.unpackbits(bits, axis=1, count=height * width).reshape(-1, height, width).view(bool)
        _, _, _, _, predicted_iou, stability, level = score.cpu()[distinct].numpy().T
        return Answers(masks, predicted_iou, stability, level.astype(int))


@dataclass
class Answers:
    """SAM's masks of one image, each with its scores."""

    masks: np.ndarray
    """(K, H, W), bool."""
    predicted_iou: np.ndarray
    stability_score: np.ndarray
    level: np.ndarray


def by_level(
    logits: Float[Tensor, "points 3 height width"], predicted_iou: Float[Tensor, "points 3"], level: int | None
) -> tuple[Float[Tensor, "masks height width"], Float[Tensor, " masks"], Float[Tensor, " masks"]]:
    """The masks of one level, or of all, with their quality and level.

    SAM's three answers to a point are meant to be subpart, part and whole, but training does not enforce the order.
    The level is therefore the answer's rank by area among the three: 0 is the largest.
    """
    order = (logits > 0).sum((2, 3)).argsort(dim=1, descending=True, stable=True)
    order = order if level is None else order[:, level : level + 1]
    point = torch.arange(len(order), device=order.device)[:, None]
    rank = torch.arange(3, device=order.device) if level is None else torch.tensor([level], device=order.device)
    return logits[point, order].flatten(0, 1), predicted_iou[point, order].flatten(), rank.float().repeat(len(order))


def shrink(image: UInt8[np.ndarray, "height width 3"], very_large: int, scale: float) -> UInt8[np.ndarray, "h w 3"]:
    """The image, scaled down by area averaging if its longer side exceeds `very_large` pixels."""
    height, width = image.shape[:2]
    if max(height, width) <= very_large:
        return image
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def load_sam(checkpoint: Path | None, model: str) -> Sam:
    """SAM with its weights.

    Raises:
        MaskError: weights missing or of another model, segment_anything not installed.
    """
    url = f"{WEIGHTS}/{CHECKPOINTS[model]}"
    remedy = f"get them from {url} (facebookresearch/segment-anything) and name the file with --sam-checkpoint"
    if checkpoint is None:
        raise MaskError(f"masks: SAM {model} needs its weights; {remedy}, or use `graph`, which needs none.")
    if not checkpoint.is_file():
        raise MaskError(f"masks: SAM's weights are not at {checkpoint}; {remedy}.")
    try:
        from segment_anything import sam_model_registry
    except ImportError:
        raise MaskError("masks: SAM is not installed; `pip install segment-anything`, or use `graph`.") from None
    try:
        weights = torch.load(checkpoint, map_location="cpu", weights_only=True)
        sam = sam_model_registry[model]()
        sam.load_state_dict(weights)
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:120]
        raise MaskError(f"masks: {checkpoint} does not hold the weights of SAM {model} ({reason}); {remedy}.") from None
    return sam
