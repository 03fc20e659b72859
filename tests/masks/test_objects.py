"""A PNG per object, and what is said if names of masks and images do not pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from format_files import images_of, read_masks
from PIL import Image

from disconerf_ns.cli import main
from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats import format_of, objects, recognise
from disconerf_ns.masks.formats.files import match_images

LAYOUTS = [
    "{key}/{n}.png",
    "{key}/masks/cup {n}.PNG",
    "some/{key}_object{n}.png",
    "{key}_{n}.png",
    "{key}_instance_{n}.tif",
    "{key}-cat-{n}.png",
    "{stem}.jpg/{n}.bmp",
]


@pytest.fixture
def images(tmp_path: Path) -> dict[str, Path]:
    return images_of(tmp_path / "data", 4, 6)


def object_file(path: Path, first: int, value: int = 255, mode: str = "L") -> None:
    """A mask of 4 x 6 pixels that covers two columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((4, 6), np.uint8)
    pixels[:, first : first + 2] = value
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_per_object(tmp_path: Path, images: dict[str, Path], layout: str) -> None:
    """Objects 0, 2 and 10 are the columns 0-1, 2-3 and 4-5, in the order of their numbers; the fourth is empty."""
    folder = tmp_path / "set"
    for key in ("a/1", "a/2", "b/9"):
        for first, n in enumerate((0, 2, 10)):
            object_file(folder / layout.format(key=key, stem=key[2:], n=n), 2 * first)
        object_file(folder / layout.format(key=key, stem=key[2:], n=11), 0, value=0)
    assert recognise(folder, images) == "objects"
    contents = format_of("objects").read(folder, images)
    assert contents.left_out == {"files that fit no image": 4}
    loaded = contents.loaders["a/2"]()
    assert loaded.left_out == {"empty masks": 1}
    assert [mask.bbox for mask in loaded.masks.annotations] == [(0, 0, 2, 4), (2, 0, 2, 4), (4, 0, 2, 4)]


def test_two_files_that_differ_in_their_suffix_are_two_masks(tmp_path: Path, images: dict[str, Path]) -> None:
    """One of them was left out, as a file that fits no image."""
    key = next(iter(images))
    for suffix in (".png", ".bmp"):
        object_file(tmp_path / "masks" / key / f"0{suffix}", 1)
    found = objects.groups(tmp_path / "masks", images)[key]
    assert sorted(file.suffix for file in found) == [".bmp", ".png"]


@pytest.mark.parametrize(("value", "mode"), [(1, "L"), (7, "L"), (255, "1"), (255, "RGB"), (255, "RGBA")])
def test_one_value_besides_nothing(tmp_path: Path, images: dict[str, Path], value: int, mode: str) -> None:
    for n in (0, 1):
        object_file(tmp_path / f"set/a/1_{n}.png", 3 * n, value, mode)
    assert recognise(tmp_path / "set", images) == "objects"
    assert [mask.area for mask in read_masks("objects", tmp_path / "set", images).annotations] == [8, 8]


def test_a_label_image_in_a_folder_is_no_object(tmp_path: Path, images: dict[str, Path]) -> None:
    folder = tmp_path / "set"
    (folder / "a/1").mkdir(parents=True)
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6)).save(folder / "a/1/label.png")
    assert recognise(folder, images) == "objects"
    with pytest.raises(
        MaskError, match=r"label\.png has 23 values besides 0, so it is not the mask of one object; save"
    ):
        read_masks("objects", folder, images)


@pytest.mark.parametrize("names", [["a/1.png", "a/2.png"], ["a/1.png", "a/1/0.png"], ["1_label.png"], ["x_0.png"]])
def test_label_images_stay_label_images(tmp_path: Path, images: dict[str, Path], names: list[str]) -> None:
    for name in names:
        object_file(tmp_path / "set" / name, 0)
    assert recognise(tmp_path / "set", images) == "labels"


def test_a_subfolder_of_the_images_is_no_image(tmp_path: Path) -> None:
    images = {"0/0": Path("0/0.png"), "0/1": Path("0/1.png")}
    for key in images:
        object_file(tmp_path / f"set/{key}.png", 0)
    assert recognise(tmp_path / "set", images) == "labels"


def test_images_called_by_numbers(tmp_path: Path) -> None:
    images = {str(n): Path(f"{n}.png") for n in range(3)}
    for n in range(3):
        for k in range(3):
            object_file(tmp_path / f"set/{n}/{k}.png", 2 * k)
    assert recognise(tmp_path / "set", images) == "objects"
    assert len(read_masks("objects", tmp_path / "set", images, "2").annotations) == 3


@pytest.mark.parametrize(("name", "format_name"), [("cp_masks", "labels"), ("object0", "objects")])
def test_masks_beside_the_photographs(tmp_path: Path, images: dict[str, Path], name: str, format_name: str) -> None:
    folder = tmp_path / "data/images"
    for n in (1, 2):
        object_file(folder / f"a/{n}_{name}.png", 0)
    contents = format_of(format_name).read(folder, images)
    assert [len(load().masks.annotations) for load in contents.loaders.values()] == [1, 1]


def test_masks_of_different_sizes(tmp_path: Path, images: dict[str, Path]) -> None:
    object_file(tmp_path / "set/a/1/0.png", 0)
    Image.new("L", (3, 3), 255).save(tmp_path / "set/a/1/1.png")
    with pytest.raises(MaskError, match=r"set/a/1, such as 0\.png, have different sizes"):
        read_masks("objects", tmp_path / "set", images)


def test_objects_are_not_written(tmp_path: Path, images: dict[str, Path]) -> None:
    with pytest.raises(MaskError, match="--to amg_folder"):
        format_of("objects").write(tmp_path, images, iter(()))
    with pytest.raises(MaskError, match=r"no folders with the images' names, such as a/1/0\.png, and no files such as"):
        format_of("objects").read(tmp_path, images)


def test_convert_takes_a_folder_per_image(
    tmp_path: Path, images: dict[str, Path], capsys: pytest.CaptureFixture
) -> None:
    object_file(tmp_path / "set/1/0.png", 0)
    assert main(["masks", "convert", str(tmp_path / "set"), "--data", str(tmp_path / "data")]) == 0
    said = capsys.readouterr().out
    assert "set is objects, a binary PNG per object" in said and "1 images have no masks" in said


def test_both_sides_are_named_if_nothing_fits(tmp_path: Path, images: dict[str, Path]) -> None:
    with pytest.raises(MaskError) as error:
        match_images(["x/3.png", "x/4.png"], images, tmp_path / "set")
    assert f"compare {tmp_path}/set/x/3.png, {tmp_path}/set/x/4.png with {images['a/1']}, {images['a/2']};" in str(
        error.value
    )


def test_label_studios_names_have_a_remedy(images: dict[str, Path]) -> None:
    with pytest.raises(MaskError, match="Label Studio's PNGs do not name their image, so export COCO there instead"):
        match_images(["task-1-annotation-11-by-1-tag-thing-0.png"], images, Path("set"))


@pytest.mark.parametrize("name", ["a\u200bb", "\uff41b", "a\xadb"])
def test_names_that_look_alike_are_told_apart(name: str) -> None:
    with pytest.raises(MaskError) as error:
        match_images([f"{name}.png"], {"ab": Path("ab.png")}, Path("set"))
    assert f"{name + '.png'!a} and 'ab' look alike, but are written differently." in str(error.value)


def test_what_is_left_on_both_sides_is_said(images: dict[str, Path], capsys: pytest.CaptureFixture) -> None:
    match_images(["a/1.png"], images, Path("set"))
    assert capsys.readouterr().out == ""
    match_images(["a/1.png", "a/7.png", "b.png"], images, Path("set"))
    assert capsys.readouterr().out == (
        "masks: 2 of 3 names in set and 1 of 2 images have no partner: "
        f"{Path('set/a/7.png').absolute()}, {Path('set/b.png').absolute()} and {images['a/2']}.\n"
    )


@pytest.mark.parametrize(
    ("mask", "image"), [("{}", "{}"), ("frame_{:05}", "frame_{:05}"), ("mask_{}", "{}"), ("{:05}", "frame_{:05}")]
)
@pytest.mark.parametrize(("first", "word"), [(0, "minus"), (2, "plus")])
def test_numbers_off_by_one_are_refused(mask: str, image: str, first: int, word: str) -> None:
    images = {image.format(n): Path(f"{n}.jpg") for n in range(1, 5)}
    names = [f"{mask.format(n)}.png" for n in range(first, first + 4)]
    with pytest.raises(MaskError, match=rf"4 names in set are numbered like the 4 images {word} 1, so pairs"):
        match_images(names, images, Path("set"))
