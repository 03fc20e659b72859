"""Learning rates of the methods beside the shipped one, tried on a scene whose figures are reported nowhere.

    python -m benchmarks.rates --run outputs/rehearsal/disconerf-small/TIME/config.yml --data data/rehearsal

The scene's true surface is used, so that a run of a few iterations will do. The rate with the highest mean of scene IoU
and scene SBD is the one that benchmarks/variants.py and benchmarks/baselines have.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from torch import nn

from benchmarks.baselines import contrastive, panoptic_lifting
from benchmarks.quality import Quality, Stage, maps_by_cut, score_cuts, show, surface_of
from benchmarks.variants import BY_VIEW, Variant, train
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.scene.tree import DEFAULT


def by_view(pipeline: DiscoNerfPipeline, iterations: int, seed: int, rate: float) -> nn.Module:
    """Matching in each view."""
    return train(pipeline, replace(BY_VIEW, rate=rate), iterations, seed)


def panoptic(pipeline: DiscoNerfPipeline, iterations: int, seed: int, rate: float) -> nn.Module:
    """Panoptic Lifting's loss."""
    return panoptic_lifting.train(pipeline, iterations, seed, rate=rate)


def contrasted(pipeline: DiscoNerfPipeline, iterations: int, seed: int, rate: float) -> nn.Module:
    """The contrastive field with our clustering."""
    return contrastive.train(pipeline, iterations, seed, replace(contrastive.OURS, rate=rate))


def contrasted_by_authors(pipeline: DiscoNerfPipeline, iterations: int, seed: int, rate: float) -> nn.Module:
    """The contrastive field with its authors' settings."""
    return contrastive.train(pipeline, iterations, seed, replace(contrastive.AUTHORS, rate=rate))


METHODS: dict[str, Callable[[DiscoNerfPipeline, int, int, float], nn.Module]] = {
    "view": by_view,
    "panoptic lifting": panoptic,
    "contrastive": contrasted,
    "contrastive, authors' settings": contrasted_by_authors,
}


@dataclass
class Rates:
    """Try learning rates."""

    run: Path
    """config.yml of a disconerf run of the dataset."""
    data: Path
    """The dataset of a made scene, with true labels in `labels/` and sets of masks in `masks/`."""
    masks: str = "middle"
    """Set of masks."""
    methods: tuple[str, ...] = tuple(METHODS)
    """Methods that are tried."""
    rates: tuple[float, ...] = (0.01, 0.03, 0.07, 0.15)
    """Learning rates after the warm-up."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of each."""
    iterations: int = 400
    """Iterations of each training."""
    downscale: int = 2
    """Held-out views are scored at 1 / downscale of their size."""
    output: Path = Path("benchmarks/results/rates.json")
    """File of the figures."""


KEYS = ("scene", "masks", "method", "rate", "seed")
"""Fields that say what a row of figures is about."""


def winners(rows: list[dict]) -> dict[str, float]:
    """Of every method the rate with the highest mean of scene IoU and scene SBD over the seeds."""
    best = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        worth: dict[float, list[float]] = {}
        for row in rows:
            if row["method"] == method:
                scene = row["scores"]["scene"]
                worth.setdefault(row["rate"], []).append((scene["IoU"] + scene["SBD"]) / 2)
        best[method] = max(worth, key=lambda rate: sum(worth[rate]) / len(worth[rate]))
    return best


def main(trial: Rates) -> None:
    rows = json.loads(trial.output.read_text())["rows"] if trial.output.exists() else []
    done = {tuple(row[key] for key in KEYS) for row in rows}
    of_quality = Quality(trial.run, trial.data, surface="true")
    stage = Stage(of_quality, trial.masks, {})
    with surface_of(of_quality, stage.pipeline):
        for method, rate, seed in itertools.product(trial.methods, trial.rates, trial.seeds):
            about = (trial.data.name, trial.masks, method, rate, seed)
            if about in done:
                continue
            pipeline = stage.prepare(Variant())
            objects = show(pipeline, method, METHODS[method](pipeline, trial.iterations, seed, rate))
            scores = score_cuts(pipeline, trial.data, {DEFAULT: maps_by_cut(pipeline, trial.downscale)[DEFAULT]})
            rows.append(dict(zip(KEYS, about)) | {"objects": objects, "scores": scores["scores"]})
            save(trial, rows)
            scene = rows[-1]["scores"]["scene"]
            print(method, rate, seed, *(f"{name} {100 * value:.1f}" for name, value in scene.items()), flush=True)
    print(winners(rows))


def save(trial: Rates, rows: list[dict]) -> None:
    """Write all figures."""
    facts = {"machine": machine(), "versions": versions(), "surface": "true", "iterations": trial.iterations}
    write_whole(trial.output, json.dumps({**facts, "winners": winners(rows), "rows": rows}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Rates))
