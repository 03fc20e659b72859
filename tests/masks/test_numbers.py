"""Numbers that are no objects: nothing, borders, and numbers that no one drew; told by content or named with --void."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from format_files import images_of
from PIL import Image

from disconerf_ns.cli import main
from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats import format_of, recognise
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.numbers import Void, explain, judge

SIDE = (4, 6)


def saved(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, labels) if path.suffix == ".npy" else Image.fromarray(labels).save(path)


def row(*values: int, dtype: type = np.uint8) -> np.ndarray:
    """A label map of columns of one number each, 4 pixels high."""
    return np.tile(np.array(values, dtype), (4, 1))


def read_set(root: Path, void: Void = None, size: tuple[int, int] = SIDE) -> dict[str, ImageMasks]:
    """The masks of a folder in whatever format it is."""
    contents = format_of(recognise(root / "l")).read(root / "l", images_of(root, *size), void)
    return {key: load().masks for key, load in contents.loaders.items()}


def columns(masks: ImageMasks) -> list[list[int]]:
    """Columns of each mask of a `row`."""
    return [np.flatnonzero(mask[0]).tolist() for mask in masks.decode()]


# -------------------------------------------------------------------- nothing, and borders


@pytest.mark.parametrize("name", ["1.npy", "1.tif"])
def test_a_negative_number_is_nothing_and_then_0_is_an_object(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture
) -> None:
    """The second image has no negative number, and 0 is an object there too."""
    saved(tmp_path / "l/a" / name, row(-1, -1, 0, 0, 1, 1, dtype=np.int32))
    saved(tmp_path / "l/a" / name.replace("1", "2", 1), row(0, 0, 1, 1, 3, 3, dtype=np.int32))
    found = read_set(tmp_path)
    assert columns(found["a/1"]) == [[2, 3], [4, 5]] and columns(found["a/2"]) == [[0, 1], [2, 3], [4, 5]]
    said = capsys.readouterr().out
    assert "masks: negative numbers (-1) mean no object (17% of the pixels), so 0 is an object; if 0" in said
    assert "pass --void -1 0." in said
    assert columns(read_set(tmp_path, frozenset({-1, 0}))["a/1"]) == [[4, 5]]


def test_minus_one_without_a_sign_is_minus_one(tmp_path: Path) -> None:
    saved(tmp_path / "l/1.npy", row(-1, -1, 0, 0, 1, 1, dtype=np.int32).view(np.uint32))
    assert columns(read_set(tmp_path)["a/1"]) == [[2, 3], [4, 5]]


@pytest.mark.parametrize(("name", "border", "dtype"), [("1.png", 255, np.uint8), ("1.png", 65535, np.uint16)])
def test_255_beside_small_numbers_is_a_border_that_is_not_looked_at(
    tmp_path: Path, name: str, border: int, dtype: type, capsys: pytest.CaptureFixture
) -> None:
    saved(tmp_path / "l" / name, row(0, 1, 1, border, 2, 2, dtype=dtype))
    found = read_set(tmp_path)["a/1"]
    assert columns(found) == [[1, 2], [4, 5]]
    assert found.decode_looked_at()[0].tolist() == [True, True, True, False, True, True]
    said = capsys.readouterr().out
    assert (
        f"masks: the number {border} stands apart from the others, so it marks borders, or pixels that nobody" in said
    )
    assert (
        "labelled (17% of the pixels, which are not looked at);" in said
        and "if it is an object, pass --void 0." in said
    )
    assert columns(read_set(tmp_path, frozenset({0}))["a/1"]) == [[1, 2], [4, 5], [3]]
    assert f"{border} is an object, since --void does not name it; --void 0 {border} would." in capsys.readouterr().out
    assert read_set(tmp_path, frozenset({0, border})) == {"a/1": found}
    alone = read_set(tmp_path, frozenset({border}))["a/1"]
    assert columns(alone) == [[0], [1, 2], [4, 5]] and alone.looked_at is None


@pytest.mark.parametrize(
    ("values", "objects"),
    [
        ((0, 0, 255, 255, 0, 0), 1),
        ((0, 0, 85, 85, 170, 255), 3),
        ((0, 0, 128, 128, 255, 255), 2),
        ((253, 253, 254, 254, 255, 255), 3),
    ],
)
def test_255_is_an_object_where_it_does_not_stand_apart(tmp_path: Path, values: tuple[int, ...], objects: int) -> None:
    """A binary mask, greys that are stretched for the eye, and the last of many objects."""
    saved(tmp_path / "l/1.png", row(*values))
    found = read_set(tmp_path)["a/1"]
    assert len(found) == objects and found.looked_at is None


@pytest.mark.parametrize(("values", "said"), [((0, 200, 230, 255), True), ((0, 0, 255, 255), False)])
def test_it_is_said_that_255_may_be_a_border(
    tmp_path: Path, values: tuple[int, ...], said: bool, capsys: pytest.CaptureFixture
) -> None:
    """255 beside 0 alone is the one object of a binary mask."""
    saved(tmp_path / "l/1.png", row(*values))
    read_set(tmp_path)
    sentence = "255 is an object, since it does not stand apart from the others; if it means borders, pass --void"
    assert (f"{sentence} 0 255." in capsys.readouterr().out) == said


def test_a_number_is_the_same_in_all_images(tmp_path: Path) -> None:
    """255 stands apart in the first image, but other images have 200 and 254 as well."""
    saved(tmp_path / "l/a/1.png", row(0, 0, 1, 1, 255, 255))
    saved(tmp_path / "l/a/2.png", row(0, 0, 200, 200, 254, 254))
    assert columns(read_set(tmp_path)["a/1"]) == [[2, 3], [4, 5]]


def test_what_is_not_known_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    saved(tmp_path / "l/1.png", row(0, 0, 1, 1, 2, 2))
    assert columns(read_set(tmp_path)["a/1"]) == [[2, 3], [4, 5]]
    said = "masks: the number 0 means no object (33% of the pixels); if it is an object, pass --void None."
    assert said in capsys.readouterr().out
    assert columns(read_set(tmp_path, frozenset())["a/1"]) == [[0, 1], [2, 3], [4, 5]]
    assert columns(read_set(tmp_path, frozenset({2, 7}))["a/1"]) == [[0, 1], [2, 3]]
    assert "--void names 7, which occurs in none of the files." in capsys.readouterr().out
    saved(tmp_path / "l/1.png", row(4, 4, 4, 1, 2, 2))
    assert columns(read_set(tmp_path)["a/1"]) == [[3], [4, 5], [0, 1, 2]]
    assert "the number 0 is in none of the files, so every number is an object" in (said := capsys.readouterr().out)
    assert "if 4, the most frequent (50% of the pixels), means no object, pass --void 4." in said


def test_0_that_does_not_occur_is_no_surprise() -> None:
    """Whoever scores examples without a 0 by a command that names it was told about options."""
    assert explain(frozenset({0}), judge({1: 9, 2: 9}), {1: 9, 2: 9}) == []
    (said,) = explain(frozenset({0, 7}), judge({1: 9, 2: 9}), {1: 9, 2: 9})
    assert said == "--void names 7, which occurs in none of the files."


def test_void_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    images_of(tmp_path / "data", *SIDE)
    saved(tmp_path / "l/1.png", row(0, 1, 1, 7, 2, 2))
    command = ["masks", "convert", str(tmp_path / "l"), "--data", str(tmp_path / "data"), "--dry-run", "--void"]
    for void, masks in ((["0", "7"], 2), (["0"], 3), (["None"], 4), (["auto"], 3)):
        assert main([*command, *void]) == 0
        assert f"{masks} to {masks} masks" in capsys.readouterr().out


def test_formats_without_numbers_refuse_void(tmp_path: Path) -> None:
    masks = ImageMasks.from_arrays(np.ones((1, *SIDE), bool))
    images = images_of(tmp_path, *SIDE)
    for name in ("sa1b", "amg", "amg_folder", "coco", "panoptic"):
        format_of(name).write(tmp_path / name, images, iter([("a/1", masks)]))
        with pytest.raises(MaskError, match="are not numbers of pixels; leave --void out"):
            format_of(name).read(tmp_path / name, images, frozenset({0, 255}))


# -------------------------------------------------------------------- colours


def test_grey_colours_are_numbers(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A label image saved with three channels: 255 is a border there too, and --void means greys."""
    saved(tmp_path / "l/1.png", np.repeat(row(0, 1, 1, 255, 2, 2)[..., None], 3, -1))
    found = read_set(tmp_path)["a/1"]
    assert columns(found) == [[1, 2], [4, 5]] and not found.decode_looked_at()[0, 3]
    assert "all colours are grey" in capsys.readouterr().out
    assert columns(read_set(tmp_path, frozenset({0, 1, 255}))["a/1"]) == [[4, 5]]


def test_vocs_border_in_colours(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    palette = np.array([[0, 0, 0], [128, 0, 0], [224, 224, 192], [0, 128, 0]], np.uint8)
    saved(tmp_path / "l/1.png", palette[row(0, 1, 1, 2, 3, 3)])
    found = read_set(tmp_path)["a/1"]
    assert columns(found) == [[1, 2], [4, 5]] and not found.decode_looked_at()[0, 3]
    said = capsys.readouterr().out
    assert "(the colour 224, 224, 192) is PASCAL VOC's colour of borders, so it marks borders" in said
    saved(tmp_path / "l/1.png", palette[row(1, 1, 1, 2, 3, 3)])
    read_set(tmp_path)
    said = capsys.readouterr().out
    assert "0 (the colour 0, 0, 0) is in none of the files" in said
    assert "if 128 (the colour 128, 0, 0), the most frequent (50% of the pixels), means no object" in said


def test_transparent_pixels_are_said_to_be_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    colors = np.array([[1, 0, 0, 0], [128, 0, 0, 255], [0, 128, 0, 255]], np.uint8)
    saved(tmp_path / "l/1.png", colors[row(0, 1, 1, 2, 2, 2)])
    assert columns(read_set(tmp_path)["a/1"]) == [[1, 2], [3, 4, 5]]
    said = capsys.readouterr().out
    assert "transparent pixels belong to no object (17% of the pixels), and every number is an object" in said
    assert "in none of the files" not in said


# -------------------------------------------------------------------- invented numbers


def discs(count: int, radius: tuple[int, int], size: tuple[int, int] = (180, 240)) -> np.ndarray:
    """Objects that touch and hide each other, on a ground."""
    rng, labels = np.random.default_rng(0), np.zeros(size, np.uint8)
    for number in range(1, count + 1):
        centre = (int(rng.integers(size[1])), int(rng.integers(size[0])))
        cv2.circle(labels, centre, int(rng.integers(*radius)), number, -1)
    return labels


def resized(labels: np.ndarray, how: Image.Resampling, factor: float = 0.5) -> np.ndarray:
    height, width = labels.shape[:2]
    return np.asarray(Image.fromarray(labels).resize((int(width * factor), int(height * factor)), how))


SMOOTH = [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BOX]


@pytest.mark.parametrize("how", SMOOTH)
@pytest.mark.parametrize("name", ["1.png", "1.npy"])
def test_smoothly_resized_labels_are_refused(tmp_path: Path, how: Image.Resampling, name: str) -> None:
    saved(tmp_path / "l" / name, resized(discs(12, (15, 50)), how))
    with pytest.raises(MaskError, match=rf"{name} is broken \(\d+% of the pixels along .*nearest neighbour"):
        read_set(tmp_path, size=(90, 120))


@pytest.mark.parametrize("factor", [1.5, 3])
def test_smoothly_enlarged_labels_are_refused(tmp_path: Path, factor: float) -> None:
    saved(tmp_path / "l/1.png", resized(discs(12, (15, 50)), Image.Resampling.BILINEAR, factor))
    with pytest.raises(MaskError, match="smooth resizing"):
        read_set(tmp_path)


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_labels_that_were_a_jpeg_are_refused(tmp_path: Path, quality: int) -> None:
    Image.fromarray(20 * discs(12, (15, 50))).save(tmp_path / "x.jpg", quality=quality)
    saved(tmp_path / "l/1.png", np.asarray(Image.open(tmp_path / "x.jpg")))
    with pytest.raises(MaskError, match="JPEG invents"):
        read_set(tmp_path)


def test_a_smooth_binary_mask_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "l/1.png", resized(255 * (discs(1, (40, 50)) > 0).astype(np.uint8), Image.Resampling.BILINEAR))
    with pytest.raises(MaskError, match="smooth resizing"):
        read_set(tmp_path)


def test_anti_aliased_colours_are_refused(tmp_path: Path) -> None:
    colors = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    saved(tmp_path / "l/1.png", resized(colors[discs(12, (15, 50))], Image.Resampling.BILINEAR))
    with pytest.raises(MaskError, match="anti-aliasing"):
        read_set(tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "JPEG"])
def test_jpegs_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "l").mkdir()
    Image.fromarray(discs(12, (15, 50))).save(tmp_path / f"l/1.{suffix}")
    for read in (recognise, lambda path: format_of("labels").read(path, {}), lambda p: format_of("color").read(p, {})):
        with pytest.raises(MaskError, match=rf"JPEGs, such as 1\.{suffix}, .*write them as PNG"):
            read(tmp_path / "l")


def boundaries() -> np.ndarray:
    """Ground 0, a thin line 1 around objects of 2."""
    objects = (discs(5, (15, 40)) > 0).astype(np.uint8)
    return objects + cv2.dilate(objects, np.ones((3, 3)))


@pytest.mark.parametrize(
    "labels",
    [
        discs(200, (3, 8)),
        discs(250, (2, 5)),
        resized(discs(60, (10, 30)), Image.Resampling.NEAREST, 0.4),
        resized(discs(60, (10, 30)), Image.Resampling.NEAREST, 3.3),
        boundaries(),
        np.where(cv2.dilate(cv2.Canny(discs(12, (15, 50)) * 20, 1, 2), np.ones((3, 3))) > 0, 255, discs(12, (15, 50))),
    ],
    ids=["small", "tiny", "smaller", "larger", "lines", "borders"],
)
def test_drawn_labels_are_not_refused(tmp_path: Path, labels: np.ndarray) -> None:
    saved(tmp_path / "l/1.png", labels.astype(np.uint8))
    assert len(read_set(tmp_path)["a/1"]) == len(set(np.unique(labels)) - {0, 255})
