"""Workers that make the masks of many images: this process, several processes, or the actors of a Ray cluster.

Images are handed out one at a time. If a worker dies (out of memory, or with its machine), another worker tries its
image once more. An image on which two workers die is reported as failed, and the run goes on with the others.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Event
from typing import Any, Protocol, TypeVar

import numpy as np
from jaxtyping import UInt8

from disconerf_ns.errors import UserError, reason
from disconerf_ns.masks.freshness import made_of
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.images import read_image
from disconerf_ns.masks.store import MaskStore

TRIES = 2
"""Workers that may die on one image before it is reported as failed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """An image to make masks of."""

    key: str
    image: Path

    def masks(self, proposer: Any, image: UInt8[np.ndarray, "height width 3"]) -> ImageMasks:
        """Masks of the image: all that the proposer finds."""
        return proposer(image)

    def facts(self) -> dict[str, Any]:
        """Facts that are stored with the masks, beside those of the image's file."""
        return {}


@dataclass(frozen=True)
class Done:
    """The outcome of a job."""

    job: Job
    error: str | None
    """None if the masks are stored, otherwise one sentence that says why they are not."""


class Stopped(UserError):
    """The masks of no image can be kept any more, so the run ends."""


class Displaced(Stopped):
    """Another run has replaced the set of masks that this run writes to."""


class Full(Stopped):
    """The folder of the masks cannot be written any more."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
"""Errors of a disk that is full, has used up a quota, is broken, or was made read-only: the next image has them too."""


class Maker:
    """Makes and stores the masks of images, one image per call.

    Args:
        config: config of a proposer, see `masks.proposers`.
        root: folder of the masks.
    Raises:
        UserError: the proposer cannot run.
    """

    def __init__(self, config: Any, root: Path):
        self.propose, self.store, self.identity = config.setup(), MaskStore(root), ""

    def __call__(self, job: Job) -> str | None:
        """Make and store the masks of one image.

        Returns:
            None, or one sentence that says why the image has no masks.
        Raises:
            Displaced: another run has replaced the set of masks.
            Full: the masks cannot be written, and those of other images could not either.
        """
        self.identity = self.identity or self.store.identity()
        try:
            facts = made_of(job.image, self.store) | job.facts()
            masks = job.masks(self.propose, read_image(job.image))
            if self.store.identity() != self.identity:
                raise Displaced(f"masks: another run has replaced the masks in {self.store.root}; this run stops.")
            self._save(job.key, masks, facts)
        except Stopped:
            raise
        except (UserError, OSError) as error:
            _log.debug("no masks of %s", job.image, exc_info=True)
            return str(error)
        except Exception as error:  # a model may raise anything at one image, and the others must still get their masks
            _log.exception("no masks of %s", job.image)
            return f"{job.image}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return None

    def _save(self, key: str, masks: ImageMasks, facts: dict[str, Any]) -> None:
        try:
            self.store.save(key, masks, facts)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise Full(
                f"masks: {self.store.root} cannot be written any more ({error.strerror}), so this run stops; the masks "
                f"of {len(self.store.keys())} images are kept there. Make room and run the same command, without "
                "--overwrite, to go on."
            ) from error


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
    busy: dict[W, tuple[Job, int] | None] = {hire(n): None for n in range(min(workers, len(jobs)))}
    hired, lost, begun = len(busy), 0, False
    try:
        while busy:
            for worker in ready(list(busy)):
                task = busy.pop(worker)
                try:
                    error = worker.result()
                except Ended as end:
                    worker.close()
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
    finally:
        for worker in busy:
            worker.close()


# -------------------------------------------------------------------- processes of this machine


def processes(
    config: Any, root: Path, jobs: Sequence[Job], stop: Event, begin: Callable[[], None], workers: int
) -> Iterator[Done]:
    """Make masks with several processes on this machine, which take its GPUs in turn."""
    import torch

    gpus = torch.cuda.device_count()
    hire = lambda number: Process(config, root, number % gpus if gpus else None)  # noqa: E731
    return dispatch(jobs, workers, hire, ready_processes, stop, begin)


class Process:
    """A worker process on this machine.

    Args:
        config, root: as for `Maker`.
        gpu: index of the only GPU that the process sees; None leaves them all visible.
    """

    def __init__(self, config: Any, root: Path, gpu: int | None):
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


def _serve(pipe: Connection, config: Any, root: Path, gpu: int | None) -> None:
    """Main function of a `Process`; it ignores Ctrl-C because the parent decides when to stop, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
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
        except Stopped as error:
            _reply(pipe, True, str(error))
            return


def _reply(pipe: Connection, failed: bool, sentence: str | None) -> bool:
    """Answer the parent, see `Process.result`; returns whether it is still there."""
    try:
        pipe.send((failed, sentence))
    except OSError:
        return False
    return True


# -------------------------------------------------------------------- a Ray cluster


def on_ray(
    config: Any, root: Path, jobs: Sequence[Job], stop: Event, begin: Callable[[], None], workers: int, address: str
) -> Iterator[Done]:
    """Make masks on the machines of a Ray cluster, all of which must see the dataset at the same path.

    Args:
        workers: number of actors; each takes one GPU if the cluster has GPUs, otherwise one CPU.
        address: of the cluster, as `ray.init` takes it; "local" starts a cluster on this machine.
    Raises:
        UserError: Ray is not installed, or no cluster answers at the address.
    """
    try:
        import ray
    except ImportError:
        raise UserError("masks: --ray needs Ray; run `pip install disconerf_ns[ray]`.") from None
    try:
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        _log.debug("no Ray cluster at %s", address, exc_info=True)
        raise UserError(
            f"masks: no Ray cluster answers at {address} ({reason(error)}); start one, or pass --ray local."
        ) from error
    share = {"num_gpus": 1} if ray.cluster_resources().get("GPU", 0) else {"num_cpus": 1}
    actor = ray.remote(Remote).options(max_restarts=0, **share)
    return dispatch(jobs, workers, lambda _: RayWorker(actor, config, root), ready_on_ray, stop, begin)


class Remote:
    """The actor that a `RayWorker` talks to."""

    def __init__(self, config: Any, root: Path):
        self.config, self.root = config, root

    def prepare(self) -> tuple[bool, str | None]:
        """Set up the proposer. Returns whether the run must end, and the sentence that says why."""
        try:
            self.make = Maker(self.config, self.root)
        except UserError as error:
            _log.debug("the proposer cannot run", exc_info=True)
            return True, str(error)
        return False, None

    def work(self, job: Job) -> tuple[bool, str | None]:
        """Make the masks of an image. Returns whether the run must end, and the result of `Maker` or why it must."""
        try:
            return False, self.make(job)
        except Stopped as error:
            return True, str(error)


class RayWorker:
    """A worker that is an actor on a Ray cluster."""

    def __init__(self, actor: Any, config: Any, root: Path):
        self.actor = actor.remote(config, Path(root).absolute())
        self.pending = self.actor.prepare.remote()

    def start(self, job: Job) -> None:
        """Send a job to the actor."""
        self.pending = self.actor.work.remote(replace(job, image=job.image.absolute()))

    def result(self) -> str | None:
        """Wait for the reply of the actor, see `Worker.result`."""
        import ray
        from ray.exceptions import RayError

        try:
            failed, sentence = ray.get(self.pending)
        except RayError as error:
            _log.debug("a Ray actor died", exc_info=True)
            raise Ended(reason(error)) from error
        if failed:
            raise UserError(sentence)
        return sentence

    def close(self) -> None:
        """End the actor."""
        import ray

        ray.kill(self.actor)


def ready_on_ray(workers: list[RayWorker]) -> list[RayWorker]:
    """Wait until an actor has replied or died, and return it."""
    import ray

    finished, _ = ray.wait([worker.pending for worker in workers], num_returns=1)
    return [worker for worker in workers if worker.pending in finished]


def crew(workers: int, ray: str | None) -> Callable[..., Iterator[Done]]:
    """The function that makes masks with this many workers: `alone`, `processes`, or `on_ray` at the address `ray`."""
    if ray is not None:
        return partial(on_ray, workers=workers, address=ray)
    return alone if workers == 1 else partial(processes, workers=workers)
