"""What a person waits for in the viewer: from a change to the picture that shows it.

    python -m benchmarks.viewer --run outputs/demo/runs/table/disconerf-small/TIME/config.yml --data examples/table

A held-out view is looked at, and each change is made with every object. The first picture, and the first of each kind
of change, is what a camera that moved waits for; changes are then answered from what is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import numpy as np
import torch
import tyro
from nerfstudio.cameras.cameras import Cameras

from benchmarks.clock import Lap, timed
from benchmarks.runs import load
from disconerf_ns.edit import Edit
from disconerf_ns.files import write_whole
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.provenance import machine, versions
from disconerf_ns.viewer.editor import Editor


@dataclass
class Wait:
    """Time changes in the viewer."""

    run: Path
    """config.yml of a disconerf run."""
    data: Path
    """Its dataset."""
    width: int = 256
    """Width of the picture in pixels."""
    view: int = 0
    """Held-out view that is looked at."""
    threads: int = 1
    """Threads on the CPU."""
    output: Path = Path("benchmarks/results/viewer.json")
    """Where the figures go."""


class Person:
    """Somebody who looks at one view and changes objects."""

    def __init__(self, pipeline: DiscoNerfPipeline, wait: Wait):
        self.model, self.editor, self.client = pipeline.model, Editor(pipeline.model), Thread()
        camera = pipeline.datamanager.eval_dataset.cameras[wait.view : wait.view + 1]
        scale = wait.width / float(camera.width)
        height = round(float(camera.height) * scale)
        self.camera = Cameras(
            camera.camera_to_worlds, camera.fx * scale, camera.fy * scale,
            camera.cx * scale, camera.cy * scale, wait.width, height,
        ).to(pipeline.device)  # fmt: skip

    def forget(self) -> None:
        """Look at the same picture without any change."""
        self.model.edit, self.editor.selected = Edit(), ()

    def wait(self, output: str, change: Callable, *arguments: object) -> Lap:
        """Make a change and draw an output."""
        with timed() as lap:
            self.editor.ask(change, *arguments)
            self.editor.drain()
            self.model.displays.show(self.client, self.camera, [output])
        return lap


def session(person: Person, id: int) -> dict[str, Lap]:
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
    ids = [one.slot for one in person.model.objects]
    first = {"first picture": person.wait("rgb", lambda: None), **session(person, ids[0])}
    sessions = [session(person, id) for id in ids]
    figures = {}
    for name in first:
        seconds = np.array([laps[name].seconds for laps in sessions if name in laps] or [first[name].seconds])
        figure = {"first": first[name].seconds, "median": float(np.median(seconds)), "worst": float(seconds.max())}
        figures[name] = figure
        print(f"{name:24s}" + "".join(f"{of:>9s} {value:6.3f} s" for of, value in figure.items()))
    content = {"machine": machine(), "versions": versions(), "threads": wait.threads, "objects": len(ids),
               "pixels": [int(person.camera.width), int(person.camera.height)], "seconds": figures}  # fmt: skip
    write_whole(wait.output, json.dumps(content, indent=2))


if __name__ == "__main__":
    main(tyro.cli(Wait))
