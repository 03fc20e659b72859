"""The consensus over different draws of cells, with doubt and without, by the training views' true labels.

python -m benchmarks.draws --run outputs/room/disconerf-small/TIME/config.yml --data data/room
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.quality import true_points
from benchmarks.runs import load
from disconerf_ns.discovery.cells import observe
from disconerf_ns.discovery.consensus import DOUBTS, agreement, collect, group
from disconerf_ns.discovery.find import COARSE, draw_cells
from disconerf_ns.evaluation.metrics import labels_table, weighted_iou
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole


@dataclass
class Draws:
    """Group many draws of cells, with and without doubt."""

    run: Path
    """config.yml of a disconerf run whose radiance field is used."""
    data: Path
    """Its dataset, with true labels in `labels/` and sets of masks in `masks/`."""
    masks: tuple[str, ...] = ("mild", "middle", "heavy")
    """Sets of masks."""
    draws: int = 8
    """Draws of cells."""
    results: Path = Path("benchmarks/results")
    """Folder of the figures."""


def main(trial: Draws) -> None:
    rows, surfaces = [], []
    for masks in trial.masks:
        pipeline = load(trial.run, trial.data, trial.data / "masks" / masks)
        surfaces = pipeline.object_stage.surfaces = surfaces or pipeline.object_stage.sample_surfaces(pipeline.folder)
        points, truth = true_points(pipeline)
        views = pipeline.object_stage._thinned_views(pipeline.config.consensus_rays)
        for draw in range(trial.draws):
            cells = draw_cells(views, draw)[:COARSE]
            seen, where = list(observe(cells, views)), cells.at(points)
            evidence = collect(seen, len(cells))
            for doubt in DOUBTS:
                groups = group(seen, evidence, doubt, None)
                iou = weighted_iou(labels_table((groups[where] + 1).numpy(), truth.numpy(), 0, 0))
                rows.append({"masks": masks, "draw": draw, "doubt": doubt, "objects": int(groups.max()) + 1})
                rows[-1] |= {"agreement": round(agreement(seen, groups), 4), "iou": round(float(iou), 4)}
                print(*rows[-1].values(), flush=True)
    facts = {"machine": machine(), "versions": versions(), "scene": trial.data.name, "rows": rows}
    write_whole(trial.results / f"draws_{trial.data.name}.json", json.dumps(facts, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Draws))
