"""Options that make sense within bounds only."""

from __future__ import annotations

import math
from typing import Any

from disconerf_ns.errors import MaskError


def check_ranges(options: Any, **ranges: tuple[float | int, float | int]) -> None:
    """Refuse numbers outside of their range, and those that are none.

    Args:
        ranges: least and largest value of some fields of `options`; of a tuple, each value has to lie between them.
    Raises:
        MaskError: names the option, its value and the range.
    """
    for name, (low, high) in ranges.items():
        value = getattr(options, name)
        values = value if isinstance(value, tuple) else (value,)
        if not values or not all(low <= one <= high for one in values):
            typed = " ".join(map(str, values)) or "without a value"
            upper = "no upper bound" if math.isinf(high) else f"at most {high:g}"
            raise MaskError(f"masks: --{name.replace('_', '-')} {typed} makes no sense; at least {low:g}, {upper}.")
