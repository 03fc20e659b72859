"""Ranges of options, which are checked before anything is loaded."""

from __future__ import annotations

import math
from typing import NamedTuple

from disconerf_ns.errors import UserError


class Range(NamedTuple):
    """Numbers from `low` to `high`, which both belong to it."""

    low: float | int
    high: float | int = math.inf
    said: str = ""
    """The range in words; by default its numbers."""

    def __str__(self) -> str:
        if self.said:
            return self.said
        low, high = f"{self.low:,.7g}", f"{self.high:,.7g}"
        return f"{low} or more" if math.isinf(self.high) else f"from {low} to {high}"


POSITIVE = Range(5e-324, said="more than 0")
"""Every finite number above 0."""
ANY = Range(-1e30, 1e30, "a finite number")
GRANULARITY = Range(0, 1, "from 0, the coarsest objects, to 1, the finest")
FRACTION = Range(0, 1)
SIDE = Range(1, 16_384)
"""Pixels of a picture's side."""
PORT = Range(1, 65_535)


def check_options(command: str, options: object, prefix: str = "", /, **ranges: Range) -> None:
    """Refuse values that are out of range, or no finite number; an option that is None or empty is left out.

    Args:
        command: name that the sentence begins with.
        options: the command, or a group of its options, with an attribute per option.
        prefix: comes before the names of a group's options, such as `pipeline.`.
        ranges: by the option's name; each value of a tuple has to lie in it.
    Raises:
        UserError: a value does not; the sentence names the option, its value and the range.
    """
    for name, allowed in ranges.items():
        value = getattr(options, name)
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        for number in values:
            if not math.isfinite(number) or not allowed.low <= number <= allowed.high:
                raise UserError(f"{command}: --{prefix}{name.replace('_', '-')} is {number}; it has to be {allowed}.")
