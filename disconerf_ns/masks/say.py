"""Decisions about masks and images, as lines on the terminal."""

from __future__ import annotations

import sys


def say(sentence: str) -> None:
    """Print a line that begins with `masks: `; characters that the terminal cannot show are escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(f"masks: {sentence}".encode(encoding, "backslashreplace").decode(encoding))
