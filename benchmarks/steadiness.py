"""How far the objects of the default cut depend on which cells are drawn, by the training views' true labels.

    python -m benchmarks.steadiness --run outputs/room/disconerf-small/TIME/config.yml --data data/room

The whole discovery runs several times, each time on draws of its own, as shipped and in other ways: without a majority,
the grouping that agrees most with the masks is the one that is mended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tyro
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.quality import SMALLEST, true_points
from benchmarks.runs import load
from benchmarks.scoring import METRICS, Truth, uncovered
from disconerf_ns.discovery import find
from disconerf_ns.discovery.cells import Cells
from disconerf_ns.discovery.consensus import Consensus
from disconerf_ns.evaluation.predictions import NOTHING
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.evaluation.scores import apply
from disconerf_ns.files import write_whole


@dataclass
class Steadiness:
    """Find the objects on several sets of draws."""

    run: Path
    """config.yml of a disconerf run whose radiance field is used."""
    data: Path
    """Its dataset, with true labels in `labels/` and sets of masks in `masks/`."""
    masks: tuple[str, ...] = ("middle", "mixed", "heavy")
    """Sets of masks."""
    ways: tuple[str, ...] = ("as shipped", "without a majority")
    """Names in WAYS."""
    repetitions: int = 4
    """Number of sets of draws."""
    results: Path = Path("benchmarks/results")
    """Folder of the figures."""


WAYS: dict[str, Callable[[], Any]] = {
    "as shipped": nullcontext,
    "without a majority": lambda: mock.patch.object(find, "majority", lambda best, every: best),
}


def main(trial: Steadiness) -> None:
    rows, surfaces = [], []
    for masks in trial.masks:
        pipeline = load(trial.run, trial.data, trial.data / "masks" / masks)
        surfaces = pipeline.object_stage.surfaces = surfaces or pipeline.object_stage.sample_surfaces(pipeline.folder)
        points, labels = true_points(pipeline)
        truth = Truth([], frozenset(uncovered(pipeline.datamanager.store)))
        views = pipeline.object_stage._thinned_views(pipeline.config.consensus_rays)
        for way in trial.ways:
            for repetition in range(trial.repetitions):
                start = time.perf_counter()
                with WAYS[way](), drawing_anew(repetition):
                    found = find.find_consensus(views)
                seconds = round(time.perf_counter() - start, 1)
                predicted = objects(found, points)
                shown = np.unique(predicted[predicted != NOTHING])
                scores = apply(METRICS, truth.table(predicted, labels.numpy()))
                rows.append({"masks": masks, "way": way, "repetition": repetition, "objects": len(shown)})
                rows[-1] |= {name: round(value, 4) for name, value in scores.items()} | {"seconds": seconds}
                print(*rows[-1].values(), flush=True)
        facts = {"machine": machine(), "versions": versions(), "scene": trial.data.name, "rows": rows}
        write_whole(trial.results / f"steadiness_{trial.data.name}.json", json.dumps(facts, indent=1))


def drawing_anew(repetition: int) -> Any:
    """The discovery draws cells with other seeds than in other repetitions; with the shipped ones in the first."""
    draw = find.draw_cells
    return mock.patch.object(find, "draw_cells", lambda views, seed: draw(views, seed + 100 * repetition))


def objects(found: Consensus, points: Float[Tensor, "n 3"]) -> Int[np.ndarray, " n"]:
    """The object of the default cut in which each point lies, from 1; NOTHING for the rest and small ones."""
    object_of = find.owners(found.tree, ()) + 1
    predicted = object_of[found.groups[Cells(found.points).at(points)]].numpy()
    numbers, counts = np.unique(predicted, return_counts=True)
    return np.where(np.isin(predicted, numbers[counts < SMALLEST * len(predicted)]), NOTHING, predicted)


if __name__ == "__main__":
    main(tyro.cli(Steadiness))
