"""Alpha without haze."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

HAZE, BODY = 0.25, 0.85
"""Alpha up to which a pixel counts as haze, and from which on it counts as the object's alone."""


def crisp(alpha: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Alpha on a smooth curve (3 t^2 - 2 t^3) from 0 at `HAZE` to 1 at `BODY`."""
    t = ((alpha - HAZE) / (BODY - HAZE)).clamp(0, 1)
    return t * t * (3 - 2 * t)
