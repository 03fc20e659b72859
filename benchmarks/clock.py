"""Time and memory of a piece of work, on CPU and on CUDA alike."""

from __future__ import annotations

import ctypes
import gc
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass
class Lap:
    """Time that a piece of work took."""

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


class MemoryPeak:
    """Most memory that a block takes beyond what was there when it began, in MiB: of the device on CUDA, of the process
    on Linux otherwise.
    """

    def __enter__(self) -> MemoryPeak:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated() / 2**20
        else:
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the highest resident size so far
            self._before = _resident("VmRSS")
        return self

    def __exit__(self, *_) -> None:
        now = peak_mib() if torch.cuda.is_available() else _resident("VmHWM")
        self.mib = now - self._before


def _resident(name: str) -> float:
    """A size of this process in MiB, as Linux knows it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024
