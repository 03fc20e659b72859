"""New colours of an object that keep its shading: linear maps of red, green and blue."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from disconerf_ns.small_json import Value

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma of ITU-R BT.601."""
MIDDLE_LUMA = 0.6
"""Luma of a surface that takes on a tint as it is."""
CHROMA = ((0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
"""Weights of red, green and blue in the chroma axes I and Q of NTSC (FCC, 1953)."""
ORDERS = tuple("".join(order) for order in permutations("rgb"))

Tint = tuple[float, float, float]
"""RGB in [0, 1] that an object takes on, lighter or darker by its own luma."""


@dataclass(frozen=True)
class Hue:
    """Every colour of an object with its hue turned, from red by green to blue; luma and saturation stay."""

    degrees: float


@dataclass(frozen=True)
class Channels:
    """Channels exchanged: a permutation of "rgb" that says where red, green and blue come from."""

    order: str


Recolor = Tint | Hue | Channels


def color_matrix(recolor: Recolor) -> Float[Tensor, "3 3"]:
    """The map of old colours to new ones, which are then clamped to [0, 1].

    >>> color_matrix(Channels("bgr")) @ torch.tensor([0.1, 0.2, 0.3])
    tensor([0.3000, 0.2000, 0.1000])
    """
    if isinstance(recolor, Hue):
        planes = torch.tensor([LUMA, *CHROMA], dtype=torch.float64)
        cos, sin = math.cos(math.radians(recolor.degrees)), math.sin(math.radians(recolor.degrees))
        turn = torch.tensor([[1, 0, 0], [0, cos, sin], [0, -sin, cos]], dtype=torch.float64)
        return (torch.linalg.inv(planes) @ turn @ planes).float()
    if isinstance(recolor, Channels):
        return torch.eye(3)[["rgb".index(channel) for channel in recolor.order]]
    return torch.outer(torch.tensor(recolor), torch.tensor(LUMA)) / MIDDLE_LUMA


def recolored(recolor: Recolor, rgb: tuple[float, float, float]) -> tuple[float, float, float]:
    """The colour in which lists and maps show an object: its tint, or its own colour turned as the object's are."""
    if isinstance(recolor, Hue | Channels):
        red, green, blue = (color_matrix(recolor) @ torch.tensor(rgb)).clamp(0, 1).tolist()
        return red, green, blue
    return recolor


def recolor_fault(recolor: Recolor) -> str | None:
    """The reason why an object cannot be coloured so; None if it can."""
    if isinstance(recolor, Hue):
        return None if math.isfinite(recolor.degrees) else f"a hue is turned by {recolor.degrees} degrees"
    if isinstance(recolor, Channels):
        known = ", ".join(ORDERS)
        return None if recolor.order in ORDERS else f"channels are in the order {recolor.order!r}, not one of {known}"
    if len(recolor) == 3 and all(0 <= channel <= 1 for channel in recolor):
        return None
    return "a colour is not red, green and blue in [0, 1]"


def recolor_as_json(recolor: Recolor) -> Any:
    """[red, green, blue], {"hue": degrees} or {"channels": order}."""
    if isinstance(recolor, Hue):
        return {"hue": recolor.degrees}
    if isinstance(recolor, Channels):
        return {"channels": recolor.order}
    return list(recolor)


def recolor_of_json(value: Value) -> Recolor:
    """Read `recolor_as_json`.

    Raises:
        ValueError: it is no colour, hue or order of channels.
    """
    match value.content:
        case {"hue": _, **others} if not others:
            return Hue(value["hue"].number())
        case {"channels": _, **others} if not others:
            return Channels(value["channels"].text())
        case [_, _, _]:
            return value.vector()
    raise value.wrong('a colour [red, green, blue], {"hue": degrees} or {"channels": "gbr"}')
