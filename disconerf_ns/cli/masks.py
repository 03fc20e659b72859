"""`disconerf masks`: propose masks for every image of a dataset and keep them beside the dataset."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Annotated

import tyro
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from disconerf_ns import __version__
from disconerf_ns.errors import UserError
from disconerf_ns.files import check_writable, sweep
from disconerf_ns.masks.crew import Job, crew
from disconerf_ns.masks.freshness import changed
from disconerf_ns.masks.images import find_images, misread
from disconerf_ns.masks.proposers import PROPOSERS, config_class
from disconerf_ns.masks.proposers.graph import GraphConfig
from disconerf_ns.masks.proposers.sam import SamConfig
from disconerf_ns.masks.proposers.transformers import TransformersConfig
from disconerf_ns.masks.report import describe, measure
from disconerf_ns.masks.say import in_short
from disconerf_ns.masks.store import MaskStore

ELSEWHERE = "keep the masks elsewhere with --output FOLDER, and train with --pipeline.datamanager.masks FOLDER."
"""Remedy where masks cannot be written."""

AnyProposer = (
    Annotated[SamConfig, tyro.conf.subcommand("sam")]
    | Annotated[TransformersConfig, tyro.conf.subcommand("transformers")]
    | Annotated[GraphConfig, tyro.conf.subcommand("graph")]
)


@dataclass
class Masks:
    """Propose 2D masks for every image of a dataset and keep them in DATA/masks/; a stopped run can be resumed."""

    data: Path
    """The dataset's folder, or its transforms file."""
    proposer: AnyProposer = field(default_factory=SamConfig)
    """Method that finds the masks."""
    images: Path | None = None
    """Folder of the images, within DATA; by default the frames of the transforms file, or DATA/images."""
    output: Path | None = None
    """Folder of the masks; by default DATA/masks/ plus the proposer's name."""
    overwrite: bool = False
    """Delete the masks in the folder and start again."""
    workers: int = 1
    """Number of processes that work at the same time, at least 1; they share the machine's GPUs."""
    ray: str | None = None
    """Address of a Ray cluster whose machines do the work; "auto" is the running cluster, "local" starts one here. Its
    machines have to see the dataset at the same path. Needs the extra `ray`."""

    def __call__(self) -> None:
        """Make the missing masks and print a summary.

        Raises:
            UserError: there are no images, the folder of the masks cannot be written, the proposer cannot run, existing
                masks were made with other parameters, or images cannot be read.
        """
        if self.workers < 1:
            raise UserError(f"masks: --workers is {self.workers}; it has to be 1 or more.")
        images = find_images(self.data, self.images)
        if sentence := misread(images.values()):
            print(f"masks: {sentence}")
        name = next(name for name in PROPOSERS if isinstance(self.proposer, config_class(name)))
        root = self.output or (self.data if self.data.is_dir() else self.data.parent) / "masks" / name
        manifest = {"generator": name, "version": __version__, "parameters": self.proposer.recipe()}
        store = MaskStore(root)
        if not self.overwrite:
            store.check_recipe(manifest)
        existing = set() if self.overwrite else {key for key in images if store.holds(key)}
        absent = [key for key in images if key not in existing]
        lost = [key for key in images if key in existing and not images[key].is_file()]
        stale = [key for key in images if key in existing and key not in lost and changed(store, key, images[key])]
        if stale:
            print(
                f"masks: {len(stale)} images have changed since their masks were made, such as {stale[0]}; "
                "their masks are made anew."
            )
        todo = absent + stale
        if todo:
            check_writable(store.root, ELSEWHERE)

        broken = [f"there is no image {images[key]}" for key in lost]
        broken += self._make([Job(key, images[key]) for key in todo], store, manifest) if todo else []
        print(describe(store.root, measure(store, [key for key in images if store.holds(key)])))
        if broken:
            raise UserError(f"masks: {len(broken)} of {len(images)} images have failed: {in_short(broken)}")

    def _make(self, jobs: list[Job], store: MaskStore, manifest: dict) -> list[str]:
        """Make the masks of all jobs; returns one message for each image that failed."""

        def begin() -> None:
            sweep(store.root)
            (MaskStore.replace if self.overwrite else MaskStore.create)(store.root, manifest)

        fresh = self.overwrite or not store.keys()
        decided = self.proposer.decide([job.image for job in jobs]) if fresh else store.manifest.get("decided", {})
        if decided:
            manifest["decided"] = decided
            chosen = ", ".join(f"{name} {value}" for name, value in decided.items())
            print(f"masks: parameters chosen for this scene: {chosen}")
        broken, done = [], 0
        make = crew(self.workers, self.ray)
        with progress_bar(len(jobs)) as advance, finish_before_interrupt() as interrupted:
            for outcome in make(replace(self.proposer, **decided), store.root, jobs, interrupted, begin):
                done += 1
                advance()
                if outcome.error is not None:
                    broken.append(outcome.error)
        if done < len(jobs):
            again = "the same command without --overwrite" if self.overwrite else "the same command"
            print(f"masks: stopped after {done} of {len(jobs)} images; run {again} to continue.")
            sys.exit(130)
        return broken


class Rate(ProgressColumn):
    """Progress column: images per second, or seconds per image."""

    def render(self, task: Task) -> Text:
        """Text of the column; empty until the speed is known."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each", style="progress.data.speed")


@contextmanager
def progress_bar(total: int) -> Iterator:
    """Progress bar with the remaining time; yields a function to call after each image."""
    columns = (TextColumn("masks"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("masks", total=total)
        yield lambda: progress.advance(task)


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
