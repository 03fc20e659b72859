"""Evaluation of a field by several threads at once, while one of them keeps training steps away for all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_thread = threading.local()


@contextmanager
def covered() -> Iterator[None]:
    """Let this thread evaluate fields without a turn of its own: another thread, which waits for it, has the turn."""
    _thread.covered = True
    try:
        yield
    finally:
        _thread.covered = False


def is_covered() -> bool:
    """Whether this thread evaluates fields in another thread's turn."""
    return getattr(_thread, "covered", False)
