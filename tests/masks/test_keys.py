"""Names of files of masks and the images that they are of: each to one, or a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.keys import pair_names

ROOT = Path("set")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("1.png", "1"),
        ("1", "1"),
        ("frame.0001", "frame.0001"),
        ("frame.0001.PNG", "frame.0001"),
        ("sub/1.JSON", "1"),
        ("1.npz", "left/1"),
        ("1.png.png", "1"),
        ("a/b.jpg.png", "a/b"),
        ("x_label.png", "x"),
        ("x-masks.npy", "x"),
        ("x.png_mask.png", "x"),
        ("C:\\data\\images\\x.jpg", "x"),
    ],
)
def test_spellings_of_one_image(name: str, key: str) -> None:
    assert pair_names([name, "elsewhere.png"], [key, "others"], ROOT) == {key: name}


@pytest.mark.parametrize(
    ("name", "key"), [("right/1.png", "left/1"), ("11.png", "1"), ("x_label_2.png", "x"), ("", "1")]
)
def test_other_images(name: str, key: str) -> None:
    assert pair_names([name], [key], ROOT) == {}


def test_images_with_an_ending_of_their_own() -> None:
    """Where the names themselves fit, nothing is taken off them."""
    names = ["x.png", "x_label.png", "x.png.png"]
    assert pair_names(names, ["x", "x_label", "x.png"], ROOT) == {
        "x": "x.png",
        "x_label": "x_label.png",
        "x.png": "x.png.png",
    }


@pytest.mark.parametrize("names", [["a.npy", "a.npz"], ["x/a.png", "a.jpg"], ["left/a.png", "right/a.png"]])
def test_two_names_for_one_image(names: list[str]) -> None:
    with pytest.raises(
        MaskError, match=rf"set has 2 candidates for image a \({names[0]}, {names[1]}\); keep one of them"
    ):
        pair_names(names, ["a"], ROOT)


def test_one_name_for_two_images() -> None:
    with pytest.raises(
        MaskError, match=r"a\.png in set fits two images, left/a and right/a; give each image its own file, in the same"
    ):
        pair_names(["a.png"], ["left/a", "right/a"], ROOT)
    assert pair_names(["a.png"], ["left/a", "a"], ROOT) == {"a": "a.png"}


paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)


@given(st.sets(paths), st.sets(paths))
def test_a_match_is_one_to_one_or_refused(names: set[str], keys: set[str]) -> None:
    try:
        found = pair_names([f"{name}.png" for name in names], keys, ROOT)
    except MaskError:
        return
    assert len(set(found.values())) == len(found)
    assert all(found[key] == f"{key}.png" for key in names & keys)
