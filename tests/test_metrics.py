"""Metrics against numbers worked by hand, against brute force, and their laws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disconerf_ns.metrics import (
    best_dice,
    best_iou,
    labels_table,
    masks_table,
    match,
    merges,
    panoptic_quality,
    splits,
    symmetric_best_dice,
    weighted_iou,
)

FRACTIONS = (weighted_iou, best_iou, best_dice, symmetric_best_dice, panoptic_quality)
COUNTS = (splits, merges)
seeds = st.integers(0, 10_000)


def random_labels(seed: int, predicted: int = 4, true: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, predicted, (2, 5, 6)), generator.integers(0, true, (2, 5, 6))


def smooth_labels(seed: int, count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """A truth in columns, and a prediction that shifts, cuts and joins them: many IoUs on both sides of 1/2."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.sort(generator.integers(0, count, 12))[None], 6, 0)
    predicted = np.roll(truth, generator.integers(0, 3), 1) + count * (generator.random((6, 1)) < 0.3)
    predicted[predicted == generator.integers(0, count)] = generator.integers(0, count)
    return predicted, truth


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def pixel_sets(labels: np.ndarray, counted: np.ndarray, left_out: int | None = None) -> list[set[tuple[int, ...]]]:
    """The pixels of each label, by going through them one after the other."""
    found: dict[int, set] = {}
    for pixel in np.ndindex(*labels.shape):
        if counted[pixel] and labels[pixel] != left_out:
            found.setdefault(int(labels[pixel]), set()).add(pixel)
    return list(found.values())


def best_iou_by_loops(segments: list[set], objects: list[set]) -> float:
    total = 0.0
    for true in objects:
        total += len(true) * max((len(true & p) / len(true | p) for p in segments), default=0.0)
    return total / max(sum(map(len, objects)), 1)


def splits_by_loops(segments: list[set], objects: list[set]) -> int:
    count = 0
    for true in objects:
        pieces = 0
        for segment in segments:
            common = len(segment & true)
            pieces += 2 * common > len(segment) and 10 * common >= len(true)
        count += pieces >= 2
    return count


def merges_by_loops(segments: list[set], objects: list[set]) -> int:
    return sum(sum(2 * len(segment & true) > len(true) for true in objects) >= 2 for segment in segments)


def panoptic_quality_by_loops(segments: list[set], objects: list[set]) -> float:
    """SQ times RQ, largest over all ways to pair segments with objects."""
    best = 0.0
    objects = [*objects, *[None] * len(segments)]
    for partners in set(itertools.permutations(range(len(objects)), len(segments))):
        hits = [
            len(p & objects[t]) / len(p | objects[t])
            for p, t in zip(segments, partners)
            if objects[t] is not None and len(p & objects[t]) / len(p | objects[t]) > 0.5
        ]
        true_positives = len(hits)
        if true_positives:
            false_positives = len(segments) - true_positives
            false_negatives = sum(o is not None for o in objects) - true_positives
            sq = sum(hits) / true_positives
            rq = true_positives / (true_positives + false_positives / 2 + false_negatives / 2)
            best = max(best, sq * rq)
    return best


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


@given(seed=seeds)
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


def test_one_segment_may_be_the_best_of_two_objects() -> None:
    assert best_iou(labels_table(np.zeros((1, 10), int), np.array([[1] * 6 + [2] * 4]))) == pytest.approx(0.36 + 0.16)


def test_panoptic_quality_by_hand() -> None:
    truth = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 3, 3]])
    predicted = np.array([[1, 1, 1, 4, 2, 2, 5, 5, 6, 6]])
    # 1 and 3 are found with IoU 3/4 and 1; 2 is missed (2/4 is not more than 1/2), so are the segments 4, 2 and 5
    assert panoptic_quality(labels_table(predicted, truth)) == pytest.approx((3 / 4 + 1) / (2 + 3 / 2 + 1 / 2))


def test_panoptic_quality_pairs_overlapping_masks_once() -> None:
    truth = np.array([[1] * 10 + [2] * 8])
    masks = np.zeros((3, 1, 18), bool)
    masks[0, :, :9], masks[1, :, :8], masks[2, :, 10:] = True, True, True
    # both first masks have an IoU above 1/2 with object 1; the better is the hit, the other a false positive
    assert panoptic_quality(masks_table(masks, truth)) == pytest.approx((9 / 10 + 1) / (2 + 1 / 2))


def test_an_object_is_split_by_pieces_of_a_tenth_that_lie_in_it() -> None:
    truth = np.array([[1] * 20 + [2] * 20])
    for sliver, split in ((1, 0), (2, 1)):
        predicted = np.array([[1] * (20 - sliver) + [3] * sliver + [2] * 20])
        assert splits(labels_table(predicted, truth)) == split
    # a segment that reaches over from object 2, or lies half in it, is no piece of 1
    for inside, split in ((5, 0), (6, 1)):
        predicted = np.array([[1] * (20 - inside) + [3] * (inside + 5) + [2] * 15])
        assert splits(labels_table(predicted, truth)) == split


def test_objects_are_merged_by_a_segment_that_holds_more_than_half_of_each() -> None:
    truth = np.array([[1] * 10 + [2] * 10])
    for reach, merge in ((5, 0), (6, 1)):
        predicted = np.array([[1] * (10 + reach) + [2] * (10 - reach)])
        assert merges(labels_table(predicted, truth)) == merge


def test_three_objects_in_one_segment_are_one_merge_and_three_pieces_one_split() -> None:
    one, three = np.zeros((1, 9), int), np.repeat([[1, 2, 3]], 3, 1)
    assert merges(labels_table(one, three)) == 1 and splits(labels_table(one, three)) == 0
    assert merges(labels_table(three, one)) == 0 and splits(labels_table(three, one)) == 1


def test_nothing_is_no_segment_but_its_pixels_are_missed() -> None:
    truth, predicted = np.array([[1, 1, 1, 1, 2, 2]]), np.array([[7, 7, 7, 0, 0, 0]])
    table = labels_table(predicted, truth, nothing=0)
    assert table.segments.tolist() == [7] and table.true.tolist() == [4, 2]
    assert weighted_iou(table) == best_iou(table) == pytest.approx(4 / 6 * 3 / 4)
    assert symmetric_best_dice(table) == pytest.approx(6 / 7 / 2)
    assert panoptic_quality(table) == pytest.approx(3 / 4 / (1 + 1 / 2))


def test_matching_names_segments_and_objects() -> None:
    table = labels_table(np.array([[9, 9, 4, 4, 4, 8]]), np.array([[1, 1, 2, 2, 5, 5]]))
    pairs = {(int(table.segments[p]), int(table.objects[t])) for p, t in zip(*match(table))}
    assert pairs == {(9, 1), (4, 2), (8, 5)}
    apart = labels_table(np.array([[3, 3, 4, 0]]), np.array([[1, 1, 1, 2]]), nothing=0)
    assert [a.tolist() for a in match(apart)] == [[0], [0]]


def test_a_mask_on_ignored_pixels_alone_is_no_segment() -> None:
    truth = np.array([[0, 0, 1, 1]])
    masks = np.array([[[0, 0, 1, 1]], [[1, 1, 0, 0]], [[0, 0, 0, 0]]], bool)
    table = masks_table(masks, truth, ignore=0)
    assert table.segments.tolist() == [0]
    assert all(metric(table) == 1.0 for metric in FRACTIONS)


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_brute_force_of_what_the_paper_leaves_open(seed: int) -> None:
    for predicted, truth in (smooth_labels(seed), tuple(labels[0] for labels in random_labels(seed))):
        for ignore in (None, 0):
            table = labels_table(predicted, truth, ignore, nothing=1)
            counted = truth != ignore
            segments, objects = pixel_sets(predicted, counted, 1), pixel_sets(truth, counted)
            assert best_iou(table) == pytest.approx(best_iou_by_loops(segments, objects))
            assert splits(table) == splits_by_loops(segments, objects)
            assert merges(table) == merges_by_loops(segments, objects)
            hits = [len(p & t) / len(p | t) for p in segments for t in objects if len(p & t) / len(p | t) > 0.5]
            quality = 2 * sum(hits) / max(len(segments) + len(objects), 1)
            assert panoptic_quality(table) == pytest.approx(quality)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_brute_force_on_overlapping_masks(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.sort(generator.integers(0, 3, 8))[None], 3, 0)
    masks = np.stack([(truth == generator.integers(0, 3)) ^ (generator.random((3, 8)) < 0.2) for _ in range(3)])
    table = masks_table(masks, truth, ignore=0)
    segments = [{p for p in np.ndindex(3, 8) if mask[p] and truth[p] != 0} for mask in masks]
    segments, objects = [segment for segment in segments if segment], pixel_sets(truth, truth != 0)
    assert best_iou(table) == pytest.approx(best_iou_by_loops(segments, objects))
    assert splits(table) == splits_by_loops(segments, objects)
    assert merges(table) == merges_by_loops(segments, objects)
    assert panoptic_quality(table) == pytest.approx(panoptic_quality_by_loops(segments, objects))


def test_the_smooth_maps_of_the_brute_force_have_splits_merges_and_hits() -> None:
    tables = [labels_table(*smooth_labels(seed)) for seed in range(40)]
    for metric in (splits, merges, panoptic_quality):
        assert len({metric(table) for table in tables}) > 1


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_the_best_segment_is_no_worse_than_the_matched_one(seed: int) -> None:
    for predicted, truth in (random_labels(seed), smooth_labels(seed)):
        table = labels_table(predicted, truth)
        assert weighted_iou(table) <= best_iou(table) + 1e-12
        assert splits(table) <= len(table.objects) and merges(table.swapped()) <= len(table.objects)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_what_is_predicted_on_ignored_pixels_does_not_matter(seed: int) -> None:
    predicted, truth = smooth_labels(seed)
    other = np.where(truth == 1, np.random.default_rng(seed).integers(0, 99, truth.shape), predicted)
    for metric in (*FRACTIONS, *COUNTS):
        assert metric(labels_table(other, truth, ignore=1)) == metric(labels_table(predicted, truth, ignore=1))


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_names_of_labels_do_not_matter_and_perfect_is_one(seed: int) -> None:
    predicted, truth = random_labels(seed)
    renamed = np.random.default_rng(seed).permutation(50)[predicted]
    for metric in (*FRACTIONS, *COUNTS):
        assert metric(labels_table(renamed, truth)) == pytest.approx(metric(labels_table(predicted, truth)))
        assert metric(labels_table(renamed, predicted)) == pytest.approx(0.0 if metric in COUNTS else 1.0)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_disjoint_masks_score_as_the_label_map_that_they_make(seed: int) -> None:
    predicted, truth = random_labels(seed)
    masks = np.stack([predicted[0] == p for p in np.unique(predicted[0])])
    for metric in (*FRACTIONS, *COUNTS):
        assert metric(masks_table(masks, truth[0])) == pytest.approx(metric(labels_table(predicted[0], truth[0])))


def test_no_masks_score_nothing() -> None:
    table = masks_table(np.zeros((0, 2, 2), bool), np.ones((2, 2), int))
    assert all(metric(table) == 0 for metric in (*FRACTIONS, *COUNTS))


def test_a_truth_that_is_ignored_everywhere_scores_nothing() -> None:
    table = labels_table(np.ones((2, 2), int), np.zeros((2, 2), int), ignore=0)
    assert all(metric(table) == 0 for metric in (*FRACTIONS, *COUNTS))


def test_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        labels_table(np.zeros((2, 2), int), np.zeros((2, 3), int))
