"""Prompts of a second round, by hand, and what becomes of the answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from disconerf_ns.masks import prompts
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.prompts import Prompt, PromptCriteria, Seen, prompts_of, usual_sizes
from disconerf_ns.masks.proposers.recipe import Answers
from disconerf_ns.masks.second_round import completed

ALL = np.ones((20, 40), dtype=bool)
WANTED = PromptCriteria(least_pixels=4)


def view() -> Seen:
    """Object 1 fills the left half, object 2 a square of 10 in the right half; one pixel in between is unsure."""
    labels = np.zeros((20, 40), int)
    labels[:, :20] = 1
    labels[5:15, 25:35] = 2
    confidence = np.ones((20, 40))
    confidence[:, 19] = 0.2
    return Seen(labels, confidence)


def asked(masks: np.ndarray, seen: Seen | None = None, wanted: PromptCriteria = WANTED, looked_at: np.ndarray = ALL):
    seen = seen or view()
    return list(prompts_of([seen], masks, looked_at, usual_sizes([seen]) | usual_sizes([view()]), wanted))


def boxes(*sides: tuple[int, int, int, int]) -> np.ndarray:
    masks = np.zeros((len(sides), 20, 40), dtype=bool)
    for mask, (top, bottom, left, right) in zip(masks, sides, strict=True):
        mask[top:bottom, left:right] = True
    return masks


def test_objects_without_a_mask_are_asked_for() -> None:
    first, second = asked(boxes())
    assert (first.object, second.object) == (1, 2)
    assert first.box == (0.0, 0.0, 0.5, 1.0)
    assert second.box == (25 / 40, 5 / 20, 35 / 40, 15 / 20)
    assert (first.shown, second.shown) == (0, 0)
    assert np.array_equal(second.picture, view().labels == 2)


def test_objects_that_a_mask_shows_are_not() -> None:
    # The second mask has 60 of the square's 100 pixels, and 0.6 is enough; with 59 it is not.
    (second,) = asked(boxes((0, 20, 0, 20)))
    assert second.object == 2
    whole_and_group = boxes((0, 20, 0, 20), (0, 20, 20, 40))
    assert [prompt.shown for prompt in asked(whole_and_group)] == [100 / 400]
    almost = boxes((0, 20, 0, 20), (5, 15, 25, 31))
    assert [prompt.object for prompt in asked(almost)] == [2], "it lies inside and leaves out 40 %: it was cut"
    assert asked(almost, wanted=replace(WANTED, sure=2.0)) == [], "nothing is sure"
    assert asked(boxes((0, 20, 0, 20), (5, 15, 25, 33))) == [], "a fifth left out is no cut"


def test_an_object_whose_mask_was_cut_where_it_is_unsure_is_shown() -> None:
    seen = view()
    seen.confidence[:, 31:35] = 0.1
    assert asked(boxes((0, 20, 0, 20), (5, 15, 25, 31)), seen) == []


def test_what_is_hardly_seen_is_not_asked_for() -> None:
    """Of a square of 100 pixels, 20 are less than a quarter."""
    seen = view()
    seen.labels[7:15] = np.where(seen.labels[7:15] == 2, 0, seen.labels[7:15])
    assert [prompt.object for prompt in asked(boxes(), seen)] == [1]
    assert [prompt.object for prompt in asked(boxes(), seen, replace(WANTED, least_share=0.2))] == [1, 2]
    assert [prompt.object for prompt in asked(boxes(), seen, PromptCriteria(least_pixels=21, least_share=0.2))] == [1]


def test_what_was_not_looked_at_counts_nowhere() -> None:
    looked_at = ALL.copy()
    looked_at[:, 20:] = False
    (first,) = asked(boxes(), looked_at=looked_at)
    assert first.object == 1 and first.outside == ()


def test_usual_sizes_are_medians_over_the_views_that_see_an_object() -> None:
    half, none = view(), Seen(np.zeros((20, 40), int), np.zeros((20, 40)))
    half.labels[:, :10] = 0
    assert usual_sizes([view(), view(), half, none]) == {1: 0.5, 2: 100 / 800}


def test_points_lie_deep_inside() -> None:
    """A disk of radius 6 and one of radius 4, joined by a line: their centres, and no point on the line."""
    rows, columns = np.indices((20, 40))
    picture = (np.hypot(rows - 10, columns - 10) <= 6) | (np.hypot(rows - 10, columns - 30) <= 4)
    picture[10, 10:30] = True
    points = prompts.deep_points(picture, 3, np.array([40.0, 20]))
    assert np.round(np.array(points) * (40, 20)).tolist() == pytest.approx(np.array([[10, 10], [30, 10]]), abs=1)
    assert len(prompts.deep_points(picture, 1, np.array([40.0, 20]))) == 1
    assert prompts.deep_points(picture[:, :0], 3, np.array([1.0, 20])) == ()
    whole = prompts.deep_points(np.ones((5, 5), bool), 3, np.array([5.0, 5]))
    assert whole[0] == (0.5, 0.5), "the image's border is a border"


def test_points_are_sure_and_neighbours_are_pointed_out() -> None:
    seen = view()
    seen.labels[8:12, 8:12] = 3
    first, second, third = asked(boxes(), seen)
    assert all(seen.labels[int(20 * y), int(40 * x)] == 1 for x, y in first.inside)
    assert all(seen.confidence[int(20 * y), int(40 * x)] == 1 for x, y in first.inside)
    assert [seen.labels[int(20 * y), int(40 * x)] for x, y in first.outside] == [3]
    assert second.outside == () and third.outside == ()


def test_an_object_of_two_cuts_is_asked_for_once_and_its_parts_beside_it() -> None:
    fine = view()
    fine.labels[:, 10:20][fine.labels[:, 10:20] == 1] = 5
    fine.labels[:, :10] = 6
    cuts = [view(), fine]
    found = prompts_of(cuts, boxes((0, 20, 0, 20)), ALL, usual_sizes(cuts), WANTED)
    assert [prompt.object for prompt in found] == [2, 5, 6], "the mask shows the whole, not its halves"


def test_a_stray_pixel_does_not_widen_the_box() -> None:
    seen = view()
    seen.labels[0, 39] = 2
    (_, second) = asked(boxes(), seen)
    assert second.box == (25 / 40, 5 / 20, 35 / 40, 15 / 20)


def answer(*masks: np.ndarray) -> Answers:
    stack = np.stack(masks) if masks else np.zeros((0, 20, 40), bool)
    return Answers(stack, np.linspace(0.9, 0.8, len(masks)), np.full(len(masks), 0.95), None)


def square(shown: float = 0.0) -> Prompt:
    return Prompt(2, (0.0, 0.0, 1.0, 1.0), ((0.75, 0.5),), (), view().labels == 2, shown)


def test_the_answer_that_is_most_like_the_object_joins_the_stored_masks() -> None:
    stored = ImageMasks.from_arrays(boxes((0, 20, 0, 20)), predicted_iou=[0.7], level=[1])
    part, whole, group = boxes((5, 15, 25, 30), (5, 15, 25, 36), (0, 20, 20, 40))
    both = completed(stored, [square()], [answer(part, whole, group)])
    assert both.annotations[0] == stored.annotations[0]
    assert np.array_equal(both.decode()[1], whole)
    assert both.annotations[1].predicted_iou == pytest.approx(0.85)
    assert both.annotations[1].level is None


def test_an_answer_that_is_no_better_than_the_stored_masks_does_not() -> None:
    # IoU of the part with the square is 8/10, of the smaller part 7/10, which is too little, and of the whole 10/11.
    stored = ImageMasks.from_arrays(boxes((0, 20, 0, 20)))
    part, smaller, whole = boxes((5, 15, 25, 33), (5, 15, 25, 32), (5, 15, 25, 36))
    assert len(completed(stored, [square()], [answer(part)])) == 2
    assert completed(stored, [square()], [answer(smaller)]) is stored
    assert completed(stored, [square(0.8)], [answer(part)]) is stored
    assert completed(stored, [square(10 / 11)], [answer(whole)]) is stored
    assert completed(stored, [square()], [answer()]) is stored
    assert completed(stored, [], []) is stored


def test_new_masks_take_the_stored_ones_size_and_crop() -> None:
    looked_at = np.ones((10, 20), dtype=bool)
    looked_at[:, 15:] = False
    stored = ImageMasks.from_arrays(np.zeros((0, 10, 20), bool), looked_at=looked_at)
    large = np.kron(view().labels == 2, np.ones((3, 3), bool))
    (mask,) = completed(stored, [square()], [answer(large)]).decode()
    expected = np.zeros((10, 20), dtype=bool)
    expected[2:7, 12:15] = True  # rows 5 to 14 and columns 25 to 34 of pixel centres 1, 3, ...
    assert mask.shape == (10, 20)
    assert np.abs(mask ^ expected).sum() <= 5
    grown = completed(stored, [square()], [answer(large)], dilate=6).decode()[0]
    assert grown.sum() > mask.sum() and not grown[:, 15:].any()
