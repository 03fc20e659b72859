"""Filters: hand-worked masks, and laws."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from disconerf_ns.masks import filters

stacks = arrays(bool, st.tuples(st.integers(0, 5), st.integers(1, 7), st.integers(1, 7)))


def spans(*ranges: tuple[int, int], width: int = 20) -> np.ndarray:
    """Masks of one row, each set from a column up to another."""
    columns = np.arange(width)
    return np.stack([(columns >= start) & (columns < stop) for start, stop in ranges])[:, None]


def test_area_counts_from_the_fraction_on() -> None:
    masks = spans((0, 1), (0, 2), (3, 20), (0, 0))
    assert filters.large_enough(masks, 0.1).tolist() == [False, True, True, False]
    assert filters.large_enough(masks, 0.0).all()


def test_containment() -> None:
    # Of (8, 12) three quarters lie in (0, 11), whose own share in (8, 12) is 3/11.
    masks = spans((0, 11), (2, 5), (8, 12), (15, 20))
    assert filters.not_contained(masks, 1.0).tolist() == [True, False, True, True]
    assert filters.not_contained(masks, 0.75).tolist() == [True, False, False, True]


def test_of_equal_masks_the_first_stays() -> None:
    assert filters.not_contained(spans((2, 5), (2, 5), (2, 5))).tolist() == [True, False, False]
    assert filters.not_contained(spans((2, 2), (2, 5))).tolist() == [False, True]


@given(stacks, st.floats(0.1, 1))
def test_containment_as_its_definition_reads(masks: np.ndarray, share: float) -> None:
    share = np.round(share, 2) + 1e-4

    def inside(a: int, b: int) -> bool:
        larger = masks[b].sum() > masks[a].sum() or (masks[b].sum() == masks[a].sum() and b < a)
        return larger and (masks[a] & masks[b]).sum() >= share * masks[a].sum()

    expected = [not any(inside(a, b) for b in range(len(masks)) if b != a) for a in range(len(masks))]
    assert filters.not_contained(masks, share).tolist() == expected


def test_something_always_stays() -> None:
    everything = np.ones((3, 4, 4), dtype=bool)
    assert filters.not_contained(everything).sum() == 1


def test_of_duplicates_the_first_stays() -> None:
    # IoU of the first two 8/10, of the second and third 6/10, of the first and third 4/10; an empty mask is like none.
    masks = spans((0, 8), (0, 10), (4, 10), (0, 0), (0, 0))
    assert filters.distinct(filters.packed(masks), 0.79).tolist() == [True, False, True, True, True]
    assert filters.distinct(filters.packed(masks), 0.8).tolist() == [True] * 5
    assert filters.distinct(filters.packed(masks[::-1]), 0.5).tolist() == [True, True, True, False, True]


@given(stacks, st.floats(0.1, 0.9))
def test_duplicates_as_their_definition_reads(masks: np.ndarray, most: float) -> None:
    kept = []
    for number, mask in enumerate(masks):
        if all((mask & masks[other]).sum() <= most * (mask | masks[other]).sum() for other in kept):
            kept.append(number)
    assert np.flatnonzero(filters.distinct(filters.packed(masks), most)).tolist() == kept


def test_dilation_of_a_point_is_a_disk() -> None:
    point = np.zeros((1, 13, 13), dtype=bool)
    point[0, 6, 6] = True
    y, x = np.mgrid[-6:7, -6:7]
    assert np.array_equal(filters.dilate(point, 5)[0], x**2 + y**2 <= 25)


@given(stacks, st.integers(0, 3))
def test_dilation_reaches_every_pixel_near_the_mask(masks: np.ndarray, pixels: int) -> None:
    y, x = np.indices(masks.shape[1:])
    expected = np.zeros_like(masks)
    for k, i, j in np.argwhere(masks):
        expected[k] |= (y - i) ** 2 + (x - j) ** 2 <= pixels**2
    assert np.array_equal(filters.dilate(masks, pixels), expected)


def test_crops() -> None:
    image = np.arange(5 * 8).reshape(5, 8)
    assert np.array_equal(image[filters.crops(5, 8, "centre")[0]], image[:, 1:6])
    assert np.array_equal(image.T[filters.crops(8, 5, "centre")[0]], image.T[1:6])
    assert [image[crop].tolist() for crop in filters.crops(5, 8, "two")] == [
        image[:, :5].tolist(),
        image[:, 3:].tolist(),
    ]
    assert [image.T[crop].shape for crop in filters.crops(8, 5, "two")] == [(5, 5), (5, 5)]
    for kind in ("none", "two", "centre"):
        assert filters.crops(5, 5, kind) == [(slice(0, 5), slice(0, 5))]
    assert filters.crops(5, 8, "none") == [(slice(0, 5), slice(0, 8))]


def test_uncrop_undoes_a_crop() -> None:
    masks = np.random.default_rng(0).random((3, 5, 8)) < 0.5
    (crop,) = filters.crops(5, 8, "centre")
    whole = filters.uncrop(masks[(slice(None), *crop)], crop, 5, 8)
    assert np.array_equal(whole[:, :, 1:6], masks[:, :, 1:6])
    assert not whole[:, :, 0].any()
    assert not whole[:, :, 6:].any()


def test_many_masks_of_a_large_image_are_compared_in_little_memory() -> None:
    """All 300 masks of an image of 512 x 512 as numbers of 4 bytes took 315 MB, and of 1500 x 1500 2.7 GB."""
    masks = np.random.default_rng(0).random((300, 1, 512 * 128)) < 0.1
    masks = np.tile(masks, (1, 4, 1))
    tracemalloc.start()
    shared = filters.shared_pixels(masks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * (masks.nbytes + shared.nbytes)
    flat = masks.reshape(300, -1)
    assert shared[3, 5] == (flat[3] & flat[5]).sum() and (shared.diagonal() == flat.sum(1)).all()
