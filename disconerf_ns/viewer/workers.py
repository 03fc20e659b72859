"""Tiles of a picture that are computed at the same time, each on one core: torch's own threads gain little on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from disconerf_ns.compat.interruptions import uninterrupted
from disconerf_ns.rendering.turns import covered
from disconerf_ns.scene.radiance import RadianceField
from disconerf_ns.viewer.background import with_one_core

POLL = 0.05
"""Seconds after which the one who waits can be interrupted."""
MOST = 8
"""Tiles that are computed at once, at most."""
AHEAD = 2
"""Works that one caller may have queued or begun, for each thread. The rest waits, so that other callers get a turn."""


class Workers:
    """Threads that compute for whoever asks; there is one for each core.

    Args:
        count: number of threads; as many as there are cores by default.
    """

    def __init__(self, count: int | None = None):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.count = count or min(cores, MOST)
        self._pool = ThreadPoolExecutor(self.count, "tiles", with_one_core)

    def done(self, radiance: RadianceField, works: Sequence[Callable[[], None]]) -> Generator[int, None, None]:
        """Do works, the first ones first; gives the number of each as soon as it is done.

        Until all are done, or the iterator is closed, no training step runs. Several who ask at the same time get on
        equally fast. What is closed or interrupted begins no further work, and waits for what has begun.

        Args:
            radiance: the field that the works evaluate.
        Raises:
            Exception: whatever a work raises.
        """
        waiting, begun = iter(enumerate(works)), dict[Future[None], int]()

        def begin(count: int) -> None:
            for number, work in islice(waiting, count):
                begun[self._pool.submit(_do, work)] = number

        with radiance.still():
            try:
                with uninterrupted():  # an interruption would leave locks of the futures held
                    begin(AHEAD * self.count)
                while begun:
                    with uninterrupted():
                        finished, _ = wait(begun, POLL, FIRST_COMPLETED)
                        for future in finished:
                            future.result()
                        numbers = sorted(map(begun.pop, finished))
                        begin(len(numbers))
                    yield from numbers
            finally:
                with uninterrupted():
                    for future in begun:
                        future.cancel()
                    wait(begun)


def _do(work: Callable[[], None]) -> None:
    with covered():
        work()
