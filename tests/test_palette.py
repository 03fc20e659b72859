"""Colours are stable, valid and different."""

from __future__ import annotations

import numpy as np

from disconerf_ns.palette import object_colors


def test_an_object_keeps_its_colour_however_many_there_are() -> None:
    many = object_colors(300)
    for count in (0, 1, 5, 16, 17, 120):
        assert np.array_equal(object_colors(count), many[:count])


def test_colours_are_valid_and_apart() -> None:
    colors = object_colors(120)
    assert colors.dtype == np.float32 and colors.min() >= 0 and colors.max() <= 1
    distance = np.linalg.norm(colors[:, None] - colors[None], axis=-1) + 2 * np.eye(120)
    assert distance[:16, :16].min() > 0.15 and distance.min() > 0.01
