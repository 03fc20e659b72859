"""Turns at a radiance field: any number of threads look at it at the same time, a training step has it alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from weakref import WeakKeyDictionary, WeakSet


class _OfThread(threading.local):
    def __init__(self):
        self.locks: WeakKeyDictionary[Turns, threading.RLock] = WeakKeyDictionary()
        self.covered = False


_thread = _OfThread()


class Turns:
    """Who may evaluate a field, and who may change it: a thread that looks holds its lock, a step holds all of them."""

    def __init__(self):
        self.coming = threading.RLock()
        """Held by a step, and by a thread that looks for the first time."""
        self._locks: WeakSet[threading.RLock] = WeakSet()

    def shared(self) -> AbstractContextManager[bool]:
        """Context in which this thread looks; it may be entered again within itself and within a step."""
        lock = _thread.locks.setdefault(self, threading.RLock())
        if lock not in self._locks:
            with self.coming:
                self._locks.add(lock)
        return lock

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Context of a training step: waits until nobody looks, and nobody does until it is over."""
        with self.coming, ExitStack() as held:
            for lock in list(self._locks):
                held.enter_context(lock)
            yield


def let_go() -> None:
    """End every turn of this thread.

    nerfstudio interrupts a thread that draws between any two lines of Python. At the end of a `with` block that is
    before the block is left, and it is left never.
    """
    for turns, lock in list(_thread.locks.items()):
        for held in (lock, turns.coming):
            with suppress(RuntimeError):  # it is not held
                while True:
                    held.release()


@contextmanager
def covered() -> Iterator[None]:
    """Let this thread look without a turn of its own: another thread, which waits for it, has one."""
    _thread.covered = True
    try:
        yield
    finally:
        _thread.covered = False


def is_covered() -> bool:
    """Whether this thread looks in another thread's turn."""
    return _thread.covered
