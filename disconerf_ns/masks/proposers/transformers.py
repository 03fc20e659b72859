"""Masks by any mask generation model of Hugging Face's transformers: SAM 2, SAM, SAM-HQ, EdgeTAM, SlimSAM, ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from disconerf_ns.errors import MaskError, reason
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.proposers.recipe import Answers, Recipe, follow


@dataclass
class TransformersConfig(Recipe):
    """A mask generation model of Hugging Face's transformers (extra `transformers`), with the paper's recipe."""

    checkpoint: str = "facebook/sam2.1-hiera-large"
    """Name of the model on Hugging Face's hub, which is fetched once, or a folder that holds the model."""

    def setup(self) -> TransformersProposer:
        """Load the model.

        Raises:
            MaskError: transformers is not installed, or the model cannot be loaded.
        """
        return TransformersProposer(self)

    def decide(self, images: Sequence[Path]) -> dict[str, Any]:
        """No values, since no option depends on the scene."""
        return {}

    def recipe(self) -> dict[str, Any]:
        """The options that determine the masks, without those that depend on the machine."""
        machine = ("points_per_batch", "half", "device")
        return {name: value for name, value in asdict(self).items() if name not in machine}


class TransformersProposer:
    """Prompts a model with a grid of points and filters its masks."""

    def __init__(self, config: TransformersConfig):
        try:
            from transformers import pipeline
        except ImportError:
            raise MaskError(
                "masks: transformers is not installed; run `pip install disconerf_ns[transformers]`."
            ) from None
        device = config.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        half = config.half and device.startswith("cuda")
        try:
            self.generate = pipeline(
                "mask-generation",
                model=config.checkpoint,
                device=device,
                dtype=torch.float16 if half else torch.float32,
            )
        except (OSError, ValueError, KeyError) as error:
            raise MaskError(
                f"masks: {config.checkpoint} cannot be loaded as a mask generation model ({reason(error)}); name "
                "another model with --checkpoint."
            ) from error
        self.config, self.at_once = config, config.points_per_batch

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> ImageMasks:
        """Masks of an RGB image, at the resolution that the model saw."""
        return follow(self.config, image, self.ask)

    def ask(self, image: UInt8[np.ndarray, "height width 3"]) -> Answers:
        """The model's distinct masks for a grid of points, the best first.

        Raises:
            MaskError: the model does not fit in memory.
        """
        config = self.config
        while True:
            try:
                output = self.generate(
                    Image.fromarray(image),
                    points_per_batch=self.at_once,
                    points_per_crop=config.points_per_side,
                    pred_iou_thresh=config.min_predicted_iou,
                    stability_score_thresh=config.min_stability,
                    crops_nms_thresh=config.max_box_iou,
                )
                break
            except torch.OutOfMemoryError:
                if self.at_once == 1:
                    raise MaskError(
                        f"masks: there is not enough memory for {config.checkpoint}; name a smaller model with "
                        "--checkpoint."
                    ) from None
                self.at_once //= 2
                print(f"masks: memory ran out; the batches now have {self.at_once} points.")
                torch.cuda.empty_cache()
        masks = [np.asarray(mask, dtype=bool) for mask in output["masks"]]
        stack = np.stack(masks) if masks else np.zeros((0, *image.shape[:2]), bool)
        return Answers(stack, np.asarray(output["scores"], dtype=float).reshape(len(stack)), None, None)
