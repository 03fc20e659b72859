"""Masks by Segment Anything (SAM), with the recipe of DiscoNeRF (section 7.1).

SAM answers each point with three nested masks. segment-anything's own automatic generator mixes them; here each mask
keeps its level, so that a scene can be taken apart at one granularity.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from disconerf_ns.errors import MaskError, reason
from disconerf_ns.masks.proposers.promptable import PromptableProposer, decide_level
from disconerf_ns.masks.proposers.recipe import Recipe, device_of

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

WEIGHTS = "https://dl.fbaipublicfiles.com/segment_anything"
CHECKPOINTS = {"vit_h": "sam_vit_h_4b8939.pth", "vit_l": "sam_vit_l_0b3195.pth", "vit_b": "sam_vit_b_01ec64.pth"}

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

    def setup(self) -> PromptableProposer:
        """Load the model.

        Raises:
            MaskError: the weights are missing or belong to another model, or segment_anything is not installed.
        """
        return PromptableProposer(self, SamNetwork(load_sam(self.checked(), self.model), self))

    def checked(self) -> Path:
        """The file of the weights, fetched if asked for.

        Raises:
            MaskError: the weights are missing.
        """
        return weights_at(self.sam_checkpoint or cached_weights(self.model, self.download), self.model)

    def decide(self, images: Sequence[Path]) -> dict[str, Any]:
        """The level for the scene if it is "auto"; otherwise no values."""
        return decide_level(self, images)

    def recipe(self) -> dict[str, Any]:
        """The options that determine the masks, with the weights' name in the place of their file."""
        weights = self.sam_checkpoint.name if self.sam_checkpoint else CHECKPOINTS[self.model]
        options = super().recipe()
        return {name: options[name] for name in options if name not in ("sam_checkpoint", "download")} | {
            "weights": weights
        }


class SamNetwork:
    """SAM as a network that answers prompts, see `promptable.Network`."""

    def __init__(self, sam: Sam, config: SamConfig):
        from segment_anything import SamPredictor

        self.predictor = SamPredictor(sam.to(device_of(config)).eval())
        self.device, self.threshold, self.half = self.predictor.device, sam.mask_threshold, config.half
        self.smaller = f"SAM {config.model}; choose a smaller model with --model"

    def look_at(self, image: UInt8[np.ndarray, "height width 3"]) -> None:
        """Encode an RGB image, in half precision if asked for and possible."""
        with torch.autocast("cuda", enabled=self.half and self.device.type == "cuda"):
            self.predictor.set_image(image)
        self.predictor.features = self.predictor.get_image_embedding().float()

    def answer(
        self,
        points: Float[Tensor, "prompts points 2"],
        inside: Int[Tensor, "prompts points"],
        boxes: Float[Tensor, "prompts 4"] | None = None,
    ) -> tuple[Float[Tensor, "prompts 3 height width"], Float[Tensor, "prompts 3"]]:
        """Logits and predicted IoU of three masks for each prompt."""
        size, fit = self.predictor.original_size, self.predictor.transform
        boxes = None if boxes is None else fit.apply_boxes_torch(boxes, size)
        points = fit.apply_coords_torch(points, size)
        return self.predictor.predict_torch(points, inside, boxes, return_logits=True)[:2]


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


def weights_at(checkpoint: Path | None, model: str) -> Path:
    """The file of a model's weights, which is there.

    Raises:
        MaskError: the weights are missing.
    """
    if checkpoint is None:
        raise MaskError(f"masks: SAM {model} needs its weights; {_remedy(model)}, or use `graph`, which needs none.")
    if not checkpoint.is_file():
        raise MaskError(f"masks: SAM's weights are not at {checkpoint}; {_remedy(model)}.")
    return checkpoint


def load_sam(checkpoint: Path, model: str) -> Sam:
    """SAM with the weights in a file.

    Raises:
        MaskError: the weights belong to another model, or segment_anything is not installed.
    """
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
            f"masks: {checkpoint} does not hold the weights of SAM {model} ({reason(error)}); {_remedy(model)}."
        ) from error
    return sam


def _remedy(model: str) -> str:
    """How to get a model's weights."""
    return (
        f"get them from {WEIGHTS}/{CHECKPOINTS[model]} (facebookresearch/segment-anything) and name the file with "
        "--sam-checkpoint, or pass --download"
    )
