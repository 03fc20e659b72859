"""The consensus over different draws of cells, by the training views' true labels.

    python -m benchmarks.draws --run outputs/room/disconerf-small/TIME/config.yml --data data/room

Cells are merged with doubt and without, and in two orders: the most similar pairs first, as shipped, or in rounds, of
which the first one merges only pairs that many views see together (MaskClustering's schedule of observers). "Largest
agreement" is the grouping of the shipped order that agrees most with the masks, "as shipped" the same with what other
draws know better.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
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
from disconerf_ns.discovery.cells import MaskedSurface, observe
from disconerf_ns.discovery.consensus import DOUBTS, LEAST_VIEWS, Evidence, ViewAgreement, agreement, collect, linkage
from disconerf_ns.discovery.find import COARSE, DRAWS, best_of, draw_cells
from disconerf_ns.discovery.graft import grafted
from disconerf_ns.discovery.grouping import Grouping
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
    groups = torch.arange(len(evidence.views))
    for least in (*sample.quantile(torch.tensor(OBSERVED)).tolist(), LEAST_VIEWS):
        with mock.patch.object(consensus, "LEAST_VIEWS", max(least, LEAST_VIEWS)):
            groups = linkage(joined(evidence, groups), doubt)[groups].unique(return_inverse=True)[1]
    return groups


def joined(evidence: Evidence, groups: Int[Tensor, "cells"]) -> Evidence:
    """Evidence about pairs of groups: the sums over pairs of their cells."""
    count = int(groups.max()) + 1
    rows = (torch.zeros(count, table.shape[1]).index_add_(0, groups, table) for table in evidence)
    return Evidence(*(torch.zeros(count, count).index_add_(1, groups, part) for part in rows))


def main(trial: Draws) -> None:
    rows, times, surfaces = [], {}, []
    for masks in trial.masks:
        pipeline = load(trial.run, trial.data, trial.data / "masks" / masks)
        surfaces = pipeline.object_stage.surfaces = surfaces or pipeline.object_stage.sample_surfaces(pipeline.folder)
        points, truth = true_points(pipeline)
        views = pipeline.object_stage._thinned_views(pipeline.config.consensus_rays)
        start = time.perf_counter()
        drawn = [drawn_cells(views, draw) for draw in range(trial.draws)]
        found = {("similar first", doubt): [grouped(each, linkage, doubt) for each in drawn] for doubt in DOUBTS}
        shipped, before = [each for groupings in found.values() for each in groupings], time.perf_counter()
        best, every = best_of(shipped)
        found["largest agreement", None], found["as shipped", None] = [best], [grafted(best, every)]
        times[masks] = {"groupings": round(before - start, 2), "grafts": round(time.perf_counter() - before, 2)}
        for doubt in DOUBTS:
            found["observed first", doubt] = [grouped(each, observed_first, doubt) for each in drawn]
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


def drawn_cells(views: Sequence[MaskedSurface], seed: int) -> Grouping:
    """A draw of cells with its evidence, which is not grouped yet."""
    draw = draw_cells(views, seed)
    seen = list(observe(draw[:COARSE], views))
    count = min(COARSE, len(draw))
    return Grouping(0.0, draw, seen, collect(seen, count), torch.full((count,), -1))


def grouped(drawn: Grouping, merge: Callable[[Evidence, float], Int[Tensor, "cells"]], doubt: float) -> Grouping:
    """The same draw, grouped by a linkage."""
    with mock.patch.object(grouping, "linkage", merge):
        groups = grouping.group(drawn.seen, drawn.coarse, drawn.evidence, doubt, None)
    agreed = agreement(ViewAgreement.of(view, groups) for view in drawn.seen)
    return drawn._replace(agreement=agreed, groups=groups)


if __name__ == "__main__":
    main(tyro.cli(Draws))
