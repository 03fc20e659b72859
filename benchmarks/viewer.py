"""A person's waiting time in the viewer: from a change to the first picture that shows it, and to the sharp one.

    python -m benchmarks.viewer --run outputs/demo/runs/table/disconerf-small/TIME/config.yml --data examples/table

A held-out view is looked at, and each change is made with every object. The viewer asks for a coarse picture after
each change, and then for a sharp one, and so does this; where a sharp one is at hand for the coarse one, or a preview,
that is what it gets. A sharp one that takes long is shown while it becomes sharp. The first picture is timed in every
held-out view: it, and the first of each kind of change, is what a camera that moved waits for; changes are then
answered from what is kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import numpy as np
import torch
import tyro
from nerfstudio.cameras.cameras import Cameras

from benchmarks.clock import timed
from benchmarks.runs import load
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.scene.edit import Edit
from disconerf_ns.viewer.editor import Editor
from disconerf_ns.viewer.pictures import Pictures


@dataclass
class Wait:
    """Time changes in the viewer."""

    run: Path
    """config.yml of a disconerf run."""
    data: Path
    """Its dataset."""
    width: int = 256
    """Width of the picture in pixels."""
    coarse: int = 40
    """Width of the coarse picture that the viewer asks for after each change."""
    view: int = 0
    """Held-out view that is looked at."""
    threads: int = 1
    """Threads on the CPU."""
    output: Path = Path("benchmarks/results/viewer.json")
    """File of the figures."""


class Waited(NamedTuple):
    """Seconds from a change to a picture."""

    seen: float
    """The first that shows the change."""
    rows: int
    """Height of that in pixels."""
    partly: float
    """The first that is sharp somewhere."""
    sharp: float
    """The one that shows it as it is."""


class Person:
    """Somebody who looks at one view and changes objects."""

    def __init__(self, pipeline: DiscoNerfPipeline, wait: Wait):
        self.current, self.client = pipeline.model.current, Thread()
        self.editor, self.sent = Editor(self.current), []
        self.pictures = Pictures(
            self.current,
            fail,
            selected=lambda _: frozenset(self.editor.selected),
            send=lambda _, outputs: self.sent.append(time.perf_counter()),
        )
        self.cameras, self._wait = pipeline.datamanager.eval_dataset.cameras.to(pipeline.device), wait
        self.look(wait.view)

    def look(self, view: int) -> None:
        """Move the camera to a held-out view."""
        camera = self.cameras[view : view + 1]
        self.sharp, self.coarse = resized(camera, self._wait.width), resized(camera, self._wait.coarse)

    def forget(self) -> None:
        """Look at the same picture without any change."""
        self.current.replace(lambda scene: scene.with_edit(Edit()))
        self.editor.selected = ()

    def wait(self, output: str, change: Callable, *arguments: object) -> Waited:
        """Make a change and draw an output, coarse and sharp."""
        self.sent.clear()
        start = time.perf_counter()
        with timed() as seen:
            self.editor.ask(change, *arguments)
            self.editor.drain()
            coarse = self.pictures.show(self.client, self.coarse, [output])
        with timed() as sharp:
            self.pictures.show(self.client, self.sharp, [output])
        partly = self.sent[0] - start if self.sent else seen.seconds + sharp.seconds
        return Waited(seen.seconds, len(coarse[output]), partly, seen.seconds + sharp.seconds)


def fail(sentence: str) -> None:
    """A picture that could not be drawn ends the benchmark."""
    raise RuntimeError(sentence)


def resized(camera: Cameras, width: int) -> Cameras:
    """The same view as a picture of another width."""
    scale = width / float(camera.width)
    return Cameras(
        camera.camera_to_worlds, camera.fx * scale, camera.fy * scale,
        camera.cx * scale, camera.cy * scale, width, round(float(camera.height) * scale),
    )  # fmt: skip


def session(person: Person, id: int) -> dict[str, Waited]:
    """One person's changes to an object, in the order in which they would come."""
    editor, red = person.editor, (0.8, 0.1, 0.1)
    person.forget()
    return {
        "select": person.wait("rgb", editor.select, [id]),
        "objects over the scene": person.wait("objects_overlay", lambda: None),
        "hide": person.wait("edited", editor.toggle),
        "show again": person.wait("edited", editor.toggle),
        "recolour": person.wait("edited", editor.recolor, red),
        "recolour, dragged": person.wait("edited", editor.recolor, red[::-1]),
        "undo": person.wait("edited", editor.undo),
        "only": person.wait("edited", editor.isolate),
        "all": person.wait("edited", editor.show_all),
        "rename": person.wait("edited", editor.rename, "a name"),
        "confidence": person.wait("confidence", lambda: None),
    }


def main(wait: Wait) -> None:
    torch.set_num_threads(wait.threads)
    person = Person(load(wait.run, wait.data), wait)
    ids = [each.id for each in person.current.value.objects]
    looks = []
    for view in sorted(range(len(person.cameras)), key=lambda view: view == wait.view):
        person.look(view)
        looks.append(person.wait("rgb", lambda: None))
    first = {"first picture": looks[0], **session(person, ids[0])}
    sessions = [{"first picture": look} for look in looks] + [session(person, id) for id in ids]
    figures = {}
    for name in first:
        waited = Waited(*np.array([waits[name] for waits in sessions if name in waits]).T)
        figures[name] = {"first": first[name]._asdict()} | {
            kind: {"median": float(np.median(of)), "worst": float(of.max())}
            for kind, of in (("seen", waited.seen), ("partly", waited.partly), ("sharp", waited.sharp))
        }
        figures[name]["least rows"] = int(waited.rows.min())
        print(f"{name:24s}{json.dumps(figures[name])}")
    content = {"machine": machine(), "versions": versions(), "threads": wait.threads, "objects": len(ids),
               "pixels": [int(person.sharp.width), int(person.sharp.height)], "seconds": figures}  # fmt: skip
    write_whole(wait.output, json.dumps(content, indent=2))


if __name__ == "__main__":
    main(tyro.cli(Wait))
