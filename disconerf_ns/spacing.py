"""Some of many things in a row, evenly spaced."""

from __future__ import annotations

import numpy as np


def spread(length: int, count: int) -> list[int]:
    """Indices of `count` of `length` things, evenly spaced from the first to the last; of few things some come again.

    >>> spread(5, 3), spread(2, 4)
    ([0, 2, 4], [0, 0, 1, 1])
    """
    return np.linspace(0, length - 1, count).round().astype(int).tolist()


def evenly_spaced(length: int, most: int) -> list[int]:
    """Indices of at most `most` of `length` things, each once, evenly spaced from the first to the last."""
    return spread(length, min(length, most))
