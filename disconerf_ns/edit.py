"""Edits as one value per slot: how much of its density stays and how far its colour moves towards another.

Isolating, removing and recolouring are the same operation with other numbers; model outputs and commands share it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from disconerf_ns.errors import UserError
from disconerf_ns.files import write_whole

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma of ITU-R BT.601."""

MIDDLE_LUMA = 0.6
"""Luma of a surface that takes on a new colour as it is."""


@dataclass(frozen=True)
class Edit:
    """What a person changed: objects hidden and objects recoloured, by slot."""

    hidden: frozenset[int] = frozenset()
    colors: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    """RGB in [0, 1] that an object takes on, its shading kept."""

    @property
    def changes_nothing(self) -> bool:
        """Whether the edited scene is the scene."""
        return not self.hidden and not self.colors

    def hide(self, slot: int) -> Edit:
        """The same edit with one more object removed."""
        return Edit(self.hidden | {slot}, self.colors)

    def show(self, slot: int) -> Edit:
        """The same edit with an object back in the scene."""
        return Edit(self.hidden - {slot}, self.colors)

    def recolor(self, slot: int, rgb: tuple[float, float, float]) -> Edit:
        """The same edit with an object in another colour."""
        return Edit(self.hidden, {**self.colors, slot: rgb})

    def save(self, path: Path) -> None:
        """Write the edit as JSON."""
        content = {"hidden": sorted(self.hidden), "colors": {str(slot): rgb for slot, rgb in self.colors.items()}}
        write_whole(path, json.dumps(content, indent=2))

    @classmethod
    def load(cls, path: Path) -> Edit:
        """Read an edit from JSON.

        Raises:
            UserError: not an edit.
        """
        try:
            content = json.loads(path.read_text())
            colors = {int(slot): tuple(float(c) for c in rgb) for slot, rgb in content.get("colors", {}).items()}
            return cls(frozenset(int(slot) for slot in content.get("hidden", [])), colors)
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise UserError(
                f'{path}: not an edit ({error}); it holds {{"hidden": [slots], "colors": {{}}}}.'
            ) from error

    def table(self, slots: int, device: torch.device | str) -> EditTable:
        """The edit as tensors over N slots."""
        table = EditTable.identity(slots, device)
        for slot in self.hidden:
            table.density[slot] = 0.0
        for slot, rgb in self.colors.items():
            table.color[slot] = torch.tensor(rgb, device=device)
            table.mix[slot] = 1.0
        return table


@dataclass
class EditTable:
    """An edit as it conditions the radiance field."""

    density: Float[Tensor, "slots"]
    """Factor on the density where a slot rules, in [0, 1]."""
    color: Float[Tensor, "slots 3"]
    """Colour that a slot moves towards."""
    mix: Float[Tensor, "slots"]
    """How far, in [0, 1]."""

    @classmethod
    def identity(cls, slots: int, device: torch.device | str) -> EditTable:
        """The edit that changes nothing."""
        zeros = torch.zeros(slots, device=device)
        return cls(zeros + 1, torch.zeros(slots, 3, device=device), zeros)

    def tint(self, rgb: Float[Tensor, "*n 3"], slots: Shaped[Tensor, "..."]) -> Float[Tensor, "*n 3"]:
        """Colours after the edit: the new colour, lighter or darker by the old one's luma; shading stays."""
        luma = rgb @ torch.tensor(LUMA, device=rgb.device)
        mix = weigh(self.mix[:, None], slots)
        color = weigh(self.mix[:, None] * self.color, slots) / mix.clamp(min=1e-6)
        return rgb + mix * ((color * (luma / MIDDLE_LUMA)[..., None]).clamp(0, 1) - rgb)


def weigh(values: Float[Tensor, "slots c"], slots: Shaped[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Values of the slots that own points, (*points, c): looked up for labels (*points), averaged for probabilities.

    Args:
        values: one row per slot.
        slots: integer slots (*points), or probabilities (*points, slots) with rows summing to 1.
    """
    return slots @ values if slots.is_floating_point() else values[slots]
