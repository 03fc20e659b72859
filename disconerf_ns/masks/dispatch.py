"""Images are handed out to workers, one at a time.

If a worker dies (out of memory, or with its machine), another worker tries its image once more. An image on which two
workers die is reported as failed, and the run goes on with the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Protocol, TypeVar

from disconerf_ns.errors import UserError
from disconerf_ns.masks.making import Done, Job

TRIES = 2
"""Workers that may die on one image before it is reported as failed."""


class Ended(Exception):
    """A worker has died."""


class Worker(Protocol):
    """A process elsewhere that makes masks; after its creation it is busy until its proposer is set up."""

    def start(self, job: Job) -> None:
        """Begin the masks of an image."""

    def result(self) -> str | None:
        """The result of `Maker` for the current image, or None once the proposer is set up; waits for it.

        Raises:
            Ended: the worker has died.
            UserError: the proposer cannot run, or the run has to stop.
        """

    def close(self) -> None:
        """End the worker."""


W = TypeVar("W", bound=Worker)


def dispatch(
    jobs: Sequence[Job],
    workers: int,
    hire: Callable[[int], W],
    ready: Callable[[list[W]], list[W]],
    stop: Event,
    begin: Callable[[], None],
) -> Iterator[Done]:
    """Hand jobs to workers in order until none is left or `stop` is set; images in progress are always finished.

    Args:
        hire: starts the worker with this number.
        ready: waits until at least one of the busy workers has a result or has died, and returns all that have.
        begin: called once, when the first worker is ready.
    Raises:
        UserError: the proposer cannot run, or more than `workers` workers died while they started.
    """
    todo = deque((job, 1) for job in jobs)
    busy: dict[W, tuple[Job, int] | None] = {}
    hired, lost, begun = min(workers, len(jobs)), 0, False
    try:
        for number in range(hired):
            busy[hire(number)] = None
        while busy:
            for worker in ready(list(busy)):
                task = busy[worker]
                try:
                    error = worker.result()
                except Ended as end:
                    worker.close()
                    del busy[worker]
                    if task is None:
                        lost += 1
                        if lost > workers:
                            raise UserError(
                                f"masks: the workers die while they start ({end}); run the command without --workers "
                                "and --ray to see why."
                            ) from end
                    elif task[1] < TRIES:
                        todo.appendleft((task[0], task[1] + 1))
                    else:
                        yield Done(task[0], f"{task[0].image}: {TRIES} workers died while they made its masks ({end})")
                    if todo and not stop.is_set():
                        busy[hire(hired)] = None
                        hired += 1
                    continue
                if not begun:
                    begin()
                    begun = True
                if task is not None:
                    yield Done(task[0], error)
                if todo and not stop.is_set():
                    busy[worker] = task = todo.popleft()
                    worker.start(task[0])
                else:
                    worker.close()
                    del busy[worker]
    finally:
        for worker in busy:
            worker.close()
