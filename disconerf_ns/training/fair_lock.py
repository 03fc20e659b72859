"""A lock that threads get in the order in which they asked for it."""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """Stands in for `threading.Lock` in a `with` statement, where many threads want it all the time.

    nerfstudio's training step waits for the same lock as the picture of every client. Python gives a lock to any of
    those who wait, so that with some clients a step may come last again and again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: deque[object] = deque()
        """Whoever has the lock, and those who wait, in order."""

    def __enter__(self) -> None:
        me = object()
        with self._changed:
            self._line.append(me)
            try:
                self._changed.wait_for(lambda: self._line[0] is me)
            except BaseException:
                self._leave(me)
                raise

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._leave(self._line[0])

    def _leave(self, who: object) -> None:
        self._line.remove(who)
        self._changed.notify_all()
