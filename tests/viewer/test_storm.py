"""Every control hammered from several threads while the run trains: nothing raises, nothing stops."""

from __future__ import annotations

import itertools
import random
import threading
import time
from pathlib import Path

import torch
import viser
from conftest import tiny_config
from viewer_presses import elements, send

from disconerf_ns.training.schedule import Stage

ITERATIONS = 60
SLOW = ("film", "fly to")
OURS = {"Show", "Clicks", "Name", "Colour", "Visible", "Parts", "Changes", "Edit", "Colours", "Extraction",
        "Confidence", "Boxes", "Names", "Sort by", "Search"}  # fmt: skip


def inputs_of(server: viser.ViserServer) -> dict[str, tuple[object, tuple]]:
    """Each element of the panel by its label, and values that a person may give it."""
    choices = {}
    for kind, props, handle in elements(server):
        label = getattr(props, "label", None)
        if label not in OURS:
            continue
        if kind in ("ButtonGroup", "Dropdown"):
            choices[label] = handle, tuple(option for option in props.options if option not in SLOW)
        elif kind == "Checkbox":
            choices[label] = handle, (True, False)
        elif kind == "Text":
            choices[label] = handle, ("", "ball", "object_0", "Ω|/\\")
        elif kind == "Rgb":
            choices[label] = handle, ((255, 0, 0), (0, 0, 0))
        elif kind == "Slider":
            choices[label] = handle, (0.0, 0.5, 1.0)
    return choices


def test_nothing_raises_or_stops_the_training(scene: Path, tmp_path: Path, monkeypatch) -> None:
    config = tiny_config(scene, tmp_path, iterations=ITERATIONS)
    config.vis, config.viewer.quit_on_train_completion = "viewer", True
    config.viewer.websocket_host = "127.0.0.1"
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    control = trainer.pipeline.object_control
    panel, model, server = control.panel, trainer.pipeline.model, trainer.viewer_state.viser_server
    raised: list[BaseException] = []
    told: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_value))
    control.editor.tell = told.append
    over, pressed = threading.Event(), itertools.count()

    def hammer(seed: int) -> None:
        dice = random.Random(seed)
        while not over.is_set():
            elements = inputs_of(server)
            label = dice.choice(sorted(elements))
            handle, values = elements[label]
            send(handle, dice.choice(values))
            rows = panel.rows.ids
            for id in dice.sample(rows, min(2, len(rows))):
                panel._select(id)
            next(pressed)
            time.sleep(0.05)

    threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        trainer.train()
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    control.editor.drain()
    assert raised == []
    assert trainer.pipeline.stage is Stage.OBJECTS and len(model.current.value.objects) > 0
    assert next(pressed) > ITERATIONS, "it was a storm"
    assert not any(sentence.startswith("That did not work") for sentence in told), set(told)
    assert model.current.value.edit.fault(model.tree) is None
    assert all(torch.isfinite(value).all() for value in model.object_field.parameters())
    assert panel.status.bar.value == 100 and panel.status.plot is not None
