"""The object field beside its own supervision and other ways to lift the same masks, on the same frozen surfaces.

    python -m benchmarks.quality --run outputs/room/disconerf-small/TIME/config.yml --data data/room

The run's radiance field is used as it is; for every set of masks, method and seed the objects are found anew and scored
on the held-out views. Figures are written after each of them, and what is in the file already is not done again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from torch import nn

from benchmarks.baselines import contrastive, panoptic_lifting
from benchmarks.object_start import train
from benchmarks.runs import load
from disconerf_ns.evaluation import evaluate
from disconerf_ns.evidence import Cells
from disconerf_ns.files import write_whole
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.provenance import machine, versions


@dataclass
class Quality:
    """Score ways to find objects from the same masks."""

    run: Path
    """config.yml of a disconerf run whose radiance field is used."""
    data: Path
    """Its dataset, with true labels in `labels/` and sets of masks in `masks/`."""
    masks: tuple[str, ...] = ("mild", "middle", "heavy")
    """Sets of masks."""
    methods: tuple[str, ...] = ("scene", "view", "consensus", "panoptic lifting", "contrastive")
    """Which of the methods to score."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of each."""
    iterations: int = 400
    """Iterations of each training."""
    downscale: int = 2
    """Held-out views are scored at 1 / downscale of their size."""
    output: Path = Path("benchmarks/results/quality.json")
    """Where the figures go."""


class NearestPoint(nn.Module):
    """The consensus alone: the object of the nearest of its surface points."""

    def __init__(self, points: torch.Tensor, groups: torch.Tensor):
        super().__init__()
        self.cells, self.groups, self.slots = Cells(points.cpu()), groups.cpu(), int(groups.max()) + 1

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """(n, 3) contracted positions to (n, slots), 1 for the object."""
        groups = self.groups[self.cells.at(positions.detach().cpu())]
        return nn.functional.one_hot(groups, self.slots).float().to(positions.device)


def by_scene(pipeline: DiscoNerfPipeline, iterations: int, seed: int) -> nn.Module:
    """As shipped: masks matched once with the objects that all views agree on."""
    find_explanations(pipeline)
    train(pipeline, iterations, seed, {})
    return pipeline.model.object_field


def by_view(pipeline: DiscoNerfPipeline, iterations: int, seed: int) -> nn.Module:
    """The paper's matching, at every iteration in every view."""
    pipeline.explanations = []
    pipeline.model.object_field.resize(pipeline.datamanager.train_dataset.metadata["slots"])
    train(pipeline, iterations, seed, {})
    return pipeline.model.object_field


def consensus_alone(pipeline: DiscoNerfPipeline, iterations: int, seed: int) -> nn.Module:
    """The objects that all views agree on, without a field."""
    find_explanations(pipeline)
    return NearestPoint(pipeline.model.consensus_points, pipeline.model.consensus_groups)


METHODS: dict[str, Callable[[DiscoNerfPipeline, int, int], nn.Module]] = {
    "scene": by_scene,
    "view": by_view,
    "consensus": consensus_alone,
    "panoptic lifting": panoptic_lifting.train,
    "contrastive": contrastive.train,
}


def find_explanations(pipeline: DiscoNerfPipeline) -> None:
    """Group the surface by the masks, from the start."""
    model = pipeline.model
    model.consensus_points, model.consensus_groups = model.consensus_points[:0], model.consensus_groups[:0]
    model.slots_by_masks = True
    pipeline.explanations = pipeline.explain_masks()


def main(trial: Quality) -> None:
    rows = json.loads(trial.output.read_text())["rows"] if trial.output.exists() else []
    done = {(row["scene"], row["masks"], row["method"], row["seed"]) for row in rows}
    surfaces = None
    for masks in trial.masks:
        pipeline = load(trial.run, trial.data, trial.data / "masks" / masks)
        pipeline.surfaces = surfaces = surfaces or pipeline.sample_surfaces()
        field = pipeline.model.object_field
        for method in trial.methods:
            for seed in trial.seeds:
                if (trial.data.name, masks, method, seed) in done:
                    continue
                pipeline.model.object_field = field
                start = time.perf_counter()
                pipeline.model.object_field = METHODS[method](pipeline, trial.iterations, seed)
                seconds = time.perf_counter() - start
                objects = len(pipeline.discover_objects())
                scores = evaluate(
                    pipeline, trial.data / "labels", pipeline.datamanager.store, downscale=trial.downscale
                )
                rows.append(
                    {"scene": trial.data.name, "masks": masks, "method": method, "seed": seed, "objects": objects}
                    | {"seconds": round(seconds, 1), "scores": asdict(scores)}
                )
                save(trial, rows)
                shown = [" ".join(f"{100 * v:.1f}" for v in part.values()) for part in asdict(scores).values()]
                print(trial.data.name, masks, method, seed, "masks, views, scene:", " | ".join(shown), flush=True)


def save(trial: Quality, rows: list[dict]) -> None:
    """Write all figures."""
    facts = {
        "machine": machine(),
        "versions": versions(),
        "iterations": trial.iterations,
        "downscale": trial.downscale,
    }
    write_whole(trial.output, json.dumps({**facts, "rows": rows}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Quality))
