"""Run-length encoding: round trips, hand-worked runs, and strings that must not reach the C decoder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from disconerf_ns.masks import rle

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40))


def runs_of(mask: np.ndarray) -> list[int]:
    """Lengths of the runs down the columns, zeros first, by counting."""
    runs, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


@given(masks)
def test_round_trip(mask: np.ndarray) -> None:
    encoded = rle.encode(mask)
    assert np.array_equal(rle.decode(encoded), mask)
    assert rle.checked(encoded) == encoded
    assert rle.area(encoded) == mask.sum()


@given(masks)
def test_uncompressed_runs_are_the_same_mask(mask: np.ndarray) -> None:
    encoded = rle.encode(mask)
    assert rle.run_lengths(encoded["counts"]).tolist() == runs_of(mask)
    assert rle.checked({"size": list(mask.shape), "counts": runs_of(mask)}) == encoded


@pytest.mark.parametrize(("pixels", "runs"), [(0, [12_000_000]), (12_000_000, [0, 12_000_000])])
def test_long_runs(pixels: int, runs: list[int]) -> None:
    mask = np.arange(12_000_000).reshape(3000, 4000) < pixels
    assert rle.run_lengths(rle.encode(mask)["counts"]).tolist() == runs


def test_box_and_union_of_hand_worked_masks() -> None:
    one, other = np.zeros((2, 5, 7), dtype=bool)
    one[1:3, 2:6] = True
    other[2:5, 5:7] = True
    assert rle.bounding_box(rle.encode(one)) == (2, 1, 4, 2)
    assert rle.union_area([rle.encode(one), rle.encode(other)]) == 8 + 6 - 1
    assert rle.union_area([]) == 0


@given(st.text(max_size=12), st.integers(1, 9), st.integers(1, 9))
def test_any_string_is_refused_or_decodes(counts: str, height: int, width: int) -> None:
    try:
        accepted = rle.checked({"size": [height, width], "counts": counts})
    except ValueError:
        return
    assert rle.decode(accepted).shape == (height, width)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[0, 0, 4, 0, 4, 4]], "not RLE"),
        ({"size": [2, 2]}, "not RLE"),
        ({"size": [2], "counts": [4]}, "not .height, width."),
        ({"size": [2, True], "counts": [2]}, "not .height, width."),
        ({"size": [70000, 70000], "counts": [4]}, "not the size of a photograph"),
        ({"size": [2, 2], "counts": [1, 2]}, "do not add up to 2 x 2"),
        ({"size": [2, 2], "counts": [5, -1]}, "neither a string nor"),
        ({"size": [2, 2], "counts": ""}, "do not add up"),
        ({"size": [2, 2], "counts": "T"}, "break off"),
        ({"size": [2, 2], "counts": "é"}, "not COCO's"),
        ({"size": [2, 2], "counts": "oooooooo0"}, "beyond 32 bits"),
    ],
)
def test_what_is_wrong_is_said(segmentation: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rle.checked(segmentation)
