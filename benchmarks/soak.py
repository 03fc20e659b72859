"""A long training with the viewer open and people at its controls: memory, threads and open files stay as they are.

    python -m benchmarks.soak --run outputs/demo/runs/table/disconerf-small/TIME/config.yml --data examples/table

The object stage of a run trains on its radiance field for an hour, while clients connect to the viewer, look around,
press every button, drag every slider, type, and leave without a word. At the end 10,000 clicks come at once. Exits with
1 where memory, threads, open files, or what a page is sent when it opens grow.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import tyro
import websockets.exceptions
from websockets.sync.client import connect

from benchmarks.trainers import Enough, config_of, run_loop, trainer_of
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole

SETTLING = 0.25
"""Part of the time before anything is compared: caches fill, and each kind of picture is drawn once."""
FOUND_EVERY = 500
"""Steps between two searches for objects, which a run of no end would never begin by itself."""
GROWING = "threads", "files", "messages"
"""What is counted at every look."""
CLICKS = 10_000
LONGEST = 30.0
"""Seconds that a client stays, at most."""
AWAY = ("film", "save edit", "load edit", "copy", "Cameras", "Train Util", "Max res", "Generate Command", "Load Path",
        "Export", "Pause Training", "Resume Training", "Play", "Add Keyframe")  # fmt: skip
"""Elements that nobody touches: they add to the scene for good, write files, stop the training, or move everybody's
camera until somebody presses *Pause*."""


@dataclass
class Soak:
    """Train for long with the viewer open."""

    run: Path
    """config.yml of a disconerf run, whose radiance field is taken."""
    data: Path
    """Its dataset."""
    minutes: float = 60
    """Length."""
    clients: int = 2
    """Clients at a time."""
    every: float = 5
    """Seconds between two looks at the process."""
    growth: float = 0.05
    """Growth over the time compared, as a fraction of what there is, that counts as a leak."""
    output: Path = Path("benchmarks/results/soak.json")
    """File of the figures."""


class Look(NamedTuple):
    """The process at one time."""

    seconds: float
    step: int
    mib: float
    """Resident memory."""
    threads: int
    files: int
    """Open files."""
    messages: int
    """Messages that a page is sent when it opens."""
    pictures: int
    """Pictures that clients have received."""


class Client:
    """Somebody with a browser, who does things at random."""

    def __init__(self, port: int, seed: int):
        self.port, self.dice = port, random.Random(seed)
        self.pictures, self.actions = 0, 0
        self.elements: dict[str, dict[str, Any]] = {}
        """What the page shows, by id."""
        self.over = threading.Event()

    def live(self) -> None:
        """Connect, act, leave, and come again, until it is over."""
        while not self.over.is_set():
            with suppress(websockets.exceptions.ConnectionClosed, OSError):
                connection = connect(f"ws://127.0.0.1:{self.port}", max_size=None, compression=None)
                self.elements = {}
                threading.Thread(target=self._watch, args=(connection,), daemon=True).start()
                end = time.monotonic() + self.dice.uniform(0.2, 1) * LONGEST
                while time.monotonic() < end and not self.over.is_set():
                    self._act(connection)
                    self.over.wait(self.dice.expovariate(5))
                connection.close()

    def _watch(self, connection: Any) -> None:
        with suppress(websockets.exceptions.ConnectionClosed, OSError):
            for content in connection:
                for message in msgspec.msgpack.decode(content):
                    self.pictures += message["type"] == "BackgroundImageMessage"
                    if message["type"].startswith("GuiAdd") and "label" in message:
                        self.elements[message["id"]] = message
                    elif message["type"] == "GuiRemoveMessage":
                        self.elements.pop(message["id"], None)

    def _act(self, connection: Any) -> None:
        ours = [element for element in list(self.elements.values()) if element["label"] not in AWAY]
        turning = self.dice.random() < 0.3 or len(ours) < 20
        message = self.camera() if turning else self._change(self.dice.choice(ours))
        connection.send(msgspec.msgpack.encode(message))
        self.actions += 1

    def camera(self) -> dict[str, Any]:
        angle = self.dice.uniform(0, 2 * math.pi)
        return {
            "type": "ViewerCameraMessage", "wxyz": [math.cos(angle / 2), math.sin(angle / 2), 0.0, 0.0],
            "position": [self.dice.gauss(0, 5) for _ in range(3)], "fov": 0.9, "aspect": 1.3,
            "look_at": [0.0, 0.0, 0.0], "up_direction": [0.0, 0.0, 1.0],
        }  # fmt: skip

    def _change(self, element: dict[str, Any]) -> dict[str, Any]:
        """Another value of an element, or a press."""
        return update(element["id"], self._value(element))

    def _value(self, element: dict[str, Any]) -> Any:
        now, options = element.get("value"), element.get("options")
        if options:
            return self.dice.choice(options)
        if isinstance(now, bool):
            return element["type"] == "GuiAddButtonMessage" or self.dice.random() < 0.5
        if isinstance(now, str):
            return self.dice.choice(("", "a name", "Ω", "x" * 100))
        if isinstance(now, (int, float)):
            low, high = element.get("min"), element.get("max")
            return now if low is None or high is None else self.dice.uniform(low, high)
        return [self.dice.randrange(256) for _ in now] if element["type"].startswith("GuiAddRgb") else now

    def id_of(self, label: str) -> str:
        """The id of an element by its label."""
        return next(id for id, element in list(self.elements.items()) if element["label"] == label)


def update(id: str, value: Any) -> dict[str, Any]:
    """A client's message that gives an element a value."""
    return {"type": "GuiUpdateMessage", "id": id, "updates": {"value": value}}


class Flood(NamedTuple):
    """Seconds from the first of many clicks."""

    sent: float
    next_picture: float
    last_made: float


def flood(port: int, control: Any) -> Flood:
    """Press "hide" very often, as quickly as a client can send."""
    connection = connect(f"ws://127.0.0.1:{port}", max_size=None, compression=None)
    watcher = Client(port, 0)
    threading.Thread(target=watcher._watch, args=(connection,), daemon=True).start()
    connection.send(msgspec.msgpack.encode(watcher.camera()))
    wait_for(lambda: control.current.value.objects and watcher.pictures)
    row = control.current.value.objects[0].label
    connection.send(msgspec.msgpack.encode(update(watcher.id_of(row), True)))
    click = msgspec.msgpack.encode(update(watcher.id_of("hide"), True))
    seen, start = watcher.pictures, time.monotonic()
    pictured: list[float] = []
    threading.Thread(
        target=lambda: (wait_for(lambda: watcher.pictures > seen), pictured.append(time.monotonic() - start))
    ).start()
    for _ in range(CLICKS):
        connection.send(click)
    connection.send(msgspec.msgpack.encode(update(watcher.id_of("Name"), "the last")))
    sent = time.monotonic() - start
    wait_for(lambda: "the last" in control.current.value.edit.names.values() and pictured)
    made = time.monotonic() - start
    connection.close()
    return Flood(sent, pictured[0], made)


def wait_for(condition: Any, seconds: float = 600) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it is not in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("nothing happened")
        time.sleep(0.005)


def look(start: float, step: int, server: Any, clients: list[Client]) -> Look:
    """The process as it is; `server` is viser's."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Look(
        time.monotonic() - start,
        step,
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        threading.active_count(),
        len(os.listdir("/proc/self/fd")),
        len(server._websock_server._broadcast_buffer.message_from_id),
        sum(client.pictures for client in clients),
    )


def by_minute(looks: list[Look], what: str) -> dict[int, int]:
    """A figure at the first look of each minute."""
    found: dict[int, int] = {}
    for each in looks:
        found.setdefault(int(each.seconds // 60), round(getattr(each, what)))
    return found


def grown(looks: list[Look], growth: float) -> dict[str, Any]:
    """What has grown between the first and the last third of the time that is compared."""
    settled = [each for each in looks if each.seconds >= SETTLING * looks[-1].seconds]
    times, memory = np.array([each.seconds for each in settled]), np.array([each.mib for each in settled])
    slope = float(np.polyfit(times, memory, 1)[0])
    first, last = settled[: len(settled) // 3], settled[-(len(settled) // 3) :]
    most = {
        kind: (max(getattr(each, kind) for each in first), max(getattr(each, kind) for each in last))
        for kind in GROWING
    }
    return {
        "MiB an hour": 3600 * slope,
        "memory grows": slope * float(np.ptp(times)) > growth * float(memory[0]),
        **{kind: list(pair) for kind, pair in most.items()},
        **{f"{kind} grow": pair[1] > (1 + growth) * pair[0] + 2 for kind, pair in most.items()},
    }


def main(soak: Soak) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = config_of("disconerf-small", soak.data, Path(folder))
        config.pipeline.radiance_field, config.vis, config.steps_per_save = soak.run, "viewer", 2000
        config.max_num_iterations = config.pipeline.object_iterations = 10**8
        config.save_config()
        trainer = trainer_of(config)
        control, server = trainer.pipeline.object_control, trainer.viewer_state.viser_server
        port = server._websock_server._port
        clients = [Client(port, seed) for seed in range(soak.clients)]
        people = [threading.Thread(target=client.live, daemon=True) for client in clients]
        start, looks, floods = time.monotonic(), [], []
        flooding = threading.Thread(target=lambda: floods.append(flood(port, control)), daemon=True)

        def after_step(step: int) -> None:
            seconds = time.monotonic() - start
            if step % FOUND_EVERY == FOUND_EVERY - 1:
                trainer.pipeline._save_objects(step)
            if step == 0:
                for person in people:
                    person.start()
            if seconds < 60 * soak.minutes and (not looks or seconds - looks[-1].seconds >= soak.every):
                looks.append(look(start, step, server, clients))
                print(looks[-1], flush=True)
            if seconds >= 60 * soak.minutes and not flooding.ident:
                for client in clients:
                    client.over.set()
                flooding.start()
            if flooding.ident and not flooding.is_alive():
                raise Enough

        run_loop(trainer, after_step)
    figures = grown(looks, soak.growth)
    content = {
        "machine": machine(), "versions": versions(), "minutes": looks[-1].seconds / 60, "clients": soak.clients,
        "actions": sum(client.actions for client in clients), "pictures": looks[-1].pictures,
        "steps": looks[-1].step, "MiB": [looks[0].mib, looks[-1].mib],
        "MiB by minute": by_minute(looks, "mib"), "messages by minute": by_minute(looks, "messages"), **figures,
        f"{CLICKS} clicks, seconds": floods[0]._asdict() if floods else None,
    }  # fmt: skip
    write_whole(soak.output, json.dumps(content, indent=2))
    print(json.dumps(content, indent=2))
    server.stop()
    leaks = figures["memory grows"] or any(figures[f"{kind} grow"] for kind in GROWING)
    sys.exit(leaks or not floods or not looks[-1].pictures)


if __name__ == "__main__":
    main(tyro.cli(Soak))
