"""`disconerf masks`: images of every format found, work that goes on where it stopped, mistakes in one sentence."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disconerf_ns.cli import COMMANDS, main
from disconerf_ns.errors import UserError
from disconerf_ns.masks.freshness import changed
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.images import find_images, read_image
from disconerf_ns.masks.proposers import graph
from disconerf_ns.masks.store import MaskStore


def picture(path: Path, left: str = "red", right: str = "blue") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (24, 16), left)
    image.paste(right, (12, 0, 24, 16))
    image.save(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("a/1.png", "a/2.png", "3.png"):
        picture(tmp_path / "data/images" / name)
    return tmp_path / "data"


def masks_of(data: Path) -> MaskStore:
    return MaskStore(data / "masks/graph")


def run(data: Path, *options: str) -> int:
    return main(["masks", "--data", str(data), *options])


def test_every_image_gets_a_file_and_the_end_says_what_came_out(data: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(data, "graph") == 0
    assert masks_of(data).keys() == ["3", "a/1", "a/2"]
    assert len(masks_of(data).load("a/1")) == 2
    manifest = masks_of(data).manifest
    assert manifest["generator"] == "graph"
    assert manifest["parameters"]["differences"] == [3.0]
    output = capsys.readouterr().out
    coverage = "100% to 100%"
    for line in ("3 views, 0 of them without any mask", "2 to 2 masks, median 2", coverage, "slots      4 with"):
        assert line in output


def test_only_what_is_missing_is_made(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(data, "graph")
    store = masks_of(data)
    store.save("3", ImageMasks.from_arrays(np.zeros((0, 16, 24), dtype=bool)))
    store._path("a/2").unlink()
    assert run(data, "graph") == 0
    assert [len(store.load(key)) for key in ("3", "a/1", "a/2")] == [0, 2, 2]

    monkeypatch.setattr(graph.GraphConfig, "setup", lambda _: pytest.fail("there is nothing to do"))
    assert run(data, "graph") == 0


def test_other_parameters_need_another_folder(data: Path, capsys: pytest.CaptureFixture) -> None:
    run(data, "graph")
    capsys.readouterr()
    assert run(data, "graph", "--min-area", "0.6") == 1
    error = capsys.readouterr().err
    assert "min_area 0.01 instead of 0.6" in error
    assert "--output" in error
    assert len(error.strip().splitlines()) == 1
    for key in masks_of(data).keys():
        masks_of(data)._path(key).unlink()
    assert run(data, "graph", "--min-area", "0.6") == 1, "another run may be about to write there"
    run(data, "graph")
    assert run(data, "--output", str(data / "masks/other"), "graph", "--min-area", "0.6") == 0
    assert len(MaskStore.open(data / "masks/other").load("3")) == 0
    assert run(data, "--overwrite", "graph", "--min-area", "0.6") == 0
    assert len(masks_of(data).load("3")) == 0
    assert masks_of(data).manifest["parameters"]["min_area"] == 0.6


def test_a_changed_image_is_noticed(data: Path, capsys: pytest.CaptureFixture) -> None:
    run(data, "graph")
    image, file = data / "images/3.png", masks_of(data)._path("3")
    before = file.read_bytes()
    os.utime(image, (file.stat().st_mtime + 9,) * 2)
    capsys.readouterr()
    assert run(data, "graph") == 0
    assert file.read_bytes() == before and "have changed" not in capsys.readouterr().out

    picture(image, right="red")
    os.utime(image, (0, 0))
    assert changed(masks_of(data), "3", image)
    assert run(data, "graph") == 0
    assert "1 images have changed since their masks were made, such as 3" in capsys.readouterr().out
    assert len(masks_of(data).load("3")) == 1
    assert not changed(masks_of(data), "3", image)


def test_masks_that_say_nothing_of_their_image_are_not_stale(data: Path) -> None:
    store = MaskStore(data / "masks/other")
    store.save("3", ImageMasks(16, 24, ()))
    assert not changed(store, "3", data / "images/3.png")
    assert store.about("3") == {"file_name": "3", "height": 16, "width": 24}
    store._path("3").write_text('{"annotations": []}')
    assert store.about("3") == {}


def test_options_stand_in_any_order(data: Path) -> None:
    assert main(["masks", "graph", "--min-area", "0.6", "--data", str(data), "--output", str(data / "b")]) == 0
    assert MaskStore(data / "b").manifest["parameters"]["min_area"] == 0.6


def test_a_broken_image_is_named_and_the_others_are_done(data: Path, capsys: pytest.CaptureFixture) -> None:
    (data / "images/a/1.png").write_bytes(b"no image")
    assert run(data, "graph") == 1
    assert masks_of(data).keys() == ["3", "a/2"]
    error = capsys.readouterr().err
    assert "1 of 3 images" in error
    assert "1.png" in error


def test_ctrl_c_finishes_the_image_at_hand(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    propose = graph.GraphProposer.__call__

    def interrupted(self: graph.GraphProposer, image: np.ndarray) -> ImageMasks:
        os.kill(os.getpid(), signal.SIGINT)
        return propose(self, image)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(graph.GraphProposer, "__call__", interrupted)
    with pytest.raises(SystemExit) as stopped:
        run(data, "graph")
    assert stopped.value.code == 130
    assert masks_of(data).keys() == ["3"]
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    assert run(data, "graph") == 0
    assert len(masks_of(data).keys()) == 3


def test_sam_without_weights_is_one_sentence(data: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(data) == 1
    error = capsys.readouterr().err
    assert "--sam-checkpoint" in error
    assert len(error.strip().splitlines()) == 1
    assert not (data / "masks").exists()


def test_unknown_proposer_and_command(data: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(data, "yolo")
    assert "transformers" in capsys.readouterr().err
    assert main(["fly"]) == 1
    assert "no command fly" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str, capsys: pytest.CaptureFixture) -> None:
    assert main([]) == 0
    assert name in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])


def test_images_of_a_nerfstudio_dataset_are_its_frames(data: Path) -> None:
    frames = [{"file_path": "images/a/1.png"}, {"file_path": "./images/3"}]
    (data / "transforms.json").write_text(json.dumps({"frames": frames}))
    expected = {"a/1": data / "images/a/1.png", "3": data / "images/3.png"}
    assert find_images(data) == find_images(data / "transforms.json") == expected


def test_images_of_a_blender_dataset(tmp_path: Path) -> None:
    (tmp_path / "transforms_train.json").write_text(json.dumps({"frames": [{"file_path": "./train/r_0"}]}))
    assert find_images(tmp_path) == {"train/r_0": tmp_path / "train/r_0.png"}


def test_images_in_the_folder_itself_or_in_a_named_one(tmp_path: Path) -> None:
    picture(tmp_path / "x.JPG")
    picture(tmp_path / "masks/x.png")
    picture(tmp_path / "images_2/b/y.png")
    assert set(find_images(tmp_path)) == {"x"}
    assert set(find_images(tmp_path, Path("images_2"))) == {"b/y"}


def test_no_images(tmp_path: Path, data: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*nowhere"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match="--images"):
        find_images(tmp_path)
    picture(data / "images/3.jpg")
    with pytest.raises(UserError, match=r"3\.jpg and .*3\.png would share"):
        find_images(data)
    (data / "transforms.json").write_text('{"frames": 3}')
    with pytest.raises(UserError, match=r"transforms\.json is not"):
        find_images(data)


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png").tolist() == [[[10, 20, 30], [255, 255, 255]]]
    with pytest.raises(UserError, match=r"y\.png is missing"):
        read_image(tmp_path / "y.png")
