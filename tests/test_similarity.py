"""Similarities: by hand, undone, one after the other, and as JSON."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import assert_close

from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.small_json import Value

HALF = math.sqrt(0.5)
QUARTER_TURN = (HALF, 0.0, 0.0, HALF)
"""A quarter turn about z, counterclockwise seen from above."""
SKEWED = Similarity(2.0, (0.5, 0.5, -0.5, 0.5), (1.0, -2.0, 3.0))


def test_by_hand() -> None:
    moved = Similarity(3.0, QUARTER_TURN, (0.0, 0.0, 5.0))
    assert_close(moved.points(torch.tensor([[1.0, 2.0, 3.0]])), torch.tensor([[-6.0, 3.0, 14.0]]))
    assert_close(moved.directions(torch.tensor([1.0, 0.0, 0.0])), torch.tensor([0.0, 1.0, 0.0]))


def test_a_centre_stays_where_it_is_moved_to() -> None:
    turned = Similarity.about((1.0, 2.0, 3.0), QUARTER_TURN, 2.0, (0.5, 0.0, 0.0))
    assert_close(turned.points(torch.tensor([1.0, 2.0, 3.0])), torch.tensor([1.5, 2.0, 3.0]))


def test_undone_and_one_after_the_other() -> None:
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first = Similarity(0.5, QUARTER_TURN, (4.0, 0.0, 0.0))
    assert_close(SKEWED.inverse().points(SKEWED.points(x)), x)
    assert_close((SKEWED @ first).points(x), SKEWED.points(first.points(x)))
    assert Similarity.of_matrix(SKEWED.matrix).close_to(SKEWED)


@pytest.mark.parametrize("spoil", [lambda m: m[0].neg_(), lambda m: m[0].mul_(1.5), lambda m: m[2].fill_(math.nan)])
def test_no_similarity(spoil) -> None:
    matrix = SKEWED.matrix
    spoil(matrix)
    with pytest.raises(ValueError, match="mirrors|scales axes differently"):
        Similarity.of_matrix(matrix)


def test_json() -> None:
    assert Similarity.of_json(Value(SKEWED.as_json())) == SKEWED
    assert Similarity.of_json(Value({})) == Similarity()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "not a JSON object"),
        ({"rotate": 1}, "unknown entry 'rotate'"),
        ({"scale": 0}, "not from 1e-09 to 1e+09"),
        ({"scale": math.inf}, "not a finite number"),
        ({"rotation": [1, 0, 0]}, "not a list of 4"),
        ({"rotation": [2, 0, 0, 0]}, "has length 2"),
        ({"translation": [1, 2, "x"]}, "translation[2] is 'x', not a number"),
    ],
)
def test_what_is_no_similarity_is_refused(content, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("[", r"\[").replace("+", r"\+")):
        Similarity.of_json(Value(content))
