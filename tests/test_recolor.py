"""New colours: by hand, shading kept, and as JSON."""

from __future__ import annotations

import math
import re

import pytest
import torch
from helpers import assert_close

from disconerf_ns.scene.recolor import (
    LUMA,
    MIDDLE_LUMA,
    Channels,
    Hue,
    color_matrix,
    recolor_as_json,
    recolor_fault,
    recolor_of_json,
    recolored,
)
from disconerf_ns.small_json import Value

RGB = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))


def test_channels_by_hand() -> None:
    assert (color_matrix(Channels("gbr")) @ torch.tensor([0.1, 0.2, 0.3])).tolist() == pytest.approx([0.2, 0.3, 0.1])
    assert recolored(Channels("bgr"), (1.0, 0.5, 0.0)) == (0.0, 0.5, 1.0)


def test_a_tint_is_lighter_or_darker_by_luma() -> None:
    tint = (0.2, 0.4, 0.6)
    luma = RGB @ torch.tensor(LUMA)
    assert_close(RGB @ color_matrix(tint).T, luma[:, None] * torch.tensor(tint) / MIDDLE_LUMA)
    assert recolored(tint, (1.0, 1.0, 1.0)) == tint


@pytest.mark.parametrize("degrees", [0.0, 90.0, -200.0])
def test_a_hue_keeps_luma_and_grey(degrees: float) -> None:
    turned = RGB @ color_matrix(Hue(degrees)).T
    assert_close(turned @ torch.tensor(LUMA), RGB @ torch.tensor(LUMA), 1e-3)
    assert_close(torch.tensor([0.5, 0.5, 0.5]) @ color_matrix(Hue(degrees)).T, torch.tensor([0.5, 0.5, 0.5]), 1e-3)


def test_hues_add_up() -> None:
    assert_close(color_matrix(Hue(70.0)) @ color_matrix(Hue(50.0)), color_matrix(Hue(120.0)))
    assert_close(color_matrix(Hue(360.0)), torch.eye(3), 1e-4)


@pytest.mark.parametrize("degrees", [120.0, -240.0])
def test_a_hue_turns_from_red_by_green_to_blue(degrees: float) -> None:
    """As in CSS and in image editors; it turned the other way."""
    red, green, blue = torch.eye(3) * 0.6 + 0.2
    turn = color_matrix(Hue(degrees))
    assert [int((turn @ color).argmax()) for color in (red, green, blue)] == [1, 2, 0]


@pytest.mark.parametrize("recolor", [(0.1, 0.2, 0.3), Hue(30.0), Channels("brg")])
def test_json(recolor) -> None:
    assert recolor_of_json(Value(recolor_as_json(recolor))) == recolor
    assert recolor_fault(recolor) is None


@pytest.mark.parametrize("content", [{"hue": "red"}, {"hue": True}, {"hue": 1, "channels": "rgb"}, [1, 2], "red", {}])
def test_what_is_no_colour_is_refused(content) -> None:
    with pytest.raises(ValueError, match="not a (colour|number)"):
        recolor_of_json(Value(content))


@pytest.mark.parametrize(
    ("recolor", "said"),
    [(Hue(math.nan), "nan degrees"), (Channels("rrg"), "order 'rrg'"), ((2.0, 0.0, 0.0), "in \\[0, 1\\]")],
)
def test_colours_that_cannot_be_shown(recolor, said: str) -> None:
    assert re.search(said, str(recolor_fault(recolor)))
