"""Tiles of a picture that are computed at the same time, each on one core: torch's own threads gain little on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

from disconerf_ns.compat.viewer import uninterrupted
from disconerf_ns.rendering.covered import covered
from disconerf_ns.scene.radiance import RadianceField
from disconerf_ns.viewer.background import with_one_core

POLL = 0.05
"""Seconds after which the one who waits can be interrupted."""
MOST = 8
"""Tiles that are computed at once, at most."""


class Workers:
    """Threads that compute for whoever asks; there is one for each core.

    Args:
        count: number of threads; as many as there are cores by default.
    """

    def __init__(self, count: int | None = None):
        cores = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MOST)
        self._pool = ThreadPoolExecutor(count or cores, "tiles", with_one_core)

    def done(self, radiance: RadianceField, works: Sequence[Callable[[], None]]) -> Generator[int, None, None]:
        """Do works, the first ones first; gives the number of each as soon as it is done.

        Until all are done, or the iterator is closed, no training step runs. What is closed or interrupted does no
        further work, and waits for what has begun.

        Args:
            radiance: the field that the works evaluate.
        Raises:
            Exception: whatever a work raises.
        """
        enough = Event()

        def do(work: Callable[[], None]) -> None:
            if not enough.is_set():
                with covered():
                    work()

        with radiance.still():
            numbers: dict[Future[None], int] = {}
            try:
                with uninterrupted():  # an interruption would leave locks of the futures held
                    numbers |= {self._pool.submit(do, work): number for number, work in enumerate(works)}
                pending = set(numbers)
                while pending:
                    with uninterrupted():
                        finished, pending = wait(pending, POLL, FIRST_COMPLETED)
                        for future in finished:
                            future.result()
                    yield from sorted(map(numbers.__getitem__, finished))
            finally:
                with uninterrupted():
                    enough.set()
                    wait(numbers)
