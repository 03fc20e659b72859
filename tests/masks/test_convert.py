"""`disconerf masks convert`: what it writes, what it leaves alone, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from format_files import coco_file, images_of, label_image
from PIL import Image

from disconerf_ns.cli import main
from disconerf_ns.errors import MaskError, UserError
from disconerf_ns.masks.formats import FORMATS, UNREAD, format_of, recognise
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.images import find_images
from disconerf_ns.masks.store import MaskStore


@pytest.fixture
def data(tmp_path: Path) -> Path:
    images_of(tmp_path / "data", 4, 6)
    return tmp_path / "data"


def convert(*arguments: object) -> int:
    return main(["masks", "convert", *map(str, arguments)])


def test_convert_makes_a_set_that_is_found(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    label_image(tmp_path / "object_mask/1.png", [0, 0, 1, 1, 2, 2])
    assert convert(tmp_path / "object_mask", "--data", data) == 0
    output = capsys.readouterr().out
    assert "is labels" in output
    assert f"the masks of 1 images; 1 images have no masks in {tmp_path / 'object_mask'}.\n" in output
    store = MaskStore.find(data)
    assert store.root == data / "masks/object_mask"
    assert store.manifest["parameters"]["format"] == "labels"
    assert [mask.area for mask in store.load("a/1").annotations] == [8, 8]

    assert convert(store.root, "--data", data, "--to", "coco", "--output", tmp_path / "out/masks.json") == 0
    assert recognise(tmp_path / "out/masks.json") == "coco"
    assert convert(tmp_path / "out/masks.json", "--data", data, "--output", data / "masks/again") == 0
    assert MaskStore(data / "masks/again").load("a/1") == store.load("a/1")


def test_ground_truth(data: Path, capsys: pytest.CaptureFixture) -> None:
    label_image(data / "labels/a/1.png", [0, 0, 1, 1, 3, 3])
    assert main(["masks", "ground-truth", "--data", str(data)]) == 0
    assert "masks of 1 images" in capsys.readouterr().out
    store = MaskStore.find(data)
    assert store.root == data / "masks/ground-truth"
    assert [mask.bbox[0] for mask in store.load("a/1").annotations] == [2, 4]


def test_broken_files_are_named_and_the_others_converted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    label_image(tmp_path / "l/a/1.png", [0, 0, 1, 1, 2, 2])
    (tmp_path / "l/a/2.png").write_bytes(b"\x89PNG")
    assert convert(tmp_path / "l", "--data", data) == 1
    error = capsys.readouterr().err
    assert "1 images were left out" in error and "2.png is broken" in error and "more like it" not in error
    assert MaskStore(data / "masks/l").keys() == ["a/1"]

    label_image(tmp_path / "m/a/1.png", [0, 0, 1], height=9)
    assert convert(tmp_path / "m", "--data", data) == 1
    assert "the masks of a/1 are 3 x 9, but the image is 6 x 4, another shape" in capsys.readouterr().err


def test_a_missing_photograph_is_called_missing(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """It was called broken, with Python's own words, in a sentence with two heads."""
    frames = [{"file_path": f"images/a/{name}.png", "transform_matrix": np.eye(4).tolist()} for name in (1, 2)]
    (data / "transforms.json").write_text(json.dumps({"frames": frames}))
    for name in (1, 2):
        label_image(tmp_path / f"l/a/{name}.png", [0, 0, 1, 1, 2, 2])
    (data / "images/a/2.png").unlink(missing_ok=True)
    assert convert(tmp_path / "l", "--data", data) == 1
    expected = f"disconerf: masks: 1 images were left out: {data / 'images/a/2.png'} is missing."
    assert capsys.readouterr().err.splitlines()[-1] == expected


def test_nothing_is_left_where_all_failed(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("1", "2"):
        (tmp_path / f"l/a/{name}.png").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"l/a/{name}.png").write_bytes(b"\x89PNG")
    assert convert(tmp_path / "l", "--data", data, "--source-format", "labels") == 1
    output = capsys.readouterr()
    assert "nothing was read, all 2 images failed" in output.err and "has the masks of" not in output.out
    assert not (data / "masks").exists()


def test_a_dry_run_says_what_it_understood_and_writes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """One image has masks, the other has none, and two files belong to no image."""
    for name in ("a/1", "x", "y"):
        label_image(tmp_path / f"l/{name}.png", [0, 1, 1, 2, 2, 2])
    assert convert(tmp_path / "l", "--data", data, "--dry-run") == 0
    output = capsys.readouterr().out
    assert "is labels, " in output and "would have the masks of 1 images; 1 images have no masks" in output
    assert "left out" in output and "files that fit no image (2)" in output and "2 to 2 masks" in output
    assert not (data / "masks").exists()


def test_only_some_of_many_broken_files_are_named(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for i in range(9):
        Image.new("RGB", (6, 4)).save(data / f"images/{i}x.png")
        label_image(tmp_path / f"l/{i}x.png", [0, 1] if i else [0, 0, 0, 1, 1, 1])
    assert convert(tmp_path / "l", "--data", data) == 1
    error = capsys.readouterr().err
    assert "8 images were left out" in error and error.count("another shape") == 1 and "7 more like it" in error


def test_an_existing_file_stays(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = coco_file(tmp_path / "c.json", ["a/1.png"], [])
    content = file.read_bytes()
    for target in ("coco", "labels", "sa1b"):
        assert convert(file, "--data", data, "--to", target, "--output", file) == 1
        assert "c.json is there already; name another" in capsys.readouterr().err
        assert file.read_bytes() == content


def test_what_is_not_kept_is_said(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    stack = np.ones((2, 4, 6), bool)
    MaskStore(tmp_path / "s").save("a/1", ImageMasks.from_arrays(stack))
    MaskStore(tmp_path / "s").save("a/2", ImageMasks.from_arrays(stack))
    assert convert(tmp_path / "s", "--data", data, "--to", "labels", "--output", tmp_path / "l") == 0
    output = capsys.readouterr().out
    assert "not kept, as labels cannot hold it: masks hidden by smaller ones (2)." in output
    assert "the masks of 2 images.\n" in output
    assert convert(tmp_path / "s", "--data", data, "--output", tmp_path / "again") == 0
    assert "not kept" not in capsys.readouterr().out


@pytest.mark.parametrize("source", [".", "set.v2"])
def test_the_sets_name_is_that_of_the_folder(
    data: Path, tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set.v2"
    label_image(folder / "a/1.png", [0, 0, 0, 1, 1, 1])
    monkeypatch.chdir(folder if source == "." else tmp_path)
    assert convert(source, "--data", data) == 0
    assert [path.name for path in (data / "masks").iterdir()] == ["set.v2"]


def test_garfields_file_is_not_offered(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        convert(tmp_path, "--data", data, "--to", "garfield", "--output", tmp_path / "o")
    assert "invalid choice" in capsys.readouterr().err


def test_true_labels_that_are_not_there(data: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["masks", "ground-truth", "--data", str(data)]) == 1
    assert f"there is no {data / 'labels'}" in capsys.readouterr().err


def test_folders_without_images(data: Path, tmp_path: Path) -> None:
    (data / "empty").mkdir()
    Image.new("RGB", (6, 4)).save(data / "photo.png")
    for folder, reason in (("nowhere", "there is no folder .*nowhere"), ("empty", "empty has no images")):
        with pytest.raises(UserError, match=reason):
            find_images(data, Path(folder))
    with pytest.raises(UserError, match=r"photo\.png is not a nerfstudio transforms file") as error:
        find_images(data / "photo.png")
    assert "IHDR" not in str(error.value)


@pytest.mark.parametrize("name", ["", ".", "a\0b", 3, None])
def test_frames_that_are_no_files(data: Path, name: object) -> None:
    (data / "transforms.json").write_text(json.dumps({"frames": [{"file_path": name}]}))
    with pytest.raises(UserError, match=r"transforms\.json has a frame whose `file_path` .* is not the path of a file"):
        find_images(data)


def test_hidden_files_are_left_aside(data: Path, tmp_path: Path) -> None:
    for folder in (data / "images", tmp_path / "l"):
        (folder / ".ipynb_checkpoints").mkdir(parents=True)
        (folder / "._1.png").write_bytes(b"")
        Image.new("RGB", (6, 4)).save(folder / ".ipynb_checkpoints/1.png")
    label_image(tmp_path / "l/1.png", [0, 1])
    images = find_images(data)
    assert sorted(images) == ["a/1", "a/2"]
    assert recognise(tmp_path / "l") == "labels"
    assert list(format_of("labels").read(tmp_path / "l", images).loaders) == ["a/1"]


def test_recognition_looks_at_more_than_the_first_file(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    label_image(labels / "1.png", [0, 1])
    (labels / "0.png").write_bytes(b"\x89PNG")
    assert recognise(labels) == "labels"
    for i in range(40):
        Image.new("RGB", (2, 2)).save(labels / f"{i:02}_color.png")
        label_image(labels / f"{i:02}_label.png", [0, 1])
    with pytest.raises(MaskError, match="might be labels or color; say which"):
        recognise(labels)

    masks = ImageMasks.from_arrays(np.ones((1, 2, 2), bool))
    images = {name: Path(f"{name}.png") for name in ("1", "2")}
    for name in ("amg", "coco"):
        both = tmp_path / f"sa1b_{name}"
        format_of("sa1b").write(both, images, iter([("1", masks)]))
        (both / "_info.json").write_text('{"made": "today"}')
        assert recognise(both) == "sa1b"
        format_of(name).write(both, images, iter([("2", masks)]))
        with pytest.raises(MaskError, match="might be "):
            recognise(both)


def test_what_was_found_instead_is_named(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "l"
    label_image(folder / "x.png", [0, 1])
    assert convert(folder, "--data", data) == 1
    assert "masks of none of the 2 images: its 1 names, such as x.png, do not fit the images' keys, such as a/1;" in (
        capsys.readouterr().err
    )
    (folder / "x.png").write_bytes(b"")
    assert convert(folder, "--data", data) == 1
    assert "it has 1 .png, such as x.png" in capsys.readouterr().err
    label_image(folder / "x.png", [0, 1])
    assert convert(folder / "x.png", "--data", data) == 1
    assert "x.png is a single file, but in none of the formats that keep all images in one file" in (
        capsys.readouterr().err
    )
    assert convert(folder / "x.png", "--data", data, "--source-format", "labels") == 1
    assert "x.png is a single file; name the folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere", "--data", "DATA", "--source-format", "labels"], "there is no"),
        (["nowhere", "--data", "DATA"], "there is no"),
        (["empty", "--data", "DATA"], "in no known format"),
        (["both", "--data", "DATA"], "might be"),
        (["others", "--data", "DATA"], "masks of none of the 2 images"),
        (["good", "--data", "DATA", "--to", "coco"], "--output"),
        (["good", "--data", "DATA", "--output", "good"], "not empty"),
        (["good", "--data", "DATA", "--source-format", "coco"], "no JSON file"),
    ],
)
def test_mistakes(data: Path, tmp_path: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "empty").mkdir()
    label_image(tmp_path / "good/a/1.png", [0, 1])
    label_image(tmp_path / "others/x.png", [0, 1])
    label_image(tmp_path / "both/1.png", [0, 1])
    np.save(tmp_path / "both/1.npy", np.zeros((1, 2), int))
    words = [
        str(data)
        if word == "DATA"
        else str(tmp_path / word)
        if not word.startswith("--") and word not in FORMATS
        else word
        for word in arguments
    ]
    assert convert(*words) == 1
    error = capsys.readouterr().err
    assert reason in error and len(error.strip().splitlines()) == 1


def test_docs_name_every_format_and_what_is_not_read() -> None:
    page = (Path(__file__).parents[2] / "docs/inputs.md").read_text()
    assert [name for name in (*FORMATS, *UNREAD) if f"`{name}`" not in page] == []
    assert max(map(len, page.splitlines())) <= 120
