"""Photographs that are turned or replaced after their masks were made are noticed, whoever made the masks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from format_files import label_image
from PIL import Image

from disconerf_ns.cli import main
from disconerf_ns.masks.formats import format_of
from disconerf_ns.masks.freshness import changed
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore

MASKS = ImageMasks.from_arrays(np.eye(4, dtype=bool)[None])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two square photographs, which are as large when they are turned, with label images."""
    data = tmp_path / "data"
    for name in ("1", "2"):
        (data / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(data / f"images/{name}.bmp")
        label_image(data / f"labels/{name}.png", [0, 1, 2, 2])
    return data


def turn(photograph: Path, keep_time: bool) -> None:
    before = photograph.stat()
    Image.open(photograph).transpose(Image.Transpose.ROTATE_180).save(photograph)
    assert photograph.stat().st_size == before.st_size
    if keep_time:
        os.utime(photograph, ns=(before.st_atime_ns - 10**9, before.st_mtime_ns - 10**9))


@pytest.mark.parametrize("keep_time", [True, False])
@pytest.mark.parametrize("command", ["ground-truth", "convert"])
def test_converted_masks_know_their_photographs(data: Path, command: str, keep_time: bool) -> None:
    """Also one that is turned by a copy that keeps an old time, in a format without compression."""
    source = [str(data / "labels"), "--output", str(data / "masks/ground-truth")] if command == "convert" else []
    assert main(["masks", command, *source, "--data", str(data)]) == 0
    store, photograph = MaskStore(data / "masks/ground-truth"), data / "images/1.bmp"
    assert not changed(store, "1", photograph) and not changed(store, "2", data / "images/2.bmp")
    turn(photograph, keep_time)
    assert changed(store, "1", photograph) and not changed(store, "2", data / "images/2.bmp")


def test_a_dataset_that_was_copied_is_unchanged(data: Path, tmp_path: Path) -> None:
    assert main(["masks", "ground-truth", "--data", str(data)]) == 0
    data = data.rename(tmp_path / "moved")
    os.utime(data / "images/1.bmp", (9, 9))
    os.utime(data / "images/2.bmp")
    store = MaskStore(data / "masks/ground-truth")
    assert not any(changed(store, key, data / f"images/{key}.bmp") for key in ("1", "2"))


def test_masks_of_a_smaller_copy_are_compared_with_it(data: Path, tmp_path: Path) -> None:
    (data / "images_2").mkdir()
    for name in ("1", "2"):
        Image.open(data / f"images/{name}.bmp").resize((2, 2)).save(data / f"images_2/{name}.png")
    label_image(tmp_path / "small/1.png", [1, 2], height=2)
    assert main(["masks", "convert", str(tmp_path / "small"), "--data", str(data), "--images", "images_2"]) == 0
    store = MaskStore(data / "masks/small")
    assert not changed(store, "1", data / "images/1.bmp")
    Image.new("RGB", (2, 2), "red").save(data / "images_2/1.png")
    assert changed(store, "1", data / "images/1.bmp")
    (data / "images_2/1.png").unlink()
    assert changed(store, "1", data / "images/1.bmp")


def test_a_photograph_that_cannot_be_read_gets_no_fingerprint(data: Path, tmp_path: Path) -> None:
    gone = data / "images/gone.png"
    assert not format_of("sa1b").write(tmp_path / "set", {"gone": gone}, [("gone", MASKS)])
    assert MaskStore(tmp_path / "set").about("gone") == {"file_name": "gone.png", "height": 4, "width": 4}


def test_masks_of_an_earlier_version_have_no_time(data: Path) -> None:
    """They record size and SHA-256; a photograph that is older than its masks is not read."""
    assert main(["masks", "ground-truth", "--data", str(data)]) == 0
    store, photograph = MaskStore(data / "masks/ground-truth"), data / "images/1.bmp"
    recorded = store.about("1")
    store.save("1", store.load("1"), {name: recorded[name] for name in ("file_name", "bytes", "sha256")})
    turn(photograph, keep_time=True)
    assert not changed(store, "1", photograph)
    later = store.written("1") + 9
    os.utime(photograph, (later, later))
    assert changed(store, "1", photograph)
