"""A picture's outputs as the viewer shows them: under the objects' names, coloured, the selected objects marked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nerfstudio.utils import colormaps
from torch import Tensor

from disconerf_ns.rendering.lazy_outputs import LazyOutputs
from disconerf_ns.rendering.outputs import Output, Shown, output_table
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.viewer.outline import marked
from disconerf_ns.viewer.tiles import Canvas, Images

FAILED = 0.5
"""Grey value of a picture that could not be drawn."""


def computed(images: Images | Canvas, selected: frozenset[ObjectId], drawn: Sequence[Output]) -> LazyOutputs:
    """A picture's outputs as the viewer shows them, some of which are computed now."""
    outputs = presented(images, selected)
    for output in drawn:
        outputs[output.caption]
    return outputs


def presented(images: Images | Canvas, selected: frozenset[ObjectId]) -> LazyOutputs:
    """A picture's outputs as the viewer shows them: under the objects' names, coloured, the selected objects marked.

    An output that is gone, because its object was merged meanwhile, shows the scene.
    """
    listed, unlisted = {}, {}
    for output in output_table(images.scene).values():
        draw = lambda output=output: _present(images, output, selected)
        unlisted[output.name] = draw
        if output.listed:
            listed[output.caption] = draw
    return LazyOutputs(listed, unlisted, fallback="rgb")


def _present(images: Images | Canvas, output: Output, selected: frozenset[ObjectId]) -> Tensor:
    image = images.values(output)
    if output.shown is Shown.CONFIDENCE:
        image = colormaps.apply_colormap(image)
    elif output.shown is Shown.GRAY:
        image = image.expand(-1, -1, 3)
    return marked(image, images.ids(output), selected) if selected and images.outlines(output) else image


def failed(names: Sequence[str], height: int, width: int, device: torch.device) -> LazyOutputs:
    """Outputs of a picture that could not be drawn: grey, and no depth. The scene, which failed, is not asked again."""
    recipes = {name: lambda: torch.full((height, width, 3), FAILED, device=device) for name in ("rgb", *names)}
    recipes["depth"] = lambda: torch.zeros(height, width, 1, device=device)
    return LazyOutputs(recipes, fallback="rgb")
