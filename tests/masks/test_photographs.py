"""Photographs of every depth and mode: read as people see them, or one sentence; and what nerfstudio makes of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scene import write_scene
from tiny_run import tiny_config

from disconerf_ns.cli import main
from disconerf_ns.errors import UserError
from disconerf_ns.masks.images import misread, read_image

GREY = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
"""Black to white in 16 bit, in steps of one level of 8 bit."""


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bit_is_refused_and_colour_is_scaled(tmp_path: Path, suffix: str) -> None:
    grey, colour = tmp_path / f"grey.{suffix}", tmp_path / f"colour.{suffix}"
    cv2.imwrite(str(grey), GREY)
    cv2.imwrite(str(colour), np.stack([GREY // 2, GREY, GREY.T], -1))
    with pytest.raises(UserError, match=rf"grey\.{suffix} is 16 bit, which nerfstudio cannot read; save it in 8 bit"):
        read_image(grey)
    assert (read_image(colour) == np.stack([GREY.T, GREY, GREY // 2], -1) >> 8).all()
    assert misread([colour]) is None and "1 of the photographs, such as" in str(misread([colour, grey]))


@pytest.mark.parametrize("mode", ["I", "F", "I;16B"])
def test_deeper_numbers_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "deep.tif")
    with pytest.raises(UserError, match=r"deep\.tif is .*which nerfstudio cannot read"):
        read_image(tmp_path / "deep.tif")


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_masks_see_the_colours_of_other_modes(tmp_path: Path, mode: str) -> None:
    """Half black, half white; nerfstudio reads grey, RGB and RGBA only."""
    halves = Image.fromarray(np.tile(np.repeat(np.array([0, 255], np.uint8), 4), (8, 1)))
    file = tmp_path / "photograph.tif"
    (halves if mode in ("1", "L", "LA") else halves.convert("RGB")).convert(mode).save(file)
    assert Image.open(file).mode == mode
    assert (read_image(file) == np.array(halves)[..., None]).all()
    assert (misread([file]) is None) == (mode in ("L", "RGBA"))


def test_what_is_missing_or_broken_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    assert misread([tmp_path / "broken.png", tmp_path / "missing.png"]) is None


@pytest.mark.parametrize(
    ("names", "memory"), [(["0001"], 8.0), (["0004"], 8.0), (["0000", "0001", "0002", "0003"], 0.0), (["0004"], 0.0)]
)
def test_training_names_a_photograph_that_is_broken(tmp_path: Path, names: list[str], memory: float) -> None:
    """0004 is held out; without memory nerfstudio reads one photograph at a time."""
    data = write_scene(tmp_path / "balls", views=5, width=16, height=12)
    for photograph in (data / f"images/{name}.png" for name in names):
        photograph.write_bytes(photograph.read_bytes()[:200])
    config = tiny_config(data, tmp_path / "out").pipeline.datamanager
    config.image_memory_gb = memory
    with pytest.raises(UserError, match=rf"images: .*{names[0]}\.png cannot be read \(.*\); restore it\.$"):
        config.setup(device="cpu", test_mode="val").next_train(0)


def test_training_refuses_photographs_of_another_size_than_their_cameras(tmp_path: Path) -> None:
    """They were shrunk or turned by hand: rays went through other pixels than they show, without a word."""
    data = write_scene(tmp_path / "balls", views=5, width=48, height=36)
    config = tiny_config(data, tmp_path / "out").pipeline.datamanager
    config.setup(device="cpu", test_mode="val")
    for name, size, shown in (("0004", (36, 48), "36 x 48 and not 48 x 36"), ("0001", (24, 18), "24 x 18 and not")):
        photograph = data / f"images/{name}.png"
        Image.open(photograph).resize(size).save(photograph)
        with pytest.raises(UserError, match=rf"1 of . photographs .*, such as .*{name}\.png, which is {shown}"):
            config.setup(device="cpu", test_mode="val")


def test_smaller_copies_may_be_rounded(tmp_path: Path) -> None:
    data = write_scene(tmp_path / "balls", views=3, width=49, height=37)
    smaller = data / "images_2"
    smaller.mkdir()
    for photograph in (data / "images").iterdir():
        Image.open(photograph).resize((25, 19)).save(smaller / photograph.name)
    config = tiny_config(data, tmp_path / "out").pipeline.datamanager
    config.dataparser.downscale_factor = 2
    config.setup(device="cpu", test_mode="val")


def test_training_refuses_photographs_that_would_share_masks(tmp_path: Path) -> None:
    """They differ in their suffix alone: one was taught the masks of the other, without a word."""
    data = write_scene(tmp_path / "balls", views=3, width=16, height=12)
    listed = (data / "transforms.json").read_text()
    Image.open(data / "images/0001.png").save(data / "images/0000.jpg")
    (data / "transforms.json").write_text(listed.replace("images/0001.png", "images/0000.jpg"))
    with pytest.raises(UserError, match=r"0000\.jpg and .*0000\.png would share one file of masks; rename one of them"):
        tiny_config(data, tmp_path / "out").pipeline.datamanager.setup(device="cpu", test_mode="val")


def test_training_says_what_to_do_without_smaller_photographs(tmp_path: Path) -> None:
    data = write_scene(tmp_path / "balls", views=3, width=16, height=12)
    config = tiny_config(data, tmp_path / "out").pipeline.datamanager
    config.dataparser.downscale_factor = 2
    with pytest.raises(UserError, match=r"images_2/0000\.png is missing; write smaller .*--downscale-factor 1\."):
        config.setup(device="cpu", test_mode="val")


def test_masks_say_it_and_training_refuses(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = write_scene(tmp_path / "balls", views=3, width=16, height=12)
    photograph = data / "images/0001.png"
    Image.open(photograph).convert("P").save(photograph)
    with pytest.raises(UserError, match=r"1 of the photographs, such as .*0001\.png, which is in mode P"):
        tiny_config(data, tmp_path / "out").pipeline.datamanager.setup(device="cpu", test_mode="val")

    cv2.imwrite(str(photograph), np.zeros((12, 16), np.uint16))
    assert main(["masks", "--data", str(data), "graph"]) == 1
    said = capsys.readouterr()
    assert "0001.png, which is 16 bit" in said.out and "1 of 3 images have failed" in said.err
    assert "masks: nerfstudio cannot read 1 of the photographs" in said.out
    assert main(["masks", "ground-truth", "--data", str(data)]) == 0
    assert "masks: nerfstudio cannot read 1 of the photographs" in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["P", "CMYK", "I;16"])
def test_check_says_once_what_the_training_refuses(tmp_path: Path, mode: str, capsys: pytest.CaptureFixture) -> None:
    data = write_scene(tmp_path / "balls", views=3, width=16, height=12)
    photograph = data / "images/0001.png"
    format_, image = ("JPEG", Image.new("CMYK", (16, 12))) if mode == "CMYK" else ("PNG", Image.new(mode, (16, 12)))
    image.save(photograph, format=format_)
    assert main(["masks", "check", "--data", str(data)]) == 1
    said = capsys.readouterr().out
    assert "WRONG: nerfstudio cannot read 1 of the photographs" in said and "cannot be used" not in said


def test_many_faults_of_one_kind_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = write_scene(tmp_path / "balls", views=9, width=16, height=12, masks=False)
    for photograph in (data / "images").iterdir():
        cv2.imwrite(str(photograph), np.zeros((12, 16), np.uint16))
    assert main(["masks", "--data", str(data), "graph"]) == 1
    said = capsys.readouterr().err
    assert said.count("save it in 8 bit") == 1 and "8 more like it" in said
