"""Label images of every type: 1 to 64 bits, float, big-endian, palettes, transparency, and pages that are masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from format_files import images_of
from PIL import Image

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats import format_of, recognise
from disconerf_ns.masks.formats.format import Loaded

LABELS = np.tile(np.array([0, 0, 1, 1, 2, 2], np.uint8), (4, 1))
SIZE = LABELS.shape
MASKS = [np.flatnonzero(LABELS[0] == value).tolist() for value in (1, 2)]
STACK = np.stack([LABELS == 1, LABELS == 2, LABELS > 0])


def loaded(root: Path) -> Loaded:
    contents = format_of(recognise(root / "l")).read(root / "l", images_of(root, *SIZE))
    return contents.loaders["a/1"]()


def columns(root: Path) -> list[list[int]]:
    return [np.flatnonzero(mask[0]).tolist() for mask in loaded(root).masks.decode()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "l").mkdir()
    return tmp_path / "l"


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", ">u2", "i2", "u4", ">u4", "i4", ">i4", "f4", ">f4", "f8", "u8", "i8"]
)
def test_numbers_of_every_type_in_a_tiff(tmp_path: Path, folder: Path, dtype: str) -> None:
    """Signed types have -1 for nothing, so that 0 is an object."""
    signed = np.dtype(dtype).kind != "u"
    labels = LABELS.astype(dtype) - np.array(signed, dtype)
    tifffile.imwrite(folder / "1.tif", labels.astype(dtype), byteorder=">" if dtype[0] == ">" else "<")
    assert columns(tmp_path) == MASKS


def test_one_bit(tmp_path: Path, folder: Path) -> None:
    Image.fromarray(LABELS == 1).save(folder / "1.png")
    assert columns(tmp_path) == MASKS[:1]


def test_fractions_are_no_labels(tmp_path: Path, folder: Path) -> None:
    Image.fromarray(LABELS.astype(np.float32) / 2).save(folder / "1.tif")
    with pytest.raises(MaskError, match=r"1\.tif is broken \(it has numbers that are not whole, such as 0\.5; .*thr"):
        loaded(tmp_path)
    Image.fromarray(np.where(LABELS == 0, np.nan, LABELS).astype(np.float32)).save(folder / "1.tif")
    with pytest.raises(MaskError, match="such as nan"):
        loaded(tmp_path)


# -------------------------------------------------------------------- palettes and transparency


def paletted(*colors: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(LABELS, mode="P")
    image.putpalette([value for color in colors for value in color])
    return image


def test_indices_are_numbers_whatever_their_colours(tmp_path: Path, folder: Path) -> None:
    paletted((9, 9, 9), (9, 9, 9), (0, 200, 0)).save(folder / "1.png")
    assert columns(tmp_path) == MASKS


def test_black_is_nothing_if_a_palette_has_it_elsewhere_than_0(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    """A program that makes palettes of its own puts the most frequent colour first; Cityscapes has the road there."""
    paletted((128, 64, 128), (0, 0, 0), (70, 70, 70)).save(folder / "1.png")
    assert sorted(columns(tmp_path)) == [[0, 1], [4, 5]]
    assert "1 files, such as" in (said := capsys.readouterr().out) and "palette in which black is not 0" in said


def test_a_transparent_index_or_grey_is_nothing(tmp_path: Path, folder: Path) -> None:
    paletted((0, 0, 0), (9, 9, 9), (0, 200, 0)).save(folder / "1.png", transparency=2)
    assert columns(tmp_path) == MASKS[:1]
    Image.fromarray(LABELS).save(folder / "1.png", transparency=1)
    assert columns(tmp_path) == MASKS[1:]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_transparent_is_nothing_even_where_0_is_an_object(tmp_path: Path, folder: Path, mode: str) -> None:
    image = Image.fromarray(LABELS * 40).convert(mode)
    image.putalpha(Image.fromarray(np.where(LABELS == 2, 0, 255).astype(np.uint8)))
    image.save(folder / "1.png")
    contents = format_of(recognise(folder)).read(folder, images_of(tmp_path, *SIZE), frozenset())
    found = contents.loaders["a/1"]().masks.decode()
    assert [np.flatnonzero(mask[0]).tolist() for mask in found] == [[0, 1], [2, 3]]


def test_channels_of_16_bits_are_refused(tmp_path: Path, folder: Path) -> None:
    """Pillow drops the lower 8 bits, so that all small numbers would be 0."""
    cv2.imwrite(str(folder / "1.png"), np.repeat(LABELS.astype(np.uint16)[..., None], 3, -1))
    with pytest.raises(MaskError, match="3 channels of 16 bits; write one channel"):
        loaded(tmp_path)


@pytest.mark.parametrize(("channels", "dtype"), [(13, np.uint8), (13, np.uint16), (3, np.float32)])
def test_channels_of_a_tiff_that_pillow_does_not_know_are_said(
    tmp_path: Path, folder: Path, channels: int, dtype: type, capfd: pytest.CaptureFixture
) -> None:
    """A mask per channel instead of a mask per page."""
    pages = np.repeat(LABELS[..., None] == 1, channels, -1).astype(dtype)
    tifffile.imwrite(folder / "1.tif", pages, photometric="minisblack", planarconfig="contig")
    with pytest.raises(
        MaskError, match=f"it has {channels} channels, but a label image has one; write a mask per page"
    ):
        loaded(tmp_path)
    assert not capfd.readouterr().err


# -------------------------------------------------------------------- pages


def save_pages(path: Path, pages: np.ndarray) -> None:
    first, *others = map(Image.fromarray, pages)
    first.save(path, save_all=True, append_images=others)


@pytest.mark.parametrize("values", [(1, 1, 1), (255, 255, 255), (1, 2, 3)])
@pytest.mark.parametrize("name", ["1.tif", "1.png", "1.gif"])
def test_binary_pages_are_masks(tmp_path: Path, folder: Path, name: str, values: tuple[int, ...]) -> None:
    """Masks overlap; programs give them one number each, or the same."""
    save_pages(folder / name, (STACK * np.reshape(values, (3, 1, 1))).astype(np.uint8))
    assert np.array_equal(loaded(tmp_path).masks.decode(), STACK)


def test_other_pages_are_refused_by_their_number(tmp_path: Path, folder: Path) -> None:
    save_pages(folder / "1.tif", np.stack([LABELS, LABELS, LABELS]))
    with pytest.raises(MaskError, match=r"it has 3 pages, which are not one mask each, of 0 and one more number"):
        loaded(tmp_path)


def test_pages_of_unlike_sizes_are_refused(tmp_path: Path, folder: Path) -> None:
    with tifffile.TiffWriter(folder / "1.tif") as file:
        file.write(LABELS)
        file.write(LABELS[::2, ::2].copy())
    with pytest.raises(MaskError, match="2 pages are of different sizes"):
        loaded(tmp_path)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_a_stack_that_tifffile_wrote(tmp_path: Path, folder: Path, dtype: type) -> None:
    tifffile.imwrite(folder / "1.tif", STACK.astype(dtype), photometric="minisblack")
    assert np.array_equal(loaded(tmp_path).masks.decode(), STACK)


@pytest.mark.parametrize("options", [{}, {"photometric": "minisblack"}])
def test_true_of_tifffile_is_a_mask(tmp_path: Path, folder: Path, options: dict[str, str]) -> None:
    """By default it declares 1 of booleans to be black, and Pillow then reads True as 0."""
    tifffile.imwrite(folder / "1.tif", STACK[0], **options)
    assert np.array_equal(loaded(tmp_path).masks.decode(), STACK[:1])


def test_frames_of_colours_are_refused(tmp_path: Path, folder: Path) -> None:
    save_pages(folder / "1.png", np.repeat(STACK[..., None], 3, -1).astype(np.uint8) * 9)
    with pytest.raises(MaskError, match="3 frames, but an image of colours has one"):
        loaded(tmp_path)


@pytest.mark.parametrize("size", [0, 4, 60, 200])
def test_a_torn_tiff_is_named(tmp_path: Path, folder: Path, size: int) -> None:
    tifffile.imwrite(folder / "1.tif", STACK.astype(np.int64), photometric="minisblack")
    torn = (folder / "1.tif").read_bytes()[:size]
    (folder / "1.tif").write_bytes(torn)
    with pytest.raises(MaskError, match=r"1\.tif is broken"):
        format_of("labels").read(folder, images_of(tmp_path, *SIZE)).loaders["a/1"]()
