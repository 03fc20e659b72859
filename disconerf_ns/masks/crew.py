"""Masks of many images, made by one worker here, by several processes, or on a Ray cluster.

Images are handed out one at a time. A worker that ends, for want of memory or with its machine, costs the image at hand
another try by another worker; an image at which two workers ended is reported, and the others are done.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from disconerf_ns.errors import UserError
from disconerf_ns.masks.freshness import fingerprint
from disconerf_ns.masks.images import read_image
from disconerf_ns.masks.store import MaskStore

TRIES = 2
"""Workers that may end over one image."""


@dataclass(frozen=True)
class Job:
    """An image that wants masks."""

    key: str
    image: Path


@dataclass(frozen=True)
class Done:
    """An image that has its masks, or not."""

    job: Job
    error: str | None


class Displaced(UserError):
    """Another run replaced the set of masks."""


class Maker:
    """Makes and stores the masks of one image after the other.

    Args:
        config: of a proposer.
        root: folder of the masks.
    Raises:
        UserError: the proposer cannot run.
    """

    def __init__(self, config: Any, root: Path):
        self.propose, self.store, self.identity = config.setup(), MaskStore(root), ""

    def __call__(self, job: Job) -> str | None:
        """Store an image's masks; what is wrong, where there are none.

        Raises:
            Displaced: another run has begun the set anew.
        """
        self.identity = self.identity or self.store.identity()
        try:
            about = {"file_name": job.image.name, **fingerprint(job.image)}
            masks = self.propose(read_image(job.image))
            if self.store.identity() != self.identity:
                raise Displaced(f"masks: another run began {self.store.root} anew; this one stops.")
            self.store.save(job.key, masks, about)
        except Displaced:
            raise
        except (UserError, OSError) as error:
            return str(error)
        except Exception as error:  # of the model or its libraries: the other images may do
            return f"{job.image}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return None


class Ended(Exception):
    """A worker is no longer there."""


class Worker(Protocol):
    """Another process that makes masks; it is busy with its start at first."""

    def start(self, job: Job) -> None:
        """Begin with an image."""

    def result(self) -> str | None:
        """What a `Maker` said, once the worker is ready; None after its start.

        Raises:
            Ended: there is no worker any more.
            UserError: the proposer cannot run.
        """

    def close(self) -> None:
        """Let the worker go."""


def alone(config: Any, root: Path, jobs: Sequence[Job], stop: Event, begin: Callable[[], None]) -> Iterator[Done]:
    """Make masks in this process, until there are no jobs or `stop` is set.

    Args:
        begin: called when the proposer is there, before any masks are stored.
    """
    make = Maker(config, root)
    begin()
    for job in jobs:
        if stop.is_set():
            return
        yield Done(job, make(job))


def dispatch(
    jobs: Sequence[Job],
    workers: int,
    hire: Callable[[int], Worker],
    ready: Callable[[list[Worker]], list[Worker]],
    stop: Event,
    begin: Callable[[], None],
) -> Iterator[Done]:
    """Hand jobs out to workers, as they come, until there are none or `stop` is set; images at hand are finished.

    Args:
        hire: starts the worker of a number.
        ready: waits for some of the busy workers, and gives those that are ready or have ended.
        begin: called when the first worker is there.
    Raises:
        UserError: the proposer cannot run, or workers end before they start.
    """
    todo = deque((job, 1) for job in jobs)
    busy: dict[Worker, tuple[Job, int] | None] = {hire(n): None for n in range(min(workers, len(jobs)))}
    hired, lost, begun = len(busy), 0, False
    try:
        while busy:
            for worker in ready(list(busy)):
                task = busy.pop(worker)
                try:
                    error = worker.result()
                except Ended as reason:
                    worker.close()
                    if task is None:
                        lost += 1
                        if lost > workers:
                            raise UserError(f"masks: workers end before they start ({reason}).") from None
                    elif task[1] < TRIES:
                        todo.appendleft((task[0], task[1] + 1))
                    else:
                        yield Done(task[0], f"{task[0].image}: {TRIES} workers ended over it ({reason})")
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
                    busy[worker] = todo.popleft()
                    worker.start(busy[worker][0])
                else:
                    worker.close()
    finally:
        for worker in busy:
            worker.close()


# -------------------------------------------------------------------- processes of this machine


def processes(
    config: Any, root: Path, jobs: Sequence[Job], stop: Event, begin: Callable[[], None], workers: int
) -> Iterator[Done]:
    """Make masks with several processes of this machine, which share its GPUs."""
    import torch

    gpus = torch.cuda.device_count()
    hire = lambda number: Process(config, root, number % gpus if gpus else None)  # noqa: E731
    return dispatch(jobs, workers, hire, ready_processes, stop, begin)


class Process:
    """A worker on this machine."""

    def __init__(self, config: Any, root: Path, gpu: int | None):
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, config, root, gpu), daemon=True)
        self.process.start()
        theirs.close()

    def start(self, job: Job) -> None:
        """Send an image's name over."""
        self.pipe.send(job)

    def result(self) -> str | None:
        """What came back."""
        try:
            failed, said = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(5)
            raise Ended(f"exit code {self.process.exitcode}") from None
        if failed:
            raise UserError(said)
        return said

    def close(self) -> None:
        """End the process; at once, if it is busy."""
        self.pipe.close()
        self.process.terminate()
        self.process.join()


def ready_processes(workers: list[Process]) -> list[Process]:
    """Wait for processes."""
    found = wait([worker.pipe for worker in workers])
    return [worker for worker in workers if worker.pipe in found]


def _serve(pipe: Connection, config: Any, root: Path, gpu: int | None) -> None:
    """The other side of `Process`: the parent decides when to stop, so Ctrl-C is left to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
    try:
        make = Maker(config, root)
    except UserError as error:
        pipe.send((True, str(error)))
        return
    pipe.send((False, None))
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((False, make(job)))
        except Displaced as error:
            pipe.send((True, str(error)))
            return


# -------------------------------------------------------------------- a Ray cluster


def on_ray(
    config: Any, root: Path, jobs: Sequence[Job], stop: Event, begin: Callable[[], None], workers: int, address: str
) -> Iterator[Done]:
    """Make masks on the machines of a Ray cluster, which have the dataset at the same path.

    Args:
        workers: actors, each with a GPU where the cluster has some, with a CPU otherwise.
        address: of the cluster, as `ray.init` takes it; "local" starts one here.
    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError:
        raise UserError("masks: --ray needs Ray; run `pip install disconerf_ns[ray]`.") from None
    try:
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f"masks: there is no Ray cluster at {address} ({str(error).splitlines()[0]}).") from None
    share = {"num_gpus": 1} if ray.cluster_resources().get("GPU", 0) else {"num_cpus": 1}
    actor = ray.remote(Remote).options(max_restarts=0, **share)
    return dispatch(jobs, workers, lambda _: RayWorker(actor, config, root), ready_on_ray, stop, begin)


class Remote:
    """The other side of `RayWorker`."""

    def __init__(self, config: Any, root: Path):
        self.config, self.root = config, root

    def prepare(self) -> tuple[bool, str | None]:
        """Set the proposer up; whether the work has to end, and why."""
        try:
            self.make = Maker(self.config, self.root)
        except UserError as error:
            return True, str(error)
        return False, None

    def work(self, job: Job) -> tuple[bool, str | None]:
        """Make the masks of an image; whether the work has to end, and what is wrong."""
        try:
            return False, self.make(job)
        except Displaced as error:
            return True, str(error)


class RayWorker:
    """An actor somewhere on the cluster."""

    def __init__(self, actor: Any, config: Any, root: Path):
        self.actor = actor.remote(config, Path(root).absolute())
        self.pending = self.actor.prepare.remote()

    def start(self, job: Job) -> None:
        """Ask for an image's masks."""
        self.pending = self.actor.work.remote(Job(job.key, job.image.absolute()))

    def result(self) -> str | None:
        """What came back."""
        import ray

        try:
            failed, said = ray.get(self.pending)
        except ray.exceptions.RayError as error:
            raise Ended(str(error).strip().splitlines()[0]) from None
        if failed:
            raise UserError(said)
        return said

    def close(self) -> None:
        """End the actor."""
        import ray

        ray.kill(self.actor)


def ready_on_ray(workers: list[RayWorker]) -> list[RayWorker]:
    """Wait for actors."""
    import ray

    found, _ = ray.wait([worker.pending for worker in workers], num_returns=1)
    return [worker for worker in workers if worker.pending in found]


def crew(workers: int, ray: str | None) -> Callable[..., Iterator[Done]]:
    """What makes masks with this many workers, here or on a Ray cluster."""
    if ray is not None:
        return partial(on_ray, workers=workers, address=ray)
    return alone if workers == 1 else partial(processes, workers=workers)
