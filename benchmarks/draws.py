"""The consensus over different draws of cells, by the training views' true labels.

    python -m benchmarks.draws --run outputs/room/disconerf-small/TIME/config.yml --data data/room

Cells are merged with doubt and without, and in two orders: the most similar pairs first, as shipped, or in rounds, of
which the first one merges only pairs that many views see together (MaskClustering's schedule of observers). "Largest
agreement" is the grouping of the shipped order that agrees most with the masks, "as shipped" the majority of them with
what single ones know better.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
import tyro
from jaxtyping import Int
from torch import Tensor

from benchmarks.quality import true_points
from benchmarks.runs import load
from disconerf_ns.discovery import consensus, grouping
from disconerf_ns.discovery.consensus import DOUBTS, LEAST_VIEWS, Evidence, linkage
from disconerf_ns.discovery.find import DRAWS, best_of, grouped, observed_draw
from disconerf_ns.discovery.graft import grafted
from disconerf_ns.discovery.majority import majority
from disconerf_ns.discovery.unions import agreements
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
    draws: int = DRAWS
    """Draws of cells."""
    results: Path = Path("benchmarks/results")
    """Folder of the figures."""


OBSERVED = (0.95, 0.8, 0.5)
"""Quantiles of the number of views that see two cells together, of pairs that any does: least number in each round."""


def observed_first(evidence: Evidence, doubt: float) -> Int[Tensor, "cells"]:
    """`linkage` in rounds: pairs of groups that many views see together, then those that fewer do, then all."""
    together = evidence.views[evidence.views > 0]
    sample = together[torch.randperm(len(together), generator=torch.Generator().manual_seed(0))[:1_000_000]]
    groups, merged = torch.arange(len(evidence.views)), evidence
    for least in (*sample.quantile(torch.tensor(OBSERVED)).tolist(), LEAST_VIEWS):
        with mock.patch.object(consensus, "LEAST_VIEWS", max(least, LEAST_VIEWS)):
            groups = linkage(merged, doubt)[groups].unique(return_inverse=True)[1]
        merged = Evidence(*agreements(evidence, groups, int(groups.max()) + 1))
    return groups


def main(trial: Draws) -> None:
    rows, times, surfaces = [], {}, []
    for masks in trial.masks:
        pipeline = load(trial.run, trial.data, trial.data / "masks" / masks)
        surfaces = pipeline.object_stage.surfaces = surfaces or pipeline.object_stage.sample_surfaces(pipeline.folder)
        points, truth = true_points(pipeline)
        views = pipeline.object_stage._thinned_views(pipeline.config.consensus_rays)
        start = time.perf_counter()
        drawn = [observed_draw(views, seed) for seed in range(trial.draws)]
        found = {("similar first", doubt): [grouped(each, doubt) for each in drawn] for doubt in DOUBTS}
        shipped, before = [each for groupings in found.values() for each in groupings], time.perf_counter()
        best, every = best_of(shipped)
        found["largest agreement", None], found["as shipped", None] = [best], [grafted(majority(best, every), every)]
        times[masks] = {
            "groupings": round(before - start, 2),
            "majority and grafts": round(time.perf_counter() - before, 2),
        }
        with mock.patch.object(grouping, "linkage", observed_first):
            found |= {("observed first", doubt): [grouped(each, doubt) for each in drawn] for doubt in DOUBTS}
        for (order, doubt), groupings in found.items():
            for draw, each in enumerate(groupings):
                own = each.groups[each.coarse.at(points)] + 1
                iou = float(weighted_iou(labels_table(own.numpy(), truth.numpy(), 0, 0)))
                rows.append({"masks": masks, "draw": draw, "order": order, "doubt": doubt})
                rows[-1] |= {"objects": int(each.groups.max()) + 1, "agreement": round(each.agreement, 4)}
                rows[-1] |= {"iou": round(iou, 4)}
                print(*rows[-1].values(), flush=True)
        facts = {"machine": machine(), "versions": versions(), "scene": trial.data.name, "seconds": times, "rows": rows}
        write_whole(trial.results / f"draws_{trial.data.name}.json", json.dumps(facts, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Draws))
