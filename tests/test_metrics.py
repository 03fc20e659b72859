"""Metrics against numbers worked by hand, against brute force, and their laws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.detection import panoptic_quality as panoptic_quality_of_torchmetrics

from disconerf_ns.evaluation.metrics import (
    best_dice,
    best_dice_of_truth,
    best_iou,
    labels_table,
    masks_table,
    match_segments,
    merges,
    panoptic_quality,
    splits,
    symmetric_best_dice,
    weighted_iou,
)

OF_COUNTED_PIXELS = (weighted_iou, best_iou, best_dice_of_truth)
"""Metrics of the pixels that count alone; the others ask which segments can be judged."""
FRACTIONS = (*OF_COUNTED_PIXELS, best_dice, symmetric_best_dice, panoptic_quality)
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


Pixels = set[tuple[int, ...]]


def pixel_sets(labels: np.ndarray, left_out: int | None = None) -> list[Pixels]:
    """The pixels of each label, by going through them one after the other."""
    found: dict[int, Pixels] = {}
    for pixel in np.ndindex(*labels.shape):
        if labels[pixel] != left_out:
            found.setdefault(int(labels[pixel]), set()).add(pixel)
    return list(found.values())


def seen_parts(segments: list[Pixels], truth: np.ndarray, void: int | None) -> list[Pixels]:
    """Each segment without its void pixels; those of which nothing is left are gone."""
    parts = [{pixel for pixel in segment if truth[pixel] != void} for segment in segments]
    return [part for part in parts if part]


def is_mostly_void(segment: Pixels, truth: np.ndarray, void: int | None) -> bool:
    return sum(truth[pixel] == void for pixel in segment) / len(segment) > 0.5


def best_dice_by_loops(given: list[Pixels], others: list[Pixels]) -> float:
    """BD(given, others)."""
    total = 0.0
    for one in given:
        total += max((2 * len(one & other) / (len(one) + len(other)) for other in others), default=0.0)
    return total / max(len(given), 1)


def best_dice_both_ways(segments: list[Pixels], truth: np.ndarray, void: int | None) -> tuple[float, float]:
    """BD(P, G) and BD(G, P)."""
    objects, judged = pixel_sets(truth, void), [s for s in segments if not is_mostly_void(s, truth, void)]
    return (
        best_dice_by_loops(seen_parts(judged, truth, void), objects),
        best_dice_by_loops(objects, seen_parts(segments, truth, void)),
    )


def best_iou_by_loops(segments: list[Pixels], objects: list[Pixels]) -> float:
    total = 0.0
    for true in objects:
        total += len(true) * max((len(true & p) / len(true | p) for p in segments), default=0.0)
    return total / max(sum(map(len, objects)), 1)


def splits_by_loops(segments: list[Pixels], objects: list[Pixels]) -> int:
    count = 0
    for true in objects:
        pieces = 0
        for segment in segments:
            common = len(segment & true)
            pieces += 2 * common > len(segment) and 10 * common >= len(true)
        count += pieces >= 2
    return count


def merges_by_loops(segments: list[Pixels], objects: list[Pixels]) -> int:
    return sum(sum(2 * len(segment & true) > len(true) for true in objects) >= 2 for segment in segments)


def panoptic_quality_by_loops(segments: list[Pixels], truth: np.ndarray, void: int | None) -> float:
    """SQ times RQ, largest over all ways to pair segments with objects."""
    objects = pixel_sets(truth, void)

    def best(rest: list[Pixels], free: list[Pixels], hits: list[float], false_positives: int) -> float:
        if not rest:
            if not hits:
                return 0.0
            sq = sum(hits) / len(hits)
            return sq * len(hits) / (len(hits) + false_positives / 2 + len(free) / 2)
        segment, rest = rest[0], rest[1:]
        seen = {pixel for pixel in segment if truth[pixel] != void}
        found = [best(rest, free, hits, false_positives + (not is_mostly_void(segment, truth, void)))]
        for true in free:
            iou = len(seen & true) / len(seen | true)
            if iou > 0.5:
                found.append(best(rest, [o for o in free if o is not true], [*hits, iou], false_positives))
        return max(found)

    return best(segments, objects, [], 0)


def test_by_hand() -> None:
    truth = np.array([[1, 1, 1, 1, 2, 2]])
    predicted = np.array([[7, 7, 7, 8, 8, 8]])
    table = labels_table(predicted, truth)
    # 7 and 1 share 3 of 4 pixels, 8 and 2 share 2 of 3
    assert weighted_iou(table) == pytest.approx((4 * 3 / 4 + 2 * 2 / 3) / 6)
    # Dice 2*3/(3+4) and 2*2/(3+2), the same pairs in both directions
    assert best_dice(table) == pytest.approx((6 / 7 + 4 / 5) / 2)
    assert symmetric_best_dice(table) == pytest.approx((6 / 7 + 4 / 5) / 2)


def test_slivers_cost_best_dice_of_the_prediction_only() -> None:
    table = labels_table(np.array([[1] * 9 + [2]]), np.ones((1, 10), int))
    assert best_dice(table) == pytest.approx((18 / 19 + 2 / 11) / 2)
    assert best_dice_of_truth(table) == pytest.approx(18 / 19)
    assert symmetric_best_dice(table) == best_dice(table)


def test_missed_objects_cost_best_dice_of_the_truth_only() -> None:
    table = labels_table(np.array([[1] * 9 + [0]]), np.array([[1] * 9 + [2]]), nothing=0)
    assert best_dice(table) == 1.0
    assert best_dice_of_truth(table) == 0.5
    assert symmetric_best_dice(table) == 0.5


@pytest.mark.parametrize(
    ("void_part", "dice_of_rest", "judged"),
    [(51, 2 * 101 / 251, False), (50, 2 * 100 / 250, True), (49, 2 * 99 / 249, True), (100, 1.0, False)],
)
def test_a_segment_is_judged_if_at_least_half_of_it_counts(void_part: int, dice_of_rest: float, judged: bool) -> None:
    """A segment of 100 pixels beside the one that has the rest of the object's 150, and over the whole object."""
    inside = 100 - void_part
    truth = np.array([[1] * 150 + [9] * 100])
    predicted = np.array([[7] * (150 - inside) + [8] * 100 + [0] * (100 - void_part)])
    dice_of_part = 2 * inside / (150 + inside)
    table = labels_table(predicted, truth, ignore=9, nothing=0)
    assert best_dice(table) == pytest.approx((dice_of_rest + dice_of_part) / 2 if judged else dice_of_rest)
    assert best_dice_of_truth(table) == pytest.approx(dice_of_rest)
    assert panoptic_quality(table) == pytest.approx((150 - inside) / 150 / (1 + judged / 2))
    table = masks_table(np.stack([truth == 1, predicted == 8]), truth, ignore=9)
    assert best_dice(table) == pytest.approx((1 + dice_of_part) / 2 if judged else 1.0)
    assert best_dice_of_truth(table) == 1.0
    assert panoptic_quality(table) == pytest.approx(1 / (1 + judged / 2))


def test_a_segment_that_is_not_judged_is_an_objects_best_still() -> None:
    truth, predicted = np.array([[1, 1, 1, 1, 2, 2, 0, 0, 0, 0]]), np.array([[7, 7, 7, 8, 5, 5, 7, 7, 7, 7]])
    table = labels_table(predicted, truth, ignore=0)
    assert best_dice(table) == pytest.approx((2 / 5 + 1) / 2)
    assert best_dice_of_truth(table) == pytest.approx((6 / 7 + 1) / 2)
    assert weighted_iou(table) == pytest.approx((4 * 3 / 4 + 2) / 6)


def test_no_segment_that_can_be_judged_is_best_dice_zero() -> None:
    table = labels_table(np.full((1, 5), 3), np.array([[1, 1, 0, 0, 0]]), ignore=0)
    assert best_dice(table) == symmetric_best_dice(table) == 0.0
    assert best_dice_of_truth(table) == panoptic_quality(table) == 1.0


def test_one_segment_cannot_serve_two_objects() -> None:
    table = labels_table(np.zeros((1, 10), int), np.array([[1] * 6 + [2] * 4]))
    assert weighted_iou(table) == pytest.approx(0.6 * 0.6)


def test_ignored_pixels_count_nowhere() -> None:
    truth = np.array([[0, 0, 1, 1, 2, 2]])
    table = labels_table(np.array([[5, 6, 6, 6, 5, 5]]), truth, ignore=0)
    assert weighted_iou(table) == best_dice(table) == symmetric_best_dice(table) == 1.0


@given(seed=seeds)
@settings(max_examples=40)
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
    of_truth = np.mean([max(dice(p, t) for p in segments) for t in objects])
    of_prediction = np.mean([max(dice(p, t) for t in objects) for p in segments])
    assert best_dice(table) == pytest.approx(of_prediction)
    assert best_dice_of_truth(table) == pytest.approx(of_truth)
    assert symmetric_best_dice(table) == pytest.approx(min(of_truth, of_prediction))


def test_one_segment_may_be_the_best_of_two_objects() -> None:
    assert best_iou(labels_table(np.zeros((1, 10), int), np.array([[1] * 6 + [2] * 4]))) == pytest.approx(0.36 + 0.16)


def test_panoptic_quality_by_hand() -> None:
    truth = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 3, 3]])
    predicted = np.array([[1, 1, 1, 4, 2, 2, 5, 5, 6, 6]])
    # 1 and 3 are found with IoU 3/4 and 1; 2 is missed (2/4 is not more than 1/2), so are the segments 4, 2 and 5
    assert panoptic_quality(labels_table(predicted, truth)) == pytest.approx((3 / 4 + 1) / (2 + 3 / 2 + 1 / 2))


def test_panoptic_quality_cuts_void_off_before_iou() -> None:
    # 3 of 4 pixels are found; with the 2 void pixels of the segment IoU would be 1/2, which is no hit
    truth, predicted = np.array([[1, 1, 1, 1, 0, 0]]), np.array([[7, 7, 7, 8, 7, 7]])
    assert panoptic_quality(labels_table(predicted, truth, ignore=0)) == pytest.approx(3 / 4 / (1 + 1 / 2))
    # the same segment mostly on void is a hit still, and a second segment mostly on void is no false positive
    truth, predicted = np.array([[1, 1, 1, 1] + [0] * 6]), np.array([[7, 7, 7, 8] + [7] * 4 + [8] * 2])
    assert panoptic_quality(labels_table(predicted, truth, ignore=0)) == pytest.approx(3 / 4)
    # an object without a segment is a false negative whatever lies on void
    truth, predicted = np.array([[1, 1, 2, 2, 0, 0, 0]]), np.array([[7, 7, 8, 0, 8, 8, 8]])
    assert panoptic_quality(labels_table(predicted, truth, ignore=0, nothing=0)) == pytest.approx(1 / (1 + 1 / 2))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_masks_alike_panoptic_quality_pairs_the_one_that_would_be_a_false_positive(order) -> None:
    truth = np.array([[1] * 10 + [0] * 20])
    masks = np.zeros((2, 1, 30), bool)
    masks[:, :, :8], masks[1, :, 10:] = True, True
    assert panoptic_quality(masks_table(masks[list(order)], truth, ignore=0)) == pytest.approx(8 / 10)


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
    pairs = {(int(table.segments[p]), int(table.objects[t])) for p, t in zip(*match_segments(table))}
    assert pairs == {(9, 1), (4, 2), (8, 5)}
    apart = labels_table(np.array([[3, 3, 4, 0]]), np.array([[1, 1, 1, 2]]), nothing=0)
    assert [a.tolist() for a in match_segments(apart)] == [[0], [0]]


def test_a_mask_on_ignored_pixels_alone_is_no_segment() -> None:
    truth = np.array([[0, 0, 1, 1]])
    masks = np.array([[[0, 0, 1, 1]], [[1, 1, 0, 0]], [[0, 0, 0, 0]]], bool)
    table = masks_table(masks, truth, ignore=0)
    assert table.segments.tolist() == [0]
    assert all(metric(table) == 1.0 for metric in FRACTIONS)


@given(seed=seeds)
@settings(max_examples=60)
def test_brute_force_of_what_the_paper_leaves_open(seed: int) -> None:
    for predicted, truth in (smooth_labels(seed), tuple(labels[0] for labels in random_labels(seed))):
        for ignore in (None, 0):
            table = labels_table(predicted, truth, ignore, nothing=1)
            segments, objects = seen_parts(pixel_sets(predicted, 1), truth, ignore), pixel_sets(truth, ignore)
            assert best_iou(table) == pytest.approx(best_iou_by_loops(segments, objects))
            assert splits(table) == splits_by_loops(segments, objects)
            assert merges(table) == merges_by_loops(segments, objects)


def overlapping_masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of objects and of void, that are shifted and have holes and dirt; two of the same thing are not rare."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.sort(generator.integers(0, 4, 10))[None], 4, 0)
    shapes = [np.roll(truth == generator.integers(0, 4), generator.integers(-1, 2), 1) for _ in range(5)]
    return np.stack([shape ^ (generator.random(truth.shape) < 0.1) for shape in shapes]), truth


def check_dice_and_panoptic_quality(table, segments: list[Pixels], truth: np.ndarray, void: int | None) -> None:
    of_prediction, of_truth = best_dice_both_ways(segments, truth, void)
    assert best_dice(table) == pytest.approx(of_prediction)
    assert best_dice_of_truth(table) == pytest.approx(of_truth)
    assert symmetric_best_dice(table) == pytest.approx(min(of_prediction, of_truth))
    assert panoptic_quality(table) == pytest.approx(panoptic_quality_by_loops(segments, truth, void))


@given(seed=seeds, ignore=st.sampled_from([None, 0, 1]), nothing=st.sampled_from([None, 0, 2]))
@settings(max_examples=150)
def test_dice_and_panoptic_quality_of_label_maps_by_loops(seed: int, ignore: int | None, nothing: int | None) -> None:
    for predicted, truth in (smooth_labels(seed), random_labels(seed)):
        table = labels_table(predicted, truth, ignore, nothing)
        check_dice_and_panoptic_quality(table, pixel_sets(predicted, nothing), truth, ignore)


@given(seed=seeds, ignore=st.sampled_from([None, 0, 1]))
@settings(max_examples=150)
def test_dice_and_panoptic_quality_of_overlapping_masks_by_loops(seed: int, ignore: int | None) -> None:
    masks, truth = overlapping_masks(seed)
    segments = [{pixel for pixel in np.ndindex(*truth.shape) if mask[pixel]} for mask in masks]
    check_dice_and_panoptic_quality(masks_table(masks, truth, ignore), [s for s in segments if s], truth, ignore)


@given(seed=seeds)
@settings(max_examples=40)
def test_panoptic_quality_is_that_of_torchmetrics(seed: int) -> None:
    for predicted, truth in (smooth_labels(seed), random_labels(seed)):
        # (category, instance): all segments are of the one category, and an unknown category is void
        pairs = (np.ones_like(predicted), predicted), ((truth != 0).astype(int), np.where(truth == 0, 0, truth))
        tensors = (torch.from_numpy(np.stack(pair, -1).reshape(1, -1, 2)) for pair in pairs)
        reference = panoptic_quality_of_torchmetrics(*tensors, things={1}, stuffs=set())
        if (truth != 0).any():
            assert panoptic_quality(labels_table(predicted, truth, ignore=0)) == pytest.approx(float(reference))


def test_the_random_maps_and_masks_have_all_that_void_is_about() -> None:
    """Mostly void segments with a partner and without, both orders of the two Best Dice, hits and misses."""
    maps = [smooth_labels(seed) for seed in range(60)]
    tables = [labels_table(*pair, ignore=0) for pair in maps]
    tables += [masks_table(*overlapping_masks(seed), ignore=0) for seed in range(60)]
    hits = [(table.iou() > 0.5).any(1) for table in tables]
    assert any((hit & ~table.judged).any() for hit, table in zip(hits, tables))
    assert any((~hit & ~table.judged).any() for hit, table in zip(hits, tables))
    assert {np.sign(round(best_dice(t) - best_dice_of_truth(t), 9)) for t in tables} == {-1, 0, 1}


@given(seed=seeds)
@settings(max_examples=20)
def test_brute_force_on_overlapping_masks(seed: int) -> None:
    masks, truth = overlapping_masks(seed)
    table, objects = masks_table(masks, truth, ignore=0), pixel_sets(truth, 0)
    segments = seen_parts([{p for p in np.ndindex(*truth.shape) if mask[p]} for mask in masks], truth, 0)
    assert best_iou(table) == pytest.approx(best_iou_by_loops(segments, objects))
    assert splits(table) == splits_by_loops(segments, objects)
    assert merges(table) == merges_by_loops(segments, objects)


def test_the_smooth_maps_of_the_brute_force_have_splits_merges_and_hits() -> None:
    tables = [labels_table(*smooth_labels(seed)) for seed in range(40)]
    for metric in (splits, merges, panoptic_quality):
        assert len({metric(table) for table in tables}) > 1


@given(seed=seeds)
@settings(max_examples=20)
def test_the_best_segment_is_no_worse_than_the_matched_one(seed: int) -> None:
    for predicted, truth in (random_labels(seed), smooth_labels(seed)):
        table = labels_table(predicted, truth)
        assert weighted_iou(table) <= best_iou(table) + 1e-12
        assert splits(table) <= len(table.objects) and merges(table) <= len(table.segments)


@given(seed=seeds)
@settings(max_examples=20)
def test_what_is_predicted_on_ignored_pixels_matters_only_for_what_can_be_judged(seed: int) -> None:
    predicted, truth = smooth_labels(seed)
    void = truth == 1
    other = np.where(void, np.random.default_rng(seed).integers(0, 99, truth.shape), predicted)
    for metric in (*OF_COUNTED_PIXELS, *COUNTS):
        assert metric(labels_table(other, truth, ignore=1)) == metric(labels_table(predicted, truth, ignore=1))
    elsewhere = np.where(void, 99, predicted)
    for metric in (*FRACTIONS, *COUNTS):
        assert metric(labels_table(elsewhere, truth, ignore=1)) == metric(labels_table(predicted[~void], truth[~void]))


@given(seed=seeds)
@settings(max_examples=20)
def test_perfect_is_one_whatever_lies_on_void_beside_it(seed: int) -> None:
    """Void predicted as a segment of its own, as nothing, and as more of an object, up to half of the segment."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(1, 4, (6, 7))
    spilled = np.concatenate([truth, generator.permuted(truth.ravel()).reshape(truth.shape)])
    truth = np.concatenate([truth, np.zeros_like(truth)])
    for predicted in (truth, np.where(truth == 0, 50, truth), spilled):
        table = labels_table(predicted, truth, ignore=0)
        masks = masks_table(np.stack([predicted == label for label in np.unique(predicted)]), truth, ignore=0)
        assert all(metric(table) == metric(masks) == 1.0 for metric in FRACTIONS)
        assert all(metric(table) == metric(masks) == 0 for metric in COUNTS)
    assert all(metric(labels_table(truth, truth, ignore=0, nothing=0)) == 1.0 for metric in FRACTIONS)


@given(seed=seeds)
@settings(max_examples=20)
def test_names_of_labels_do_not_matter_and_perfect_is_one(seed: int) -> None:
    predicted, truth = random_labels(seed)
    renamed = np.random.default_rng(seed).permutation(50)[predicted]
    for metric in (*FRACTIONS, *COUNTS):
        assert metric(labels_table(renamed, truth)) == pytest.approx(metric(labels_table(predicted, truth)))
        assert metric(labels_table(renamed, predicted)) == pytest.approx(0.0 if metric in COUNTS else 1.0)


@given(seed=seeds)
@settings(max_examples=20)
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
