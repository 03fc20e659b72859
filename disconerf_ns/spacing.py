"""Some of many things in a row, evenly spaced."""

from __future__ import annotations

import numpy as np


def evenly_spaced(length: int, most: int) -> list[int]:
    """Indices of at most `most` of so many things, evenly spaced from the first to the last."""
    return np.linspace(0, length - 1, min(length, most)).round().astype(int).tolist()
