"""Time and memory of a piece of work, on CPU and on CUDA alike."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass
class Lap:
    """What a piece of work took."""

    seconds: float = 0.0
    """Wall time."""
    cpu_seconds: float = 0.0
    """Processor time of this process, which other work on the machine does not lengthen."""


def now() -> Lap:
    """The clocks, once the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Lap(time.perf_counter(), time.process_time())


@contextmanager
def timed() -> Iterator[Lap]:
    """A lap that is filled in when the block ends."""
    start, lap = now(), Lap()
    yield lap
    end = now()
    lap.seconds, lap.cpu_seconds = end.seconds - start.seconds, end.cpu_seconds - start.cpu_seconds


def peak_mib() -> float:
    """Most memory that there has been: of the device on CUDA, of the process otherwise."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
