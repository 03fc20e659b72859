"""Masks by any mask generation model of Hugging Face's transformers: SAM 2, SAM, SAM-HQ, EdgeTAM, SlimSAM, ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from disconerf_ns.errors import MaskError, reason
from disconerf_ns.masks.proposers.promptable import PromptableProposer, decide_level
from disconerf_ns.masks.proposers.recipe import Recipe, device_of

MISSING = "masks: transformers is not installed; run `pip install disconerf_ns[transformers]`."
UNKNOWN = (
    "masks: {checkpoint} cannot be loaded as a mask generation model ({reason}); name another model with --checkpoint."
)


@dataclass
class TransformersConfig(Recipe):
    """A mask generation model of Hugging Face's transformers (extra `transformers`), with the paper's recipe."""

    checkpoint: str = "facebook/sam2.1-hiera-large"
    """Name of the model on Hugging Face's hub, which is fetched once, or a folder that holds the model."""

    def setup(self) -> PromptableProposer:
        """Load the model.

        Raises:
            MaskError: transformers is not installed, or the model cannot be loaded.
        """
        return PromptableProposer(self, TransformersNetwork(self))

    def checked(self) -> str:
        """The model's name, of which the configuration has been read.

        Raises:
            MaskError: transformers is not installed, or there is no such model.
        """
        try:
            from transformers import AutoConfig
        except ImportError:
            raise MaskError(MISSING) from None
        try:
            AutoConfig.from_pretrained(self.checkpoint)
        except (OSError, ValueError, KeyError) as error:
            raise MaskError(UNKNOWN.format(checkpoint=self.checkpoint, reason=reason(error))) from error
        return self.checkpoint

    def decide(self, images: Sequence[Path]) -> dict[str, Any]:
        """The level for the scene if it is "auto"; otherwise no values."""
        return decide_level(self, images)


class TransformersNetwork:
    """A model of transformers as a network that answers prompts, see `promptable.Network`."""

    threshold = 0.0

    def __init__(self, config: TransformersConfig):
        try:
            from transformers import AutoModelForMaskGeneration, AutoProcessor
        except ImportError:
            raise MaskError(MISSING) from None
        self.device = torch.device(device_of(config))
        self.dtype = torch.float16 if config.half and self.device.type == "cuda" else torch.float32
        self.smaller = f"{config.checkpoint}; name a smaller model with --checkpoint"
        try:
            model = AutoModelForMaskGeneration.from_pretrained(config.checkpoint, dtype=self.dtype)
            self.process = AutoProcessor.from_pretrained(config.checkpoint).image_processor
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise MaskError(UNKNOWN.format(checkpoint=config.checkpoint, reason=reason(error))) from error
        self.model = model.to(self.device).eval()
        self.embeddings: dict[str, Any] = {}
        self.sizes: dict[str, list[list[int]]] = {}
        self.scale = torch.ones(2)

    def look_at(self, image: UInt8[np.ndarray, "height width 3"]) -> None:
        """Encode an RGB image."""
        inputs = self.process(images=Image.fromarray(image), return_tensors="pt")
        pixels = inputs["pixel_values"].to(self.device, self.dtype)
        found = self.model.get_image_embeddings(pixels)
        names = ("image_embeddings", "intermediate_embeddings")  # SAM-HQ has both
        self.embeddings = dict(zip(names, found)) if isinstance(found, tuple) else {names[0]: found}
        sizes = [name for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]  # the latter if padded
        self.sizes = {name: inputs[name].tolist() for name in sizes}
        rows, columns = self.sizes.get("reshaped_input_sizes", [pixels.shape[-2:]])[0]
        self.scale = torch.tensor([columns / image.shape[1], rows / image.shape[0]], device=self.device)

    def answer(
        self,
        points: Float[Tensor, "prompts points 2"],
        inside: Int[Tensor, "prompts points"],
        boxes: Float[Tensor, "prompts 4"] | None = None,
    ) -> tuple[Float[Tensor, "prompts answers height width"], Float[Tensor, "prompts answers"]]:
        """Logits and predicted IoU of the masks for each prompt."""
        prompts = {"input_points": (points * self.scale).to(self.dtype)[None], "input_labels": inside[None]}
        if boxes is not None:
            prompts["input_boxes"] = (boxes.view(-1, 2, 2) * self.scale).flatten(1).to(self.dtype)[None]
        output = self.model(**prompts, **self.embeddings, multimask_output=True)
        logits = self.process.post_process_masks(output.pred_masks.float(), **self.sizes, binarize=False)[0]
        return logits, output.iou_scores[0].float()
