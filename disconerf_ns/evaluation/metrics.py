"""How well a segmentation agrees with the truth: the paper's three metrics (DiscoNeRF, 4.1) and what they leave open.

Every metric takes a table of overlaps, so that label maps of a view, label maps of a whole scene (one label is one
object in all views) and overlapping masks are scored by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from scipy.optimize import linear_sum_assignment

MOSTLY = 0.5
"""More than this part of something lies in something else: it lies there mostly."""
SPLIT_COVER = 0.1
"""Least part of an object that a segment covers to be a piece of it, and not a sliver."""
PANOPTIC_IOU = 0.5
"""A segment and an object with a larger IoU than this are the same thing to panoptic quality."""


@dataclass(frozen=True)
class OverlapTable:
    """Sizes of predicted segments, of true objects, and of what each pair shares, in pixels that count."""

    segments: Int[np.ndarray, " p"]
    """Label of each segment in the prediction, or its number among the masks."""
    objects: Int[np.ndarray, " t"]
    """Label of each object in the truth."""
    predicted: Int[np.ndarray, " p"]
    """Size of each segment, >= 1."""
    true: Int[np.ndarray, " t"]
    """Size of each object, >= 1."""
    shared: Int[np.ndarray, "p t"]
    """Size of the intersection of each pair."""
    void: Int[np.ndarray, " p"]
    """Pixels of each segment that do not count, because their true label is ignored; `predicted` leaves them out."""

    @property
    def judged(self) -> Bool[np.ndarray, " p"]:
        """Segments of which at least half counts. Nobody can say whether the others are right."""
        return self.void <= self.predicted

    def iou(self) -> np.ndarray:
        """Intersection over union of every pair, (P, T) in [0, 1]."""
        return self.shared / (self.predicted[:, None] + self.true[None] - self.shared)

    def dice(self) -> np.ndarray:
        """Dice coefficient 2 |A and B| / (|A| + |B|) of every pair, (P, T) in [0, 1]."""
        return 2 * self.shared / (self.predicted[:, None] + self.true[None])


def labels_table(
    predicted: Int[np.ndarray, "..."],
    truth: Int[np.ndarray, "..."],
    ignore: int | Collection[int] | None = None,
    nothing: int | None = None,
) -> OverlapTable:
    """Overlaps of two label maps, of one view or of several stacked ones.

    Args:
        predicted, truth: labels; every other value than the two below is a segment or an object.
        ignore: true label whose pixels count nowhere, whatever was predicted there, or several of them.
        nothing: predicted label that is no segment; an object's pixels with it are missed.
    Raises:
        ValueError: the maps differ in shape.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted labels have shape {predicted.shape}, the true ones {truth.shape}")
    counted = _counted(truth, ignore)
    segments, p = np.unique(predicted[counted], return_inverse=True)
    objects, t = np.unique(truth[counted], return_inverse=True)
    cells = np.bincount(p * len(objects) + t, minlength=len(segments) * len(objects))
    shared = cells.reshape(len(segments), len(objects))
    uncounted = predicted[~counted]
    known = uncounted[np.isin(uncounted, segments)]
    void = np.bincount(np.searchsorted(segments, known), minlength=len(segments))
    real = np.ones(len(segments), bool) if nothing is None else segments != nothing
    return OverlapTable(segments[real], objects, shared.sum(1)[real], shared.sum(0), shared[real], void[real])


def masks_table(
    masks: Bool[np.ndarray, "k h w"], truth: Int[np.ndarray, "h w"], ignore: int | Collection[int] | None = None
) -> OverlapTable:
    """Overlaps of binary masks, which may overlap each other, with the true objects of one view.

    Args:
        masks: K masks, K may be 0; one without a pixel that counts is no segment.
        truth: true labels.
        ignore: true label whose pixels count nowhere, or several of them.
    """
    counted = _counted(truth, ignore)
    objects, t, true = np.unique(truth[counted], return_inverse=True, return_counts=True)
    rows = [np.bincount(t[mask[counted]], minlength=len(objects)) for mask in masks]
    shared = np.array(rows, np.int64).reshape(len(masks), len(objects))
    void = np.array([np.count_nonzero(mask[~counted]) for mask in masks], np.int64)
    seen = np.flatnonzero(shared.sum(1))
    return OverlapTable(seen, objects, shared[seen].sum(1), true, shared[seen], void[seen])


def _counted(truth: Int[np.ndarray, "*shape"], ignore: int | Collection[int] | None) -> Bool[np.ndarray, "*shape"]:
    labels = () if ignore is None else ignore
    return np.isin(truth, list(labels) if isinstance(labels, Collection) else labels, invert=True)


def match_segments(table: OverlapTable) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """The one-to-one matching of segments and objects with the largest sum of IoU times the object's area.

    Returns:
        Rows of segments and columns of objects, pairs that share a pixel.
    """
    rows, columns = linear_sum_assignment(table.iou() * table.true[None], maximize=True)
    touching = table.shared[rows, columns] > 0
    return rows[touching], columns[touching]


def weighted_iou(table: OverlapTable) -> float:
    """IoU of each true object with the one segment matched to it, as a mean weighted by the objects' areas, in [0, 1].

    Segments and objects are matched one to one so that the weighted mean is largest; an object without a segment
    counts 0.
    """
    rows, columns = match_segments(table)
    return _mean(table.iou()[rows, columns] * table.true[columns], table.true.sum())


def best_iou(table: OverlapTable) -> float:
    """The same with the best segment of each object, which may be the best of several objects: >= `weighted_iou`."""
    return _mean(table.iou().max(0, initial=0.0) * table.true, table.true.sum())


def best_dice(table: OverlapTable) -> float:
    """Best Dice BD(P, G) (Eq. 8): the largest Dice coefficient of each predicted segment with any true object.

    The mean over segments, in [0, 1]. A segment of which more than half lies on ignored pixels cannot be judged and
    takes no part.
    """
    best = table.dice().max(1, initial=0.0)[table.judged]
    return _mean(best, len(best))


def best_dice_of_truth(table: OverlapTable) -> float:
    """Best Dice BD(G, P): the largest Dice coefficient of each true object with any segment; the mean over objects."""
    return _mean(table.dice().max(0, initial=0.0), len(table.true))


def symmetric_best_dice(table: OverlapTable) -> float:
    """Symmetric Best Dice: the smaller of BD(P, G) and BD(G, P) (Eq. 8), in [0, 1]."""
    return min(best_dice(table), best_dice_of_truth(table))


def panoptic_quality(table: OverlapTable) -> float:
    """Panoptic quality (Kirillov et al., CVPR 2019) without classes, in [0, 1].

    PQ = SQ RQ = sum of IoU over TP / (|TP| + |FP| / 2 + |FN| / 2), where TP are the pairs with IoU > 1/2, FP the
    segments and FN the objects without a partner. Disjoint segments have one such partner at most; overlapping masks
    are matched one to one so that PQ is largest. Ignored pixels are cut off the segments before IoU is computed, and a
    segment without a partner is no FP if more than half of it lay on them (the paper's void rule).
    """
    iou = table.iou()
    hits = iou > PANOPTIC_IOU
    surely = int(table.judged.sum()) + len(table.true)
    quality = 0.0
    while True:
        # A partner makes a mostly ignored segment count, which costs PQ / 2 (Dinkelbach's algorithm).
        gain = np.where(hits, iou - quality / 2 * ~table.judged[:, None], 0.0)
        rows, columns = linear_sum_assignment(gain, maximize=True)
        matched = hits[rows, columns]
        rows, columns = rows[matched], columns[matched]
        found = _mean(iou[rows, columns], (surely + int((~table.judged[rows]).sum())) / 2)
        if found <= quality:
            return quality
        quality = found


def splits(table: OverlapTable) -> int:
    """Objects in pieces: two segments or more are pieces of each.

    A segment is a piece of an object if more than half of the segment lies in the object and it covers at least a tenth
    of the object. Overlapping masks are counted alike, so two masks that repeat each other are two pieces.
    """
    inside = table.shared / table.predicted[:, None] > MOSTLY
    covering = table.shared / table.true >= SPLIT_COVER
    return int(((inside & covering).sum(0) >= 2).sum())


def merges(table: OverlapTable) -> int:
    """Segments that run over several objects: those in which two objects or more lie with over half of their area."""
    return int(((table.shared / table.true > MOSTLY).sum(1) >= 2).sum())


Metrics = Mapping[str, Callable[[OverlapTable], float | int]]
"""Metrics by name."""

FRACTIONS: Metrics = {
    "IoU": weighted_iou,
    "IoU (best)": best_iou,
    "BD": best_dice,
    "BD (truth)": best_dice_of_truth,
    "SBD": symmetric_best_dice,
    "PQ": panoptic_quality,
}
"""All metrics with values in [0, 1]."""

METRICS: Metrics = {name: FRACTIONS[name] for name in ("IoU", "BD", "SBD")}
"""The paper's three metrics."""

COUNTS: Metrics = {"splits": splits, "merges": merges}
"""The mistakes that are counted."""


def _mean(values: np.ndarray, count: int | float | np.integer) -> float:
    """Sum over count, and 0 of nothing."""
    return float(values.sum() / count) if count > 0 else 0.0
