"""Every control hammered from several threads while the run trains: nothing raises, nothing stops."""

from __future__ import annotations

import itertools
import random
import threading
import time
from pathlib import Path

import torch
from tiny_run import tiny_config
from viewer_presses import elements_of, send, visit

from disconerf_ns.training.schedule import Stage
from disconerf_ns.viewer import thumbnails
from disconerf_ns.viewer.seat import Seat

ITERATIONS = 20
SLOW = ("fly to", "film")


def inputs_of(seat: Seat) -> list[tuple[object, tuple]]:
    """Each element of the panel, and values that a person may give it."""
    choices = []
    for kind, props, handle in elements_of(seat):
        if kind == "Button" and props.label not in SLOW:
            choices.append((handle, (True,)))
        elif kind == "Dropdown":
            choices.append((handle, tuple(props.options)))
        elif kind == "Checkbox":
            choices.append((handle, (True, False)))
        elif kind == "Text":
            choices.append((handle, ("", "ball", "object_0", "Ω|/\\")))
        elif kind == "Rgb":
            choices.append((handle, ((255, 0, 0), (0, 0, 0))))
        elif kind == "Slider":
            choices.append((handle, (props.min, (props.min + props.max) / 2, props.max)))
        elif kind == "Vector3":
            choices.append((handle, ((0.0, 0.0, 0.0), (0.1, 0.2, 0.3))))
    return choices


def test_nothing_raises_or_stops_the_training(scene: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(thumbnails, "SIZE", 8)
    config = tiny_config(scene, tmp_path, iterations=ITERATIONS)
    config.vis, config.viewer.quit_on_train_completion = "viewer", True
    config.viewer.websocket_host = "127.0.0.1"
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    control, model = trainer.pipeline.object_control, trainer.pipeline.model
    raised: list[BaseException] = []
    told: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_value))
    control.editor.tell = told.append
    over, pressed = threading.Event(), itertools.count()

    def hammer(seed: int, seat: Seat) -> None:
        dice = random.Random(seed)
        while not over.is_set():
            handle, values = dice.choice(inputs_of(seat))
            send(handle, dice.choice(values))
            rows = seat.panel.rows.ids
            for id in dice.sample(rows, min(2, len(rows))):
                seat.panel.select(id)
            next(pressed)
            time.sleep(0.2)

    with visit(trainer.viewer_state) as one, visit(trainer.viewer_state) as other:
        seats = [visitor.seat for visitor in (one, other)]
        threads = [threading.Thread(target=hammer, args=(seed, seats[seed % 2])) for seed in range(4)]
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
        heads = [seat.panel.head for seat in seats]
    assert raised == []
    assert trainer.pipeline.stage is Stage.OBJECTS and len(model.current.value.objects) > 0
    assert next(pressed) > ITERATIONS, "it was a storm"
    assert not any(sentence.startswith("That did not work") for sentence in told), set(told)
    assert model.current.value.edit.fault(model.tree) is None
    assert all(torch.isfinite(value).all() for value in model.object_field.parameters())
    assert all(head.bar.value == 100 and head.plot is not None for head in heads)
