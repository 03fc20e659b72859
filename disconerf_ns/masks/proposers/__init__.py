"""Proposers: what turns a photograph into masks, and their register.

A proposer is made from its own config, a dataclass whose fields are options of `disconerf masks`: `config.setup()`
makes it, `config.recipe()` says which of the options decide what the masks are, `config.decide(images)` gives values
that options get for a scene once its images have been looked at. To add one, write such a config and
name it in `PROPOSERS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

import numpy as np
from jaxtyping import UInt8

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.image_masks import ImageMasks

PROPOSERS = {
    "sam": "disconerf_ns.masks.proposers.sam:SamConfig",
    "transformers": "disconerf_ns.masks.proposers.transformers:TransformersConfig",
    "graph": "disconerf_ns.masks.proposers.graph:GraphConfig",
}


class Proposer(Protocol):
    """Finds masks in one photograph, knowing nothing of the others."""

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> ImageMasks:
        """Masks of an RGB image; their size is the image's or, where the proposer works at less, a smaller one."""
        ...


def config_class(name: str) -> type[Any]:
    """The config of the proposer with this name.

    Raises:
        MaskError: there is none.
    """
    if name not in PROPOSERS:
        raise MaskError(f"masks: there is no proposer called {name}; the ones there are: {', '.join(PROPOSERS)}.")
    module, attribute = PROPOSERS[name].split(":")
    return getattr(import_module(module), attribute)
