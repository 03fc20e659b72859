"""EXIF orientation: masks drawn on the upright picture come to lie on the stored pixels, whatever the value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from disconerf_ns.errors import UserError
from disconerf_ns.masks.formats.files import image_size
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.orientation import orientation_of, stored, stored_masks

STORED = np.arange(1, 7, dtype=np.uint8).reshape(2, 3)
"""Pixels of a photograph, all of them different."""


def photograph(path: Path, pixels: np.ndarray, orientation: int | None, **options: str) -> Path:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_viewers_show_is_turned_back(orientation: int, tmp_path: Path) -> None:
    """Pillow's `exif_transpose` shows the photograph as viewers do."""
    path = photograph(tmp_path / "a.png", STORED, orientation)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert orientation_of(path) == orientation
    assert stored(upright, orientation).tolist() == STORED.tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_turned_with_all_that_belongs_to_them(orientation: int) -> None:
    generator = np.random.default_rng(orientation)
    upright, looked_at = generator.random((3, 5, 4)) > 0.5, generator.random((5, 4)) > 0.2
    masks = ImageMasks.from_arrays(upright, [0.5, 0.6, 0.7], [0.1, 0.2, 0.3], [0, 1, None], looked_at)
    turned = np.stack([stored(mask, orientation) for mask in upright])
    expected = ImageMasks.from_arrays(
        turned, [0.5, 0.6, 0.7], [0.1, 0.2, 0.3], [0, 1, None], stored(looked_at, orientation)
    )
    assert stored_masks(masks, orientation) == expected


@pytest.mark.parametrize("value", [None, 0, 9])
def test_no_valid_orientation_is_one(value: int | None, tmp_path: Path) -> None:
    assert orientation_of(photograph(tmp_path / "a.jpg", STORED, value)) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_is_upright_once_it_is_read(orientation: int, tmp_path: Path) -> None:
    """Pillow turns TIFF when it reads the pixels, so nothing is left to turn."""
    path = photograph(tmp_path / "a.tif", STORED, orientation, compression="tiff_lzw")
    with Image.open(path) as image:
        upright = np.asarray(image)
    assert image_size(path) == upright.shape
    assert orientation_of(path) == 1
    assert stored(upright, orientation).tolist() == STORED.tolist()


def test_a_file_that_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.png is missing"):
        orientation_of(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="cannot be read"):
        orientation_of(tmp_path / "a.png")
