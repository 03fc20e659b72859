"""Ranges of options, which are checked before anything is loaded."""

from __future__ import annotations

import math
from typing import NamedTuple

from disconerf_ns.errors import UserError


class Range(NamedTuple):
    """Numbers from `low` to `high`, which both belong to it."""

    low: float | int
    high: float | int
    said: str = ""
    """The range in words; by default its numbers."""
    also: float | int | None = None
    """A number outside of it that is allowed too, such as 0 for none."""

    def __str__(self) -> str:
        beside = "" if self.also is None else f"{_shown(self.also)}, or "
        return self.said or f"{beside}from {_shown(self.low)} to {_shown(self.high)}"

    def has(self, number: float | int) -> bool:
        """Whether a number is allowed."""
        return number == self.also or self.low <= number <= self.high


def _shown(number: float | int) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.7g}"


ANY = Range(-1e30, 1e30)
WEIGHT = Range(0, 1e30)
COUNT = Range(1, 10**9)
NONE_OR_MORE = Range(0, 10**9)
LABEL = Range(-(2**63), 2**63 - 1, "a whole number of 64 bits")
"""Numbers of label images."""
GRANULARITY = Range(0, 1, "from 0, the coarsest objects, to 1, the finest")
FRACTION = Range(0, 1)
PART = Range(5e-324, 1, "more than 0 and at most 1")
SIDE = Range(1, 16_384)
"""Pixels of a picture's side."""
VISIBLE = Range(16, SIDE.high)
"""Pixels of a side of a picture that shows something."""
FRAMES = Range(1, 100_000)
"""Frames of a film, of which 24 a second are more than an hour."""
RATE = Range(1, 1_000)
"""Frames per second."""
DOWNSCALE = Range(1, 1_024)
PROCESSES = Range(1, 1_024)
PORT = Range(1, 65_535)


def check_options(command: str, options: object, prefix: str = "", /, **ranges: Range) -> None:
    """Refuse values that are out of range, or no finite number; None, no values and words such as "auto" are left out.

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
        values = value if isinstance(value, tuple) else () if value is None or isinstance(value, str) else (value,)
        for number in values:
            check_number(f"{command}: --{prefix}{name.replace('_', '-')}", number, allowed)


def check_number(what: str, number: float | int, allowed: Range) -> None:
    """Refuse a number that is out of a range, or not finite.

    Args:
        what: begins the sentence.
    Raises:
        UserError: names it, its value and the range.
    """
    if not math.isfinite(number) or not allowed.has(number):
        raise UserError(f"{what} is {number}; it has to be {allowed}.")
