"""How the object field's start and the weight of its total variation decide what the object stage finds.

    python benchmarks/object_start.py --run outputs/demo/runs/table/disconerf-small/TIME/config.yml

One radiance field, its surfaces sampled once; for every setting and seed a new object field is trained on them and
scored on the held-out views.
"""

from __future__ import annotations

import json
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
import yaml
from nerfstudio.scripts.train import _set_random_seed
from nerfstudio.utils.eval_utils import eval_load_checkpoint

import disconerf_ns.method  # noqa: F401  (allow-lists what checkpoints hold)
from disconerf_ns.evaluation import evaluate
from disconerf_ns.field import ObjectField
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.schedule import Schedule, Stage

SETTINGS = {
    "as shipped": {},
    "no contrast": {"start_contrast": 1.0},
    "usual start": {"start_contrast": 1.0, "random_levels": 0},
    "tv 0.01": {"tv_mult": 0.01},
    "tv 1": {"tv_mult": 1.0},
}
"""Changes to the model's settings, by name."""


@dataclass
class ObjectStart:
    """Compare starts of the object field on one radiance field."""

    run: Path
    """config.yml of a disconerf run on a dataset with true labels in `labels/`."""
    iterations: int = 400
    """Iterations of each object stage."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of each setting."""
    settings: tuple[str, ...] = tuple(SETTINGS)
    """Which of the settings to try."""
    output: Path = Path("benchmarks/results/object_start.json")
    """Where the figures go."""


def load(run: Path) -> DiscoNerfPipeline:
    """A run with its masks, as training sees it."""
    config = yaml.load(run.read_text(), Loader=yaml.Loader)
    config.load_dir = config.get_checkpoint_dir()
    config.pipeline.radiance_field = None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = config.pipeline.setup(device=device, test_mode="val")
    eval_load_checkpoint(config, pipeline)
    return pipeline


def train(pipeline: DiscoNerfPipeline, iterations: int, seed: int, changes: dict) -> None:
    """An object stage from its start, on the surfaces that are there."""
    _set_random_seed(seed)
    model, shipped = pipeline.model, pipeline.model.config
    field_changes = {key: value for key, value in changes.items() if hasattr(shipped.object_field, key)}
    model_changes = {key: value for key, value in changes.items() if key not in field_changes}
    model.config = replace(shipped, object_field=replace(shipped.object_field, **field_changes), **model_changes)
    model.object_field = ObjectField(model.config.object_field, model.object_field.slots).to(pipeline.device)
    pipeline.datamanager.shuffled = []
    schedule, optimizer = Schedule(0, iterations), torch.optim.Adam(model.object_field.parameters(), eps=1e-15)
    for step in range(iterations):
        for group in optimizer.param_groups:
            rate = schedule.object_decay(step, pipeline.config.object_warmup, pipeline.config.object_decay)
            group["lr"] = 0.15 * rate
        _, losses, _ = pipeline.get_train_loss_dict(step)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    pipeline.discover_objects()
    model.config = shipped


def in_percent(values: dict[str, list[float]]) -> str:
    """One value, or the mean with the least and the most of several."""

    def show(some: list[float]) -> str:
        numbers = some if len(some) == 1 else (np.mean(some), min(some), max(some))
        return " ".join(f"{100 * number:.1f}" for number in numbers)

    return ", ".join(f"{name} {show(some)}" for name, some in values.items())


def main(trial: ObjectStart) -> None:
    pipeline = load(trial.run)
    pipeline.surfaces = pipeline.sample_surfaces()
    pipeline.stage = Stage.OBJECTS
    pipeline.model.freeze_radiance(True)
    data = Path(pipeline.config.datamanager.dataparser.data)
    rows = []
    for name in trial.settings:
        for seed in trial.seeds:
            start = time.perf_counter()
            train(pipeline, trial.iterations, seed, SETTINGS[name])
            seconds = time.perf_counter() - start
            scores = evaluate(pipeline, data / "labels", pipeline.datamanager.store, downscale=2)
            objects = len(pipeline.model.object_slots)
            rows.append({"setting": name, "seed": seed, "objects": objects, "seconds": seconds, **scores.views})
            print(f"{name:12} seed {seed}: " + in_percent({k: [v] for k, v in scores.views.items()}), flush=True)
    for name in trial.settings:
        values = {k: [row[k] for row in rows if row["setting"] == name] for k in ("IoU", "BD", "SBD")}
        print(f"{name:12} mean, least, most: " + in_percent(values))
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"
    facts = {"machine": f"{machine}, {torch.get_num_threads()} threads", "torch": torch.__version__}
    trial.output.parent.mkdir(parents=True, exist_ok=True)
    trial.output.write_text(json.dumps({**facts, "iterations": trial.iterations, "rows": rows}, indent=2))


if __name__ == "__main__":
    main(tyro.cli(ObjectStart))
