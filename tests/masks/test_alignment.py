"""Alignment: masks that fit a picture are told from masks that do not, and only where it is clear."""

from __future__ import annotations

import math

import numpy as np
import pytest

from disconerf_ns.masks.alignment import clearly_best, edges, fit, label_borders, mask_borders, working_size
from disconerf_ns.masks.image_masks import ImageMasks


def test_edges_stand_out_from_their_surroundings() -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[:, 40:] = 200
    strength = edges(picture)
    assert strength.shape == (60, 80)
    assert strength[:, 39:41].min() > 3 and strength[:, :20].max() < 0.1
    assert edges(np.zeros((1000, 2000, 3), np.uint8)).shape == working_size(1000, 2000) == (160, 320)


def test_borders_are_within_the_picture() -> None:
    """Both sides of a border count, once for each mask; where a mask leaves the picture it has no border."""
    one, two = np.zeros((2, 6, 8), bool)
    one[:, :4] = two[2:, 4:] = True
    borders = mask_borders(ImageMasks.from_arrays(np.stack([one, two])), 6, 8)
    assert borders[0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert borders[4].tolist() == [0, 0, 0, 2, 2, 0, 0, 0]
    assert borders[:, 7].tolist() == [0, 1, 1, 0, 0, 0]
    labels = np.where(one, 70_000, np.where(two, -1, 0))
    assert (label_borders(labels, 6, 8) == (borders > 0)).all()


def test_fit_is_a_mean_along_borders() -> None:
    strength, borders = np.array([[1.0, 2.0, 4.0]]), np.array([[0, 2, 1]])
    assert fit(strength, borders) == pytest.approx((2 * 2.0 + 4.0) / 3)
    assert math.isnan(fit(strength, np.zeros((1, 3), int)))


@pytest.mark.parametrize(
    ("fits", "best"),
    [
        ({"a": [1.6], "b": [0.9]}, "a"),
        ({"a": [1.2], "b": [0.9]}, None),  # 0.3 is less than 3.5 standard errors of 0.1 in one view
        ({"a": [1.2] * 4, "b": [0.9] * 4}, "a"),
        ({"a": [1.2, 1.2, 1.2, 0.7], "b": [0.9] * 4}, None),  # the views disagree
        ({"a": [1.05] * 30, "b": [0.8] * 30}, None),  # neither fits
        ({"a": [1.5] * 30, "b": [1.45] * 30}, None),  # both fit
        ({"a": [1.5] * 30, "b": [0.9] * 30, "c": [1.5] * 30}, None),
        ({"a": [0.9, math.nan], "b": [1.6, 1.6]}, "b"),
        ({"a": [math.nan], "b": [1.6]}, None),
    ],
)
def test_only_what_is_clear_is_said(fits: dict[str, list[float]], best: str | None) -> None:
    assert clearly_best({name: np.array(values) for name, values in fits.items()}) == best
