"""Names of files of masks and the images that they are of: each to one, or a sentence."""

from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.keys import Pairing, pair, pair_names

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


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("1_cp_masks.png", "1"),
        ("1_seg.npy", "1"),
        ("1-mask.png", "1"),
        ("1_gt.png", "1"),
        ("1_mask_0.png", "1"),
        ("town_1_gtFine_instanceIds.png", "town_1_leftImg8bit"),
        ("000000_mask.png", "000000_rgb"),
        ("seg_7.png", "rgb_7"),
        ("00001.png", "frame_00001"),
        ("mask_1.png", "1"),
        ("sub/seg_1.png", "sub/1"),
        ("images\\1a2b3c4d-a b.jpg", "a b"),
        ("0f8fad5b-d9cb-469f-a165-70867728950e-1.png", "1"),
        ("/data/local-files/?d=1.jpg", "1"),
        ("IMG-1-2-_jpg.rf.0b1C2d3e4f.jpg", "IMG_1 (2)"),
        ("frame-0001_png.rf.0b12.jpg", "frame.0001"),
        ("1_jpg.rf.0b12_mask.png", "1"),
        ("e\u0301.png", "\xe9"),
        ("\xe9.png", "e\u0301"),
        ("a%20b.png", "a b"),
        ("img_1.PNG", "IMG_1"),
        ("IMG_1.2.png", "IMG_1.2"),
        ("SegmentationObject/a/1.png", "input_2/a/1"),
    ],
)
def test_names_that_tools_change(name: str, key: str, capsys: pytest.CaptureFixture) -> None:
    assert pair_names([name, "elsewhere.png"], [key, "others"], ROOT) == {key: name}
    said = f"{name} is taken for image {key}.\n"
    assert capsys.readouterr().out.endswith("" if name == f"{key}.png" else said)


def test_exact_names_come_first() -> None:
    names = ["1.png", "mask_2.png", "1_mask.png", "2.png"]
    assert pair(names, ["1", "2"], ROOT) == Pairing({"1": "1.png", "2": "2.png"})


def test_spellings_may_differ_for_a_part_of_the_names() -> None:
    """macOS writes accents in its own way, and names without accents as everybody does."""
    pairing = pair(["a.png", "e\u0301.png"], ["a", "\xe9"], ROOT)
    assert pairing == Pairing({"a": "a.png", "\xe9": "e\u0301.png"}, ("with accents as one character",))


@pytest.mark.parametrize(
    ("names", "keys", "pairs"),
    [
        (["1.png", "mask_2.png"], ["1", "2"], {"1": "1.png"}),
        (["1.png", "1a2b3c4d-2.png"], ["1", "2"], {"1": "1.png"}),
        (["a.png", "B.png"], ["A", "a", "b"], {"a": "a.png"}),
        (["frame_00000.png"], ["frame_00001"], {}),
        (["0000.png"], ["1"], {}),
        (["task-1-annotation-1-by-1-tag-a-0.png"], ["0", "1"], {}),
    ],
)
def test_names_that_do_not_agree_are_not_paired(names: list[str], keys: list[str], pairs: dict[str, str]) -> None:
    assert pair_names(names, keys, ROOT) == pairs


@pytest.mark.parametrize(
    "names", [["1_mask.png", "1_seg.png"], ["1_mask_0.png", "1_mask_1.png"], ["B C.png", "b%20C.png"]]
)
def test_two_loose_names_for_one_image(names: list[str]) -> None:
    with pytest.raises(MaskError, match="set has 2 candidates for image"):
        pair_names(names, ["1", "b c"], ROOT)


def test_a_line_can_be_printed_on_any_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = TextIOWrapper(BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    pair_names(["e\u0301_mask\ud800.png", "e\u0301_mask.png"], ["\xe9"], ROOT)
    terminal.flush()
    assert rb"e\u0301_mask.png is taken for image \xe9." in terminal.buffer.getvalue()


paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)


@given(st.sets(paths), st.sets(paths))
def test_a_match_is_one_to_one_or_refused(names: set[str], keys: set[str]) -> None:
    try:
        found = pair_names([f"{name}.png" for name in names], keys, ROOT)
    except MaskError:
        return
    assert len(set(found.values())) == len(found)
    assert all(found[key] == f"{key}.png" for key in names & keys)
