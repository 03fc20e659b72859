"""Work beside a person's: a thread that computes on one core, so that the others are left to pictures."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, Thread

import torch

_setting = Lock()


def in_background(work: Callable[[], None], name: str) -> Thread:
    """Begin work in a thread that ends with the program, and whose tensors are computed by that thread alone.

    Small operations are quicker so: torch divides them among threads that wait for each other.
    """

    def begin() -> None:
        with_one_core()
        work()

    thread = Thread(target=begin, name=name, daemon=True)
    thread.start()
    return thread


def with_one_core() -> None:
    """Let torch compute in this thread alone whatever this thread asks for; other threads stay as they are.

    torch's number of threads is that of the thread that sets it, and of all that begin later; another thread sets that
    back.
    """
    with _setting:  # threads that begin together would take the one's 1 for the number that is to be set back
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        back = Thread(target=torch.set_num_threads, args=(threads,))
        back.start()
        back.join()
