"""Fixed colours: object 03 has the same colour in every image, session and export."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

CHOSEN = (
    "e6794a", "3f8fd2", "58b368", "b565c4", "f2c14e", "2bb5b0", "d6537a", "8a6fdf",
    "a3c644", "e89bb3", "4f6fc0", "7d5a3c", "5ec7e8", "93b5a0", "b04a44", "c7b3f0",
)  # fmt: skip
"""The first colours, chosen by eye to be distinguishable on dark and on light backgrounds."""

GOLDEN_RATIO = 0.618033988749895


def object_colors(count: int) -> Float[np.ndarray, "count 3"]:
    """RGB colours of objects 0 to `count` - 1, in [0, 1]; an object's colour does not depend on `count`.

    The chosen colours come first, then lighter and darker shades of them, then hues spaced by the golden ratio.
    """
    chosen = np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in CHOSEN])
    families = np.concatenate([chosen, 0.55 * chosen + 0.45, 0.62 * chosen])
    further = [_spread(number) for number in range(len(families), count)]
    return np.array([*families, *further][:count], dtype=np.float32).reshape(count, 3)


def _spread(number: int) -> list[float]:
    """RGB colour of object `number`, from a cycle of three lightnesses and two saturations (HSL)."""
    hue = (number * GOLDEN_RATIO) % 1.0
    lightness, saturation = (0.62, 0.48, 0.76)[number % 3], (0.5, 0.75)[number // 3 % 2]
    chroma = saturation * min(lightness, 1 - lightness)
    sectors = [(channel + 12 * hue) % 12 for channel in (0, 8, 4)]
    return [lightness - chroma * max(-1.0, min(k - 3, 9 - k, 1.0)) for k in sectors]
