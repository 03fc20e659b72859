"""How the object field's start and the weight of its total variation decide what the object stage finds.

    python -m benchmarks.object_start --run outputs/demo/runs/table/disconerf-small/TIME/config.yml

One radiance field, its surfaces sampled once; for every setting and seed a new object field is trained on them and
scored on the held-out views.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from nerfstudio.scripts.train import _set_random_seed

from benchmarks.baselines.training import optimize
from benchmarks.runs import load
from disconerf_ns.evaluation import evaluate
from disconerf_ns.field import ObjectField
from disconerf_ns.files import write_whole
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.provenance import machine, versions

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


def train(pipeline: DiscoNerfPipeline, iterations: int, seed: int, changes: dict) -> None:
    """An object stage from its start, on the surfaces that are there."""
    _set_random_seed(seed)
    model, shipped = pipeline.model, pipeline.model.config
    field_changes = {key: value for key, value in changes.items() if hasattr(shipped.object_field, key)}
    model_changes = {key: value for key, value in changes.items() if key not in field_changes}
    model.config = replace(shipped, object_field=replace(shipped.object_field, **field_changes), **model_changes)
    model.object_field = ObjectField(model.config.object_field, model.object_field.slots).to(pipeline.device)
    optimize(model.object_field, pipeline, iterations, lambda step: sum(pipeline.get_train_loss_dict(step)[1].values()))
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
    facts = {"machine": machine(), "versions": versions(), "iterations": trial.iterations}
    write_whole(trial.output, json.dumps({**facts, "rows": rows}, indent=2))


if __name__ == "__main__":
    main(tyro.cli(ObjectStart))
