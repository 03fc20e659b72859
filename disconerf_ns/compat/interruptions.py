"""nerfstudio's viewer interrupts a thread that draws between any two lines of Python; here that is switched off."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let nerfstudio interrupt none of the lines in the block."""
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(trace)
