"""An edit as tensors, by id: what it does to densities and colours where an object is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.recolor import color_matrix


@dataclass
class EditTable:
    """An edit as it conditions the radiance field."""

    density: Float[Tensor, "ids"]
    """Factor on the density where an object was photographed, in [0, 1]."""
    color: Float[Tensor, "ids 3 3"]
    """Map of colours."""

    @classmethod
    def of(cls, edit: Edit, ids: int, device: torch.device | str) -> EditTable:
        """The table of an edit of a scene with so many ids."""
        density, color = torch.ones(ids), torch.eye(3).repeat(ids, 1, 1)
        for id in edit.absent:
            density[id] = 0
        for id, recolor in edit.colors.items():
            color[id] = color_matrix(recolor)
        return cls(density.to(device), color.to(device))

    def tint(self, rgb: Float[Tensor, "*n 3"], ids: Shaped[Tensor, "..."]) -> Float[Tensor, "*n 3"]:
        """Colours after the edit; `ids` are the owners as `weigh` takes them."""
        matrix = weigh(self.color.flatten(1), ids).unflatten(-1, (3, 3))
        return (matrix @ rgb[..., None])[..., 0].clamp(0, 1)


def weigh(values: Float[Tensor, "ids c"], ids: Shaped[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Values of the objects that own points, (*points, c): looked up for labels (*points), averaged for probabilities.

    Args:
        values: one row per id.
        ids: integer ids (*points), or probabilities (*points, ids) with rows summing to 1.
    """
    return ids @ values if ids.is_floating_point() else values[ids]


def likeliest(ids: Shaped[Tensor, "..."]) -> Int[Tensor, "*n"]:
    """The owner that weighs most at points; the owners as `weigh` takes them."""
    return ids.argmax(-1) if ids.is_floating_point() else ids


def belonging(ids: Shaped[Tensor, "..."], id: int) -> Float[Tensor, "*n"]:
    """How much of points belongs to one object, in [0, 1]; the owners as `weigh` takes them."""
    return ids[..., id] if ids.is_floating_point() else (ids == id).float()
