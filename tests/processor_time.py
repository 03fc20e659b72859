"""How much time of the processor something takes."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail if what is inside takes more time of the processor, in this thread.

    Garbage is not collected meanwhile: late in a test run a collection takes up to a second, for what others left.
    """
    collects = gc.isenabled()
    gc.disable()
    start = time.thread_time()
    try:
        yield
        taken = time.thread_time() - start
    finally:
        if collects:
            gc.enable()
    assert taken < seconds, f"took {taken:.2f} s, and should take {seconds} s at most"
