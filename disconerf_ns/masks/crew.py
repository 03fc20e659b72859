"""Who makes the masks of many images: this process, several processes, or the actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from disconerf_ns.masks.making import Done, Job, Maker
from disconerf_ns.masks.processes import processes
from disconerf_ns.masks.ray_cluster import on_ray


def alone(config: Any, root: Path, jobs: Sequence[Job], stop: Event, begin: Callable[[], None]) -> Iterator[Done]:
    """Make masks in this process until all jobs are done or `stop` is set.

    Args:
        begin: called once, after the proposer is set up and before the first masks are stored.
    """
    make = Maker(config, root)
    begin()
    for job in jobs:
        if stop.is_set():
            return
        yield Done(job, make(job))


def crew(workers: int, ray: str | None) -> Callable[..., Iterator[Done]]:
    """The function that makes masks with this many workers: `alone`, `processes`, or `on_ray` at the address `ray`."""
    if ray is not None:
        return partial(on_ray, workers=workers, address=ray)
    return alone if workers == 1 else partial(processes, workers=workers)
