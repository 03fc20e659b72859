"""Workers that are processes of this machine."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Event
from typing import Any

from disconerf_ns.errors import UserError
from disconerf_ns.gpus import VISIBLE, gpu_names
from disconerf_ns.masks.dispatch import Ended, dispatch
from disconerf_ns.masks.making import CannotStore, Done, Job, Maker

_log = logging.getLogger(__name__)


def processes(
    config: Any, root: Path, jobs: Sequence[Job], stop: Event, begin: Callable[[], None], workers: int
) -> Iterator[Done]:
    """Make masks with several processes on this machine, which take its GPUs in turn."""
    gpus = gpu_names() or [None]
    hire = lambda number: Process(config, root, gpus[number % len(gpus)])
    return dispatch(jobs, workers, hire, ready_processes, stop, begin)


class Process:
    """A worker process on this machine.

    Args:
        config, root: as for `Maker`.
        gpu: the only GPU that the process sees, see `gpu_names`; None leaves all as they are.
    """

    def __init__(self, config: Any, root: Path, gpu: str | None):
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, config, root, gpu), daemon=True)
        self.process.start()
        theirs.close()

    def start(self, job: Job) -> None:
        """Send a job to the process."""
        self.pipe.send(job)

    def result(self) -> str | None:
        """Wait for the reply of the process, see `Worker.result`."""
        try:
            failed, sentence = self.pipe.recv()
        except (EOFError, OSError) as error:
            self.process.join(5)
            raise Ended(f"exit code {self.process.exitcode}") from error
        if failed:
            raise UserError(sentence)
        return sentence

    def close(self) -> None:
        """End the process, even if it is busy."""
        self.pipe.close()
        self.process.terminate()
        self.process.join()


def ready_processes(workers: list[Process]) -> list[Process]:
    """Wait until processes have replied or died, and return them."""
    readable = wait([worker.pipe for worker in workers])
    return [worker for worker in workers if worker.pipe in readable]


def _serve(pipe: Connection, config: Any, root: Path, gpu: str | None) -> None:
    """Main function of a `Process`; it ignores Ctrl-C because the parent decides when to stop, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if gpu is not None:
        os.environ[VISIBLE] = gpu
    try:
        make = Maker(config, root)
    except UserError as error:
        _log.debug("the proposer cannot run", exc_info=True)
        _reply(pipe, True, str(error))
        return
    going = _reply(pipe, False, None)
    while going:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            going = _reply(pipe, False, make(job))
        except CannotStore as error:
            _reply(pipe, True, str(error))
            return


def _reply(pipe: Connection, failed: bool, sentence: str | None) -> bool:
    """Answer the parent, see `Process.result`; returns whether it is still there."""
    try:
        pipe.send((failed, sentence))
    except OSError:
        return False
    return True
