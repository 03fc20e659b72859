"""The frames of films in order, drawn by this process or by several, one for each device."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from disconerf_ns.errors import UserError
from disconerf_ns.filming.frames import Wanted
from disconerf_ns.gpus import VISIBLE, gpu_names

Draw = Callable[[Wanted], UInt8[np.ndarray, "height width channels"]]
"""Draws a frame."""

AHEAD = 3
"""Frames for each process that may be drawn before the film asks for them."""

_draw: Draw | None = None
"""What a worker process draws with."""


def in_processes(
    open_draw: Callable[[], Draw], wanted: Iterable[Wanted], workers: int
) -> Iterator[UInt8[np.ndarray, "height width channels"]]:
    """Pictures in the order in which they are wanted, drawn by processes that take this machine's GPUs in turn.

    Args:
        open_draw: gives a process what it draws with; it can be pickled.
        wanted: the frames.
        workers: number of processes.
    Raises:
        UserError: a process died.
    """
    context, pending = get_context("spawn"), deque()
    places = context.SimpleQueue()
    for worker in range(workers):
        places.put(_place(worker, workers))
    pool = ProcessPoolExecutor(workers, context, _begin, (open_draw, places))
    try:
        for each in wanted:
            pending.append(pool.submit(_picture, each))
            if len(pending) > AHEAD * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "render: a process that draws frames died; run the command with --devices 1 to see why."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _place(worker: int, workers: int) -> tuple[str | None, int]:
    """The GPU that a process sees, and its number of threads."""
    gpus = gpu_names()
    return gpus[worker % len(gpus)] if gpus else None, max(torch.get_num_threads() // workers, 1)


def _begin(open_draw: Callable[[], Draw], places: Any) -> None:
    """Start of a worker process; it leaves Ctrl-C to the process that asked for the frames."""
    global _draw
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    gpu, threads = places.get()
    if gpu is not None:
        os.environ[VISIBLE] = gpu
    torch.set_num_threads(threads)
    _draw = open_draw()


def _picture(wanted: Wanted) -> UInt8[np.ndarray, "height width channels"]:
    if _draw is None:
        raise RuntimeError("this process was not told what it draws with")
    return _draw(wanted)
