"""Terminals and log files that are not UTF-8: no line that is printed ends the program."""

from __future__ import annotations

import sys
from io import TextIOWrapper


def escape_what_cannot_be_shown() -> None:
    r"""Let standard output and errors write a character that their encoding lacks as `\xfc`, and never raise at it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
