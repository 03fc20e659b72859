"""Masks and labels come to lie on the stored pixels, whichever picture of a photograph with EXIF they were drawn on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exif import boxes, photograph, shown
from PIL import Image

from disconerf_ns.cli import main
from disconerf_ns.masks.store import MaskStore


def dataset(root: Path, orientations: list[int], size: tuple[int, int], upright: bool = True) -> list[np.ndarray]:
    """Photographs with these orientations in images/ and their labels in labels/; returns the labels as stored."""
    truth = []
    (root / "labels").mkdir(parents=True)
    for number, orientation in enumerate(orientations):
        picture, labels = boxes(number, *size)
        photograph(root / f"images/{number}.jpg", picture, orientation)
        drawn = shown(labels, orientation) if upright else labels
        Image.fromarray(drawn).save(root / f"labels/{number}.png")
        truth.append(labels)
    return truth


def convert(root: Path, *options: str) -> int:
    return main(["masks", "convert", str(root / "labels"), "--data", str(root), "--output", str(root / "m"), *options])


def are_true(root: Path, truth: list[np.ndarray]) -> bool:
    """Whether the converted masks are those of the labels on the stored pixels."""
    store = MaskStore(root / "m")
    return all(
        {mask.tobytes() for mask in store.load(str(number)).decode()}
        == {(labels == label).tobytes() for label in np.unique(labels) if label}
        for number, labels in enumerate(truth)
    )


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("size", [(72, 96), (96, 96)])
def test_masks_are_read_the_way_they_were_drawn(
    size: tuple[int, int], orientation: int, upright: bool, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    truth = dataset(tmp_path, [orientation] * 3, size, upright)
    assert convert(tmp_path) == 0
    assert are_true(tmp_path, truth)
    said = "upright picture" if upright else "stored pixels"
    by = "by its sizes" if size[0] != size[1] and orientation > 4 else "borders to edges of 3 photographs: "
    output = capsys.readouterr().out
    assert "masks: 3 of 3 photographs have an EXIF orientation; " in output
    assert f"read as drawn on the {said} ({by}" in output


def test_one_set_can_mix_orientations(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The sizes of 6 and 8 say which way for 3, too; a photograph without orientation stays as it is."""
    truth = dataset(tmp_path, [1, 3, 6, 8, 1], (72, 96))
    assert convert(tmp_path) == 0
    assert are_true(tmp_path, truth)
    assert "3 of 5 photographs have an EXIF orientation" in capsys.readouterr().out


def test_photographs_without_orientation_say_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    truth = dataset(tmp_path, [1, 1], (72, 96))
    assert convert(tmp_path) == 0
    assert are_true(tmp_path, truth) and "EXIF" not in capsys.readouterr().out


def test_what_is_not_clear_is_refused_until_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    truth = dataset(tmp_path, [3, 3], (72, 96))
    for number in range(2):
        photograph(tmp_path / f"images/{number}.jpg", np.full((72, 96, 3), 128, np.uint8), 3)
    assert convert(tmp_path) == 1
    error = capsys.readouterr().err
    assert (
        "it is not clear whether" in error and "say which with --orientation upright or --orientation stored" in error
    )
    assert not (tmp_path / "m").exists()
    assert convert(tmp_path, "--orientation", "upright") == 0
    assert are_true(tmp_path, truth) and "as --orientation says" in capsys.readouterr().out
    assert main(["masks", "ground-truth", "--data", str(tmp_path), "--orientation", "stored"]) == 0


def test_another_shape_names_exif(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    dataset(tmp_path, [6, 1], (72, 96))
    assert convert(tmp_path, "--orientation", "stored") == 1
    error = capsys.readouterr().err
    assert "the masks of 0 are 72 x 96, but the image is 96 x 72, another shape (its EXIF orientation is 6" in error
    Image.new("L", (72, 96), 1).save(tmp_path / "labels/1.png")
    assert convert(tmp_path, "--output", str(tmp_path / "n")) == 1
    error = capsys.readouterr().err
    assert "the masks of 1 are 72 x 96" in error and "EXIF" not in error


def test_sets_of_this_package_are_of_the_stored_pixels(tmp_path: Path) -> None:
    """A set with a manifest is converted even if its photographs show no edges."""
    truth = dataset(tmp_path, [3, 3], (72, 96), upright=False)
    assert convert(tmp_path) == 0
    for number in range(2):
        photograph(tmp_path / f"images/{number}.jpg", np.full((72, 96, 3), 128, np.uint8), 3)
    again = str(tmp_path / "again")
    assert main(["masks", "convert", str(tmp_path / "m"), "--data", str(tmp_path), "--output", again]) == 0
    assert MaskStore(tmp_path / "again").load("0") == MaskStore(tmp_path / "m").load("0")
    assert are_true(tmp_path, truth)
