"""`disconerf masks show`: the report by hand-worked numbers, and sheets whose pixels are what they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disconerf_ns.cli import main
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.report import ViewMasks, describe, disagreement, measure
from disconerf_ns.masks.sheet import overlay, sheet
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.palette import object_colors


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four images; 6, 2, 0 and 1 masks of a tenth of the image each."""
    store = MaskStore.create(tmp_path / "masks/mine", {"generator": "test"})
    (tmp_path / "images").mkdir()
    for name, count in (("a", 6), ("b", 2), ("c", 0), ("d", 1)):
        Image.new("RGB", (20, 10), (200, 100, 50)).save(tmp_path / f"images/{name}.png")
        store.save(name, ImageMasks.from_arrays((np.arange(20) // 2 == np.arange(count)[:, None, None]).repeat(10, 1)))
    return tmp_path


def test_report(data: Path) -> None:
    store = MaskStore(data / "masks/mine")
    views = measure(store, store.keys())
    assert [view.count for view in views] == [6, 2, 0, 1]
    assert [view.coverage for view in views] == pytest.approx([0.6, 0.2, 0.0, 0.1])
    assert disagreement(views[0], views[1]) == pytest.approx(4 / 6)
    assert disagreement(views[2], views[2]) == 0
    one, two = ViewMasks("one", 2, 0.5, (0.1, 0.4)), ViewMasks("two", 3, 0.5, (0.3, 0.1, 0.1))
    assert disagreement(one, two) == disagreement(two, one) == pytest.approx(1 - 0.4 / 0.6)
    text = describe("here", views)
    few = "3 views have fewer than 5: b, c, d"
    for line in ("4 views, 1 of them without", "0 to 6 masks, median 1.5", "0% to 60%", few):
        assert line in text
    assert "100% of the masks' area has no counterpart" in text
    assert "most: c and d 100%, b and c 100%, a and b 67%" in text
    assert describe("here", []) == "masks: here has masks of none of the images."


def test_report_of_levels(tmp_path: Path) -> None:
    """A whole, its two halves and a quarter; an empty mask and one without a level are not counted."""
    masks = np.zeros((6, 4, 4), bool)
    masks[0], masks[1, :2], masks[2, 2:], masks[3, :2, :2], masks[4, 0, 0] = True, True, True, True, True
    store = MaskStore.create(tmp_path / "mine", {})
    store.save("a", ImageMasks.from_arrays(masks, level=[0, 1, 1, 2, None, 2]))
    (view,) = measure(store, ["a"])
    assert (view.count, view.coverage, view.levels) == (5, 1.0, (0, 1, 1, 2))
    assert "levels     1 of level 0, 2 of level 1, 1 of level 2" in describe("here", [view])
    store.save("a", ImageMasks.from_arrays(masks, level=0))
    assert "levels" not in describe("here", measure(store, ["a"]))


def test_an_overlay_colours_masks_and_dims_the_rest() -> None:
    image = np.full((20, 40, 3), (200, 100, 50), np.uint8)
    masks, looked_at = np.zeros((2, 20, 40), bool), np.ones((20, 40), bool)
    masks[0, :, :20] = masks[1, 5:15, 5:15] = True
    looked_at[:, 35:] = False
    drawn = overlay(image, ImageMasks.from_arrays(masks, looked_at=looked_at)).astype(float)
    colors = 255 * object_colors(2)
    assert np.abs(drawn[10, 10] - (0.45 * image[0, 0] + 0.55 * colors[1])).max() <= 1
    assert np.abs(drawn[2, 2] - (0.45 * image[0, 0] + 0.55 * colors[0])).max() <= 1
    assert drawn[10, 30].tolist() == [58, 58, 58]
    assert (drawn[:, 35:] == 0).all()


def test_pages_are_about_as_wide_as_high() -> None:
    assert sheet([np.zeros((100, 200, 3), np.uint8)] * 8).shape == (400, 400, 3)
    assert sheet([np.zeros((100, 100, 3), np.uint8)]).shape == (100, 100, 3)


def test_show(data: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["masks", "show", "--data", str(data), "--per-sheet", "3"]) == 0
    output = capsys.readouterr().out
    assert "(2 pages, 4 of 4 views)" in output
    sheets = sorted((data / "masks/mine_sheets").iterdir())
    assert [path.name for path in sheets] == ["sheet_01.jpg", "sheet_02.jpg"]
    with Image.open(sheets[0]) as page:
        assert page.width > 800
    assert MaskStore.find(data).root == data / "masks/mine"
    assert main(["masks", "show", "--data", str(data), "--views", "2"]) == 0
    assert "(1 pages, 2 of 4 views)" in capsys.readouterr().out


def test_a_broken_file_costs_no_other_view(data: Path, capsys: pytest.CaptureFixture) -> None:
    """One empty file ended the report, and other broken files were not named."""
    for name in "ab":
        (data / f"masks/mine/{name}.json").write_text("")
    assert main(["masks", "show", "--data", str(data)]) == 1
    printed = capsys.readouterr()
    assert "no file of masks" not in printed.out, "there are files, which are broken"
    assert "2 of 4 views" in printed.out and "2 of 4 views could not be shown" in printed.err
    assert "a.json" in printed.err and "b.json" in printed.err


def test_mistakes(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["masks", "show", "--data", str(data), "--size", "0"]) == 1
    assert "--size" in capsys.readouterr().err
    MaskStore.create(tmp_path / "other", {}).save("x", ImageMasks(1, 1, ()))
    assert main(["masks", "show", "--data", str(data), "--masks", str(tmp_path / "other")]) == 1
    assert "none of the 4 images" in capsys.readouterr().err
