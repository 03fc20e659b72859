"""Image-text models of Hugging Face's transformers, such as CLIP and SigLIP: how well words fit pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from disconerf_ns.errors import UserError, reason

MISSING = "objects: transformers is not installed; run `pip install disconerf_ns[transformers]`."
UNKNOWN = (
    "objects: {checkpoint} cannot be loaded as an image-text model ({reason}); name a model of Hugging Face's hub that "
    "this machine can reach, or a folder that holds one, with --checkpoint."
)
AT_ONCE = 16
"""Pictures that go through the model together."""


class ImageTextModel:
    """A model that was trained to tell which of several sentences goes with a picture.

    Args:
        checkpoint: name of the model on Hugging Face's hub, or a folder that holds the model.
        device: where it computes.
    Raises:
        UserError: transformers is not installed, or the model cannot be loaded.
    """

    def __init__(self, checkpoint: str, device: torch.device | str):
        try:
            from transformers import AutoModelForZeroShotImageClassification, AutoProcessor
        except ImportError:
            raise UserError(MISSING) from None
        try:
            self._model = AutoModelForZeroShotImageClassification.from_pretrained(checkpoint).to(device).eval()
            self._process = AutoProcessor.from_pretrained(checkpoint)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise UserError(UNKNOWN.format(checkpoint=checkpoint, reason=reason(error))) from error
        self._device = device

    @torch.no_grad()
    def scores(
        self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], sentences: Sequence[str]
    ) -> Float[Tensor, "pictures sentences"]:
        """How well each sentence fits each picture: the softmax over the sentences of the model's logits."""
        # SigLIP was trained with sentences padded to the model's length; CLIP ignores what is padded
        longest = self._process.tokenizer.model_max_length
        padding = {"padding": "max_length", "max_length": min(longest, self._most_tokens), "truncation": True}
        text = self._process(text=list(sentences), return_tensors="pt", **padding)
        rows = []
        for start in range(0, len(pictures), AT_ONCE):
            images = [Image.fromarray(picture) for picture in pictures[start : start + AT_ONCE]]
            inputs = {**self._process(images=images, return_tensors="pt"), **text}
            logits = self._model(**{name: value.to(self._device) for name, value in inputs.items()}).logits_per_image
            rows.append(logits.float().softmax(-1).cpu())
        return torch.cat(rows)

    @property
    def _most_tokens(self) -> int:
        return self._model.config.text_config.max_position_embeddings
