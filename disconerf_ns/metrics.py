"""How well a segmentation agrees with the truth: area-weighted IoU, Best Dice and Symmetric Best Dice (DiscoNeRF, 4.1).

Every metric takes a table of overlaps, so that label maps of a view, label maps of a whole scene (one label is one
object in all views) and overlapping masks are scored by the same code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Shaped
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True)
class OverlapTable:
    """Sizes of predicted segments, of true objects, and of what each pair shares, in pixels."""

    predicted: Int[np.ndarray, " p"]
    true: Int[np.ndarray, " t"]
    shared: Int[np.ndarray, "p t"]

    def iou(self) -> np.ndarray:
        """Intersection over union of every pair, (P, T) in [0, 1]."""
        union = self.predicted[:, None] + self.true[None] - self.shared
        return self.shared / np.maximum(union, 1)

    def dice(self) -> np.ndarray:
        """Dice coefficient 2 |A and B| / (|A| + |B|) of every pair, (P, T) in [0, 1]."""
        return 2 * self.shared / np.maximum(self.predicted[:, None] + self.true[None], 1)


def labels_table(
    predicted: Int[np.ndarray, "..."], truth: Int[np.ndarray, "..."], ignore: int | None = None
) -> OverlapTable:
    """Overlaps of two label maps, of one view or of several stacked ones.

    Args:
        predicted, truth: labels; every value is a segment.
        ignore: true label whose pixels count nowhere.
    Raises:
        ValueError: the maps differ in shape.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted labels have shape {predicted.shape}, the true ones {truth.shape}")
    counted = np.ones(truth.shape, bool) if ignore is None else truth != ignore
    predicted_ids, p = np.unique(predicted[counted], return_inverse=True)
    true_ids, t = np.unique(truth[counted], return_inverse=True)
    shared = np.zeros((len(predicted_ids), len(true_ids)), np.int64)
    np.add.at(shared, (p.ravel(), t.ravel()), 1)
    return OverlapTable(shared.sum(1), shared.sum(0), shared)


def masks_table(
    masks: Bool[np.ndarray, "k h w"], truth: Int[np.ndarray, "h w"], ignore: int | None = None
) -> OverlapTable:
    """Overlaps of binary masks, which may overlap each other, with the true objects of one view.

    Args:
        masks: K masks, K may be 0.
        truth: true labels.
        ignore: true label whose pixels count nowhere.
    """
    counted = np.ones(truth.shape, bool) if ignore is None else truth != ignore
    objects = _one_hot(truth[counted], np.unique(truth[counted]))
    flat = masks[:, counted].astype(np.int64)
    return OverlapTable(flat.sum(1), objects.sum(1), flat @ objects.T)


def _one_hot(values: Shaped[np.ndarray, " n"], ids: Shaped[np.ndarray, " t"]) -> Int[np.ndarray, "t n"]:
    return (values[None] == ids[:, None]).astype(np.int64)


def weighted_iou(table: OverlapTable) -> float:
    """IoU of each true object with the one segment matched to it, as a mean weighted by the objects' areas, in [0, 1].

    Segments and objects are matched one to one so that the weighted mean is largest; an object without a segment
    counts 0.
    """
    if table.true.sum() == 0:
        return 0.0
    gain = table.iou() * table.true[None]
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return float(gain[rows, columns].sum() / table.true.sum())


def best_dice(table: OverlapTable) -> float:
    """Best Dice: for each true object the largest Dice coefficient of any segment; the mean over objects, in [0, 1]."""
    dice = table.dice()
    if dice.shape[1] == 0:
        return 0.0
    return float(dice.max(0, initial=0.0).mean())


def symmetric_best_dice(table: OverlapTable) -> float:
    """The smaller of Best Dice and the same with segments and objects swapped (Eq. 8), in [0, 1]."""
    swapped = OverlapTable(table.true, table.predicted, table.shared.T)
    return min(best_dice(table), best_dice(swapped))
