"""Decisions about masks and images, as lines on the terminal."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable

SHOWN = 5
"""Largest number of sentences that a message quotes."""


def say(sentence: str) -> None:
    """Print a line that begins with `masks: `; characters that the terminal cannot show are escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(f"masks: {sentence}".encode(encoding, "backslashreplace").decode(encoding))


def in_short(sentences: Iterable[str]) -> str:
    """The first sentence of each kind, and how many follow; sentences are of one kind up to names and numbers.

    >>> in_short(["l/1.png is broken.", "l/2.png is broken.", "l/3.png is missing."])
    'l/1.png is broken (and 1 more like it). l/3.png is missing.'
    """
    kinds: dict[str, list[str]] = defaultdict(list)
    for sentence in sentences:
        kinds[re.sub(r"\S*[\d/]\S*", "", sentence)].append(sentence.removesuffix("."))
    said = [f"{first} (and {len(others)} more like it)" if others else first for first, *others in kinds.values()]
    left = len(said) - SHOWN
    return " ".join(f"{sentence}." for sentence in said[:SHOWN]) + (f" (and {left} other faults)" if left > 0 else "")
