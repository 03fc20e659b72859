"""`disconerf masks`: propose masks for every image of a dataset and keep them beside it."""

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
from disconerf_ns.files import sweep
from disconerf_ns.masks.crew import Job, crew
from disconerf_ns.masks.freshness import changed
from disconerf_ns.masks.images import find_images
from disconerf_ns.masks.proposers import PROPOSERS, config_class
from disconerf_ns.masks.proposers.graph import GraphConfig
from disconerf_ns.masks.proposers.sam import SamConfig
from disconerf_ns.masks.proposers.transformers import TransformersConfig
from disconerf_ns.masks.report import describe, measure
from disconerf_ns.masks.store import MaskStore

AnyProposer = (
    Annotated[SamConfig, tyro.conf.subcommand("sam")]
    | Annotated[TransformersConfig, tyro.conf.subcommand("transformers")]
    | Annotated[GraphConfig, tyro.conf.subcommand("graph")]
)


@dataclass
class Masks:
    """Propose 2D masks for every image of a dataset: once, resumable, kept in DATA/masks/."""

    data: Path
    """The dataset's folder, or its transforms file."""
    proposer: AnyProposer = field(default_factory=SamConfig)
    """What finds the masks."""
    images: Path | None = None
    """Folder of the images, within DATA; by default the frames of the transforms file, or DATA/images."""
    output: Path | None = None
    """Folder of the masks; by default DATA/masks/ and the proposer's name."""
    overwrite: bool = False
    """Delete the masks that are in the folder and start again."""
    workers: int = 1
    """Processes that work at the same time; they share the machine's GPUs."""
    ray: str | None = None
    """Address of a Ray cluster whose machines do the work ("auto" is the running one, "local" starts one here); they
    see the dataset at the same path. Wants the extra `ray`."""

    def __call__(self) -> None:
        """Make the masks that are not there yet, and say what came out.

        Raises:
            UserError: no images, a proposer that cannot run, masks made with other parameters, unreadable images.
        """
        if self.workers < 1:
            raise UserError(f"masks: --workers {self.workers} leaves nobody to do the work; 1 is the least.")
        images = find_images(self.data, self.images)
        name = next(name for name in PROPOSERS if isinstance(self.proposer, config_class(name)))
        root = self.output or (self.data if self.data.is_dir() else self.data.parent) / "masks" / name
        manifest = {"generator": name, "version": __version__, "parameters": self.proposer.recipe()}
        store = MaskStore(root)
        if not self.overwrite:
            store.check_recipe(manifest)
        there = set() if self.overwrite else {key for key in images if store.holds(key)}
        absent = [key for key in images if key not in there]
        lost = [key for key in images if key in there and not images[key].is_file()]
        stale = [key for key in images if key in there and key not in lost and changed(store, key, images[key])]
        if stale:
            print(f"masks: {len(stale)} images have changed since, such as {stale[0]}; their masks are made anew.")
        todo = absent + stale

        broken = [f"there is no image {images[key]}" for key in lost]
        broken += self._make([Job(key, images[key]) for key in todo], store, manifest) if todo else []
        print(describe(store.root, measure(store, [key for key in images if store.holds(key)])))
        if broken:
            raise UserError(f"masks: {len(broken)} of {len(images)} images could not be done: {'; '.join(broken)}.")

    def _make(self, jobs: list[Job], store: MaskStore, manifest: dict) -> list[str]:
        """Make masks; what went wrong."""

        def begin() -> None:
            sweep(store.root)
            (MaskStore.replace if self.overwrite else MaskStore.create)(store.root, manifest)

        fresh = self.overwrite or not store.keys()
        decided = self.proposer.decide([job.image for job in jobs]) if fresh else store.manifest.get("decided", {})
        if decided:
            manifest["decided"] = decided
            print("masks: decided for this scene: " + ", ".join(f"{name} {value}" for name, value in decided.items()))
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
            print(f"masks: stopped after {done} of {len(jobs)} images; {again} goes on from here.")
            sys.exit(130)
        return broken


class Rate(ProgressColumn):
    """Images in a second, or seconds for an image."""

    def render(self, task: Task) -> Text:
        """The column's text."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each", style="progress.data.speed")


@contextmanager
def progress_bar(total: int) -> Iterator:
    """A bar with the time that is left; the value is called after each image."""
    columns = (TextColumn("masks"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("masks", total=total)
        yield lambda: progress.advance(task)


@contextmanager
def finish_before_interrupt() -> Iterator[Event]:
    """Ctrl-C sets the event, so that the work at hand is finished first; a second Ctrl-C ends it at once."""
    interrupted = Event()

    def note(*_: object) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
