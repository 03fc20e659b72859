"""What somebody with a browser waits for: from a click or a turn of the camera to the pictures that come over the wire.

    python -m benchmarks.viewer --run outputs/demo/runs/table/disconerf-small/TIME/config.yml

The viewer of a run is opened as `ns-viewer` opens it, and a client that shows nothing connects to it. Each action is
sent as a page sends it. The first picture is the first one that differs from the picture before; the last one is
sharp. What is left out is the time in which a browser unpacks and shows a picture.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
import tyro
import viser
import websockets.exceptions
from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.viewer.viewer import Viewer
from websockets.sync.client import connect

from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole
from disconerf_ns.runs import load_pipeline

QUIET = 2.5
"""Seconds without a picture after which the last one was sharp."""
PATIENCE = 60.0
"""Seconds, at most, until all objects have their small pictures, which are made before anything is timed."""
ASPECT = 4 / 3
ACTIONS = ("select", "hide", "undo", "only", "undo", "recolour", "undo")
"""What is done with each object, in this order; "undo" is timed as one."""


@dataclass
class Waiting:
    """Time actions in the viewer over its connection."""

    run: Path
    """config.yml of a disconerf run."""
    threads: int = 2
    """Threads on the CPU."""
    objects: int = 6
    """Objects that are changed, the largest first."""
    output: Path = Path("benchmarks/results/viewer.json")
    """File of the figures."""


class Shown(NamedTuple):
    """A picture that came."""

    when: float
    content: str


class Page:
    """A client of the viewer that remembers when pictures came."""

    def __init__(self, server: viser.ViserServer):
        self.connection = connect(f"ws://127.0.0.1:{server.get_port()}", max_size=None, compression=None)
        self.pictures: list[Shown] = []
        self.elements: dict[str, str] = {}
        """Ids of the panel's elements by their labels."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        with suppress(websockets.exceptions.ConnectionClosed, OSError):
            for content in self.connection:
                now = time.monotonic()
                for message in msgspec.msgpack.decode(content):
                    if message["type"] == "BackgroundImageMessage":
                        self.pictures.append(Shown(now, hashlib.sha256(message["rgb_bytes"]).hexdigest()))
                    elif message["type"].startswith("GuiAdd") and "label" in message:
                        self.elements[message["label"]] = message["id"]
                    elif message["type"] == "GuiUpdateMessage" and "label" in message["updates"]:
                        self.elements[message["updates"]["label"]] = message["id"]

    def look(self, angle: float) -> None:
        """Look at the scene's middle from an angle about the vertical, in radians."""
        position = [12 * math.cos(angle), 12 * math.sin(angle), 6.0]
        self.connection.send(msgspec.msgpack.encode({
            "type": "ViewerCameraMessage", "wxyz": wxyz_of(np.array(position)), "position": position, "fov": 0.7,
            "aspect": ASPECT, "look_at": [0.0, 0.0, 0.0], "up_direction": [0.0, 0.0, 1.0],
        }))  # fmt: skip

    def sends(self, label: str, value: Any = True) -> None:
        """Press a button, or change a field."""
        update = {"type": "GuiUpdateMessage", "id": self.elements[label], "updates": {"value": value}}
        self.connection.send(msgspec.msgpack.encode(update))


def wxyz_of(position: np.ndarray) -> list[float]:
    """Rotation of a camera (OpenCV) that looks at the origin, z being up."""
    from scipy.spatial.transform import Rotation

    ahead = -position / np.linalg.norm(position)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    x, y, z, w = Rotation.from_matrix(np.stack([right, np.cross(ahead, right), ahead], 1)).as_quat().tolist()
    return [w, x, y, z]


def wait(page: Page, action: Callable[..., None], *arguments: Any) -> dict[str, float]:
    """Seconds from an action to the first changed picture and to the last one."""
    before, seen, start = page.pictures[-1].content if page.pictures else "", len(page.pictures), time.monotonic()
    action(*arguments)
    while time.monotonic() - (page.pictures[-1].when if len(page.pictures) > seen else start + 10) < QUIET:
        time.sleep(0.01)
    different, last = [], before
    for shown in page.pictures[seen:]:
        if shown.content != last:
            different.append(shown.when - start)
        last = shown.content
    return {"first": different[0], "sharp": different[-1], "pictures": len(different)}


def open_viewer(run: Path) -> Viewer:
    """The viewer of a run."""
    pipeline = load_pipeline(run)
    viewer = Viewer(ViewerConfig(websocket_host="127.0.0.1"), run.parent / "viewer.log", run.parent, pipeline)
    viewer.init_scene(pipeline.datamanager.train_dataset, "completed")
    return viewer


def main(waiting: Waiting) -> None:
    torch.set_num_threads(waiting.threads)
    viewer = open_viewer(waiting.run)
    page, scene = Page(viewer.viser_server), viewer.pipeline.model.current.value
    page.look(0.3)
    start = time.monotonic()
    while not page.pictures or scene.objects[0].name not in page.elements:
        time.sleep(0.05)
    thumbnails = viewer.pipeline.object_control.thumbnails
    while not all(map(thumbnails.of, scene.objects)) and time.monotonic() < start + PATIENCE:
        time.sleep(0.1)
    waits: dict[str, list[dict[str, float]]] = {}
    for number, each in enumerate(scene.objects[: waiting.objects]):
        waits.setdefault("new camera", []).append(wait(page, page.look, 0.3 + 0.7 * number))
        page.sends("Show", "the scene")
        time.sleep(QUIET)
        for name in ACTIONS:
            label, value = {
                "select": (each.label, True),
                "only": ("show only", True),
                "recolour": ("Colour", [200, 30, 30]),
            }.get(name, (name, True))
            waits.setdefault(name, []).append(wait(page, page.sends, label, value))
            print(each.name, name, waits[name][-1], flush=True)
    figures = {
        name: {
            kind: {"median": float(np.median([one[kind] for one in each])), "worst": max(one[kind] for one in each)}
            for kind in ("first", "sharp")
        }
        for name, each in waits.items()
    }
    content = {
        "machine": machine(), "versions": versions(), "threads": waiting.threads, "objects": waiting.objects,
        "still picture": viewer.control_panel.max_res, "seconds": figures,
    }  # fmt: skip
    write_whole(waiting.output, json.dumps(content, indent=2))
    print(json.dumps(figures, indent=2))
    viewer.pipeline.object_control.close()
    viewer.viser_server.stop()


if __name__ == "__main__":
    main(tyro.cli(Waiting))
