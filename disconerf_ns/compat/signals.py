"""Signals that are handled in another way for a while."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any


@contextmanager
def handled_by(handlers: Mapping[int, Any]) -> Iterator[None]:
    """Handle signals in another way for a while; a thread that is not the process's main one cannot, and does not."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()} if main else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Terminated(KeyboardInterrupt):
    """SIGTERM came: what was being written is taken away, as after Ctrl-C."""


def sigterm_raises() -> AbstractContextManager[None]:
    """Let SIGTERM raise `Terminated` in this process; it ends those that are forked from it at once, as ever."""
    own = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() == own:
            raise Terminated
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    return handled_by({signal.SIGTERM: end})
