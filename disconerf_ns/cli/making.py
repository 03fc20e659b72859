"""Commands that make masks: their workers, and Ctrl-C, which lets the current image finish."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from disconerf_ns.consoles import progress
from disconerf_ns.errors import UserError, cause
from disconerf_ns.files import check_folder, sweep
from disconerf_ns.masks.crew import crew
from disconerf_ns.masks.making import Job
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.options import PROCESSES, check_options

ELSEWHERE = "keep the masks elsewhere with --output FOLDER, and train with --pipeline.datamanager.masks FOLDER."
"""Remedy where masks cannot be written."""


@dataclass(kw_only=True)
class Work:
    """How the masks of many images are made."""

    overwrite: bool = False
    """Delete the masks in the folder and start again."""
    workers: int = 1
    """Number of processes that work at the same time, at least 1; they share the machine's GPUs."""
    ray: str | None = None
    """Address of a Ray cluster whose machines do the work; "auto" is the running cluster, "local" starts one here. Its
    machines have to see the dataset at the same path. Needs the extra `ray`."""

    def check(self) -> None:
        """Refuse a number of workers that cannot be.

        Raises:
            UserError: it is.
        """
        check_options("masks", self, workers=PROCESSES)


def make_masks(proposer: Any, jobs: Sequence[Job], store: MaskStore, manifest: dict[str, Any], work: Work) -> list[str]:
    """Make and store the masks of all jobs; Ctrl-C ends the program after the image at hand.

    Args:
        proposer: config of a proposer.
        manifest: of the set, if it is not there yet; what the proposer decides for the scene is added.
    Returns:
        One message for each image that failed.
    Raises:
        UserError: the folder cannot be written, or the proposer cannot run.
    """
    check_folder(store.root, ELSEWHERE)

    def begin() -> None:
        sweep(store.root)
        with writing(store.root):
            (MaskStore.replace if work.overwrite else MaskStore.create)(store.root, manifest)

    fresh = work.overwrite or not store.keys()
    decided = proposer.decide([job.image for job in jobs]) if fresh else store.manifest.get("decided", {})
    if decided:
        manifest["decided"] = decided
        chosen = ", ".join(f"{name} {value}" for name, value in decided.items())
        print(f"masks: parameters chosen for this scene: {chosen}")
    broken, done = [], 0
    make = crew(work.workers, work.ray)
    with progress("masks", len(jobs)) as advance, finish_before_interrupt() as interrupted:
        for outcome in make(replace(proposer, **decided), store.root, jobs, interrupted, begin):
            done += 1
            advance()
            if outcome.error is not None:
                broken.append(outcome.error)
    if done < len(jobs):
        again = "the same command without --overwrite" if work.overwrite else "the same command"
        print(f"masks: stopped after {done} of {len(jobs)} images; run {again} to continue.")
        sys.exit(130)
    return broken


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn the error of a disk that is full or broken into one sentence.

    Raises:
        UserError: names the place and the reason.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"masks: {place} cannot be written ({cause(error)}); files that are there are whole. Make room, "
            "or name another place with --output."
        ) from error


@contextmanager
def finish_before_interrupt() -> Iterator[Event]:
    """Let the first Ctrl-C set the yielded event, so that current work is finished; a second one ends it at once."""
    interrupted = Event()

    def note(*_: object) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
