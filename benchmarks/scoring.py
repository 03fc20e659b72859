"""Label maps of the held-out views beside true instances or parts, and what lies outside of any true object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int
from scipy.ndimage import label as connected

from disconerf_ns.evaluation.label_files import label_files
from disconerf_ns.evaluation.metrics import FRACTIONS, Metrics, OverlapTable, labels_table, masks_table
from disconerf_ns.evaluation.predictions import NOTHING
from disconerf_ns.evaluation.scores import apply
from disconerf_ns.evaluation.views import View, load_masks
from disconerf_ns.masks.image_masks import resample
from disconerf_ns.masks.store import MaskStore

METRICS: Metrics = {name: FRACTIONS[name] for name in ("IoU", "BD", "BD (truth)", "SBD")}
"""The paper's metrics, Best Dice both ways."""
VOID = 0
"""True label that counts nowhere."""
LEAST_ISLAND = 4
"""Pixels of the smallest island that is counted."""

LabelMaps = Sequence[Int[np.ndarray, "h w"]]
"""Predicted labels of each held-out view, NOTHING where there is no object."""


@dataclass(frozen=True)
class Truth:
    """True labels of the held-out views, of objects or of their parts."""

    maps: LabelMaps
    """At full size."""
    nobody: frozenset[int] = frozenset()
    """Labels of surface that the masks never cover. It is no object, and what is predicted there is wrong."""

    def at(self, maps: LabelMaps) -> LabelMaps:
        """The true labels at the size of predicted ones."""
        return [resample(true, *predicted.shape) for true, predicted in zip(self.maps, maps)]

    def without_nobody(self, table: OverlapTable) -> OverlapTable:
        """A table without the objects that are none; segments keep the pixels that they have there."""
        kept = ~np.isin(table.objects, list(self.nobody))
        return replace(table, objects=table.objects[kept], true=table.true[kept], shared=table.shared[:, kept])

    def table(self, predicted: Int[np.ndarray, "..."], true: Int[np.ndarray, "..."]) -> OverlapTable:
        """Overlaps of predicted and true labels of one size."""
        return self.without_nobody(labels_table(predicted, true, VOID, NOTHING))


def uncovered(store: MaskStore) -> list[int]:
    """Labels of the objects that a made set of masks leaves out, as its manifest says."""
    return store.manifest.get("parameters", {}).get("uncovered", [])


def read_truth(data: Path, folder: str, views: Sequence[View], nobody: Sequence[int] = ()) -> Truth:
    """The held-out views' labels in `labels` or `parts`.

    Args:
        data: a made dataset.
        folder: of the label images; `labels.json` in it says which object a part is of.
        views: the held-out views.
        nobody: labels of objects that are none.
    """
    names = data / folder / "labels.json"
    entries = json.loads(names.read_text())["objects"] if nobody else []
    of_nobody = {entry["label"] for entry in entries if entry.get("object", entry["label"]) in nobody}
    return Truth([file.read() for file in label_files(data / folder, views)], frozenset(of_nobody))


def score_maps(maps: LabelMaps, truth: Truth) -> dict[str, dict[str, float]]:
    """Metrics as a mean over views that show an object (`views`), and of all views at once (`scene`)."""
    true = truth.at(maps)
    tables = [truth.table(predicted, label) for predicted, label in zip(maps, true)]
    each = [apply(METRICS, table) for table in tables if len(table.objects)]
    scene = truth.table(_joined(maps), _joined(true))
    return {"views": _means(each), "scene": apply(METRICS, scene)}


def score_masks(store: MaskStore, views: Sequence[View], truth: Truth) -> dict[str, float]:
    """Metrics of the views' 2D masks, a mean over views that show an object."""
    tables = [
        truth.without_nobody(masks_table(load_masks(store, view).decode(*true.shape), true, VOID))
        for view, true in zip(views, truth.maps)
    ]
    return _means([apply(METRICS, table) for table in tables if len(table.objects)])


def outside(maps: LabelMaps, truth: Truth) -> float:
    """Share of the pixels of predicted objects that lie outside of any true object; 0 without a prediction."""
    predicted, true = _joined(maps), _joined(truth.at(maps))
    counted = (predicted != NOTHING) & (true != VOID)
    return float(np.isin(true[counted], list(truth.nobody)).mean()) if counted.any() else 0.0


def islands(maps: LabelMaps, truth: Truth) -> int:
    """Connected pieces of an object in a view that touch nothing of its own true object, over all views.

    An object's own true object is the one in which most of its pixels of all views lie; nobody's counts as one.
    Diagonal neighbours are connected, and pieces of fewer than LEAST_ISLAND pixels, or of void ones, are left out.
    """
    true = [np.where(np.isin(label, list(truth.nobody)), -1, label) for label in truth.at(maps)]
    table = labels_table(_joined(maps), _joined(true), VOID, NOTHING)
    own = {segment: table.objects[row.argmax()] for segment, row in zip(table.segments, table.shared)}
    return sum(
        _strays((predicted == segment) & (label != VOID), label == own[segment])
        for predicted, label in zip(maps, true)
        for segment in np.intersect1d(np.unique(predicted), table.segments)
    )


def _strays(region: Bool[np.ndarray, "h w"], home: Bool[np.ndarray, "h w"]) -> int:
    """Pieces of a region that do not meet its home."""
    pieces, count = connected(region, np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    at_home = np.bincount(pieces[home], minlength=count + 1)[1:]
    return int(((sizes >= LEAST_ISLAND) & (at_home == 0)).sum())


def _joined(maps: LabelMaps) -> Int[np.ndarray, " pixels"]:
    return np.concatenate([label.ravel() for label in maps])


def _means(values: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([value[name] for value in values])) for name in METRICS} if values else {}
