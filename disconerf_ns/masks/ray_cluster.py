"""Workers that are actors of a Ray cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from disconerf_ns.errors import UserError, reason
from disconerf_ns.masks.dispatch import Ended, dispatch
from disconerf_ns.masks.making import CannotStore, Done, Job, Maker

_log = logging.getLogger(__name__)


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
        except CannotStore as error:
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
