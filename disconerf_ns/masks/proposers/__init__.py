"""Proposers find masks in a photograph; this is their register.

Each proposer has a config, a dataclass whose fields are options of `disconerf masks`. `config.setup()` makes the
proposer, which takes an RGB image and returns its `ImageMasks`, at the image's size or at a smaller one at which it
works. `config.recipe()` returns the options that determine the masks, and `config.decide(images)` returns values that
depend on the scene's images. To add a proposer, write such a config and name it in `PROPOSERS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from disconerf_ns.errors import MaskError

PROPOSERS = {
    "sam": "disconerf_ns.masks.proposers.sam:SamConfig",
    "transformers": "disconerf_ns.masks.proposers.transformers:TransformersConfig",
    "graph": "disconerf_ns.masks.proposers.graph:GraphConfig",
}


def config_class(name: str) -> type[Any]:
    """The config class of the proposer with this name.

    Raises:
        MaskError: there is no such proposer.
    """
    if name not in PROPOSERS:
        raise MaskError(f"masks: there is no proposer called {name}; choose one of {', '.join(PROPOSERS)}.")
    module, attribute = PROPOSERS[name].split(":")
    return getattr(import_module(module), attribute)
