"""How alike masks make close cells on both sides of objects' borders, by the training views' true labels.

    python -m benchmarks.continued --run outputs/room/disconerf-small/TIME/config.yml --data data/room

Units are the objects of the default cut before those that go on across a border are joined (`discovery/continued.py`).
A border is true if most points of the two units are of different true objects.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import tyro

from benchmarks.quality import true_points
from benchmarks.runs import load
from disconerf_ns.discovery import unions
from disconerf_ns.discovery.continued import (
    CONTINUED,
    LEAST_SEEN,
    at_borders,
    continued,
    largest,
    unit_of,
    without_strays,
)
from disconerf_ns.discovery.find import find_consensus
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole


@dataclass
class Borders:
    """Compare similarities at true borders with the one from which on there is no border."""

    run: Path
    """config.yml of a disconerf run whose radiance field is used."""
    data: Path
    """Its dataset, with true labels in `labels/` and sets of masks in `masks/`."""
    masks: tuple[str, ...] = ("mild", "middle", "heavy", "mixed", "mixed-heavy", "sparse", "sparse-heavy")
    """Sets of masks."""
    results: Path = Path("benchmarks/results")
    """Folder of the figures."""


def main(trial: Borders) -> None:
    rows, surfaces = [], []
    for masks in trial.masks:
        pipeline = load(trial.run, trial.data, trial.data / "masks" / masks)
        surfaces = pipeline.object_stage.surfaces = surfaces or pipeline.object_stage.sample_surfaces(pipeline.folder)
        asked: list[tuple] = []
        note = lambda *found: asked.append(found) or continued(*found)  # noqa: B023
        with mock.patch.object(unions, "continued", note):
            find_consensus(pipeline.object_stage._thinned_views(pipeline.config.consensus_rays))
        rows.append({"masks": masks} | of_borders(*asked[0], *true_points(pipeline)))
        print(*rows[-1].values(), flush=True)
    facts = {"machine": machine(), "versions": versions(), "scene": trial.data.name, "joined from": CONTINUED}
    write_whole(trial.results / f"continued_{trial.data.name}.json", json.dumps({**facts, "rows": rows}, indent=1))


def of_borders(cells, evidence, groups, units, points, truth) -> dict[str, Any]:
    """The largest similarities at true borders and at others, and the number of unions that are joined."""
    own = without_strays(cells, unit_of(units, groups))
    similar, views = at_borders(cells, evidence, own, len(units))
    there = own[cells.at(points)]
    thing = torch.stack([truth[there == unit].mode().values for unit in range(len(units))])
    one, other = (views.triu(1) >= LEAST_SEEN).nonzero().T
    mean, true = similar[one, other] / views[one, other], thing[one] != thing[other]
    kinds = {"true": mean[true], "other": mean[~true]}
    return {
        "borders": len(mean),
        **{f"largest, {name}": round(float(each.max()), 3) if len(each) else None for name, each in kinds.items()},
        "unions joined": len(largest([union for union, _ in continued(cells, evidence, groups, units)])),
    }


if __name__ == "__main__":
    main(tyro.cli(Borders))
