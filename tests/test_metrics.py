"""Metrics against numbers worked by hand, against brute force, and their laws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disconerf_ns.metrics import best_dice, labels_table, masks_table, symmetric_best_dice, weighted_iou


def random_labels(seed: int, predicted: int = 4, true: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, predicted, (2, 5, 6)), generator.integers(0, true, (2, 5, 6))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_by_hand() -> None:
    truth = np.array([[1, 1, 1, 1, 2, 2]])
    predicted = np.array([[7, 7, 7, 8, 8, 8]])
    table = labels_table(predicted, truth)
    # 7 and 1 share 3 of 4 pixels, 8 and 2 share 2 of 3
    assert weighted_iou(table) == pytest.approx((4 * 3 / 4 + 2 * 2 / 3) / 6)
    # Dice 2*3/(3+4) and 2*2/(3+2), the same pairs in both directions
    assert best_dice(table) == pytest.approx((6 / 7 + 4 / 5) / 2)
    assert symmetric_best_dice(table) == pytest.approx((6 / 7 + 4 / 5) / 2)


def test_slivers_cost_symmetric_best_dice_only() -> None:
    truth = np.ones((1, 10), int)
    predicted = np.array([[1] * 9 + [2]])
    table = labels_table(predicted, truth)
    assert best_dice(table) == pytest.approx(18 / 19)
    assert symmetric_best_dice(table) == pytest.approx((18 / 19 + 2 / 11) / 2)


def test_one_segment_cannot_serve_two_objects() -> None:
    table = labels_table(np.zeros((1, 10), int), np.array([[1] * 6 + [2] * 4]))
    assert weighted_iou(table) == pytest.approx(0.6 * 0.6)


def test_ignored_pixels_count_nowhere() -> None:
    truth = np.array([[0, 0, 1, 1, 2, 2]])
    table = labels_table(np.array([[5, 6, 6, 6, 5, 5]]), truth, ignore=0)
    assert weighted_iou(table) == best_dice(table) == symmetric_best_dice(table) == 1.0


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_brute_force(seed: int) -> None:
    predicted, truth = random_labels(seed)
    segments = [predicted == p for p in np.unique(predicted)]
    objects = [truth == t for t in np.unique(truth)]
    table = labels_table(predicted, truth)
    best = max(
        sum(t.sum() * (segments[p] & t).sum() / (segments[p] | t).sum() for p, t in zip(chosen, objects))
        for chosen in itertools.permutations(range(len(segments)), len(objects))
    )
    assert weighted_iou(table) == pytest.approx(best / truth.size)
    forward = np.mean([max(dice(p, t) for p in segments) for t in objects])
    backward = np.mean([max(dice(p, t) for t in objects) for p in segments])
    assert best_dice(table) == pytest.approx(forward)
    assert symmetric_best_dice(table) == pytest.approx(min(forward, backward))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_names_of_labels_do_not_matter_and_perfect_is_one(seed: int) -> None:
    predicted, truth = random_labels(seed)
    renamed = np.random.default_rng(seed).permutation(50)[predicted]
    for metric in (weighted_iou, best_dice, symmetric_best_dice):
        assert metric(labels_table(renamed, truth)) == pytest.approx(metric(labels_table(predicted, truth)))
        assert metric(labels_table(renamed, predicted)) == pytest.approx(1.0)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_disjoint_masks_score_as_the_label_map_that_they_make(seed: int) -> None:
    predicted, truth = random_labels(seed)
    masks = np.stack([predicted[0] == p for p in np.unique(predicted[0])])
    for metric in (weighted_iou, best_dice, symmetric_best_dice):
        assert metric(masks_table(masks, truth[0])) == pytest.approx(metric(labels_table(predicted[0], truth[0])))


def test_no_masks_score_nothing() -> None:
    table = masks_table(np.zeros((0, 2, 2), bool), np.ones((2, 2), int))
    assert weighted_iou(table) == best_dice(table) == symmetric_best_dice(table) == 0.0


def test_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        labels_table(np.zeros((2, 2), int), np.zeros((2, 3), int))
