"""Range checks for numeric options."""

from __future__ import annotations

import math
from typing import Any

from disconerf_ns.errors import MaskError


def check_ranges(options: Any, **ranges: tuple[float | int, float | int]) -> None:
    """Refuse option values that are out of range or NaN.

    Args:
        options: an object with an attribute per option.
        ranges: smallest and largest value by the option's name; each value of a tuple must lie between them.
    Raises:
        MaskError: a value is out of range; names the option, its value and the range.
    """
    for name, (low, high) in ranges.items():
        value = getattr(options, name)
        values = value if isinstance(value, tuple) else (value,)
        if not values or not all(low <= number <= high for number in values):
            typed = " ".join(map(str, values)) or "without a value"
            sides = (("at least", low), ("at most", high))
            bounds = [f"{side} {bound:g}" for side, bound in sides if math.isfinite(bound)]
            raise MaskError(
                f"masks: --{name.replace('_', '-')} {typed} is out of range; it must be "
                f"{' and '.join(bounds) or 'a number'}."
            )
