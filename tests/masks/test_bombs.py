"""Files of masks that declare far more than a photograph has, or that are no files: refused before they are read."""

from __future__ import annotations

import json
import os
import socket
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import h5py
import numpy as np
import pytest
import torch
from format_files import images_of
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from processor_time import at_most

from disconerf_ns.cli import main
from disconerf_ns.errors import MaskError, UserError
from disconerf_ns.evaluation.label_files import _size, read_truth
from disconerf_ns.masks import rle
from disconerf_ns.masks.formats import format_of
from disconerf_ns.masks.formats.partition import masks_of_labels
from disconerf_ns.masks.image_masks import LARGEST, ImageMasks, same_shape
from disconerf_ns.masks.images import find_images, read_image
from disconerf_ns.masks.store import MaskStore

MIB = 2**20


@contextmanager
def cheap(seconds: float = 2.0, memory: int = 64 * MIB) -> Iterator[None]:
    """Fail if what is inside takes more time of the processor, in this thread, or more memory."""
    tracemalloc.start()
    try:
        with at_most(seconds):
            yield
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()


def png(path: Path, width: int, height: int, color_type: int = 0, rows: int = 0) -> Path:
    """A PNG whose header declares a size, with a few rows of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    content = zlib.compress(bytes(rows * (1 + width * (3 if color_type == 2 else 1))))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b""))
    return path


def bomb_of(name: str, folder: Path) -> Path:
    """A set of masks of a/1 in a format, whose file declares 12000 x 12000 pixels or more."""
    folder.mkdir()
    if name in ("labels", "color"):
        png(folder / "a/1.png", 12000, 12000, 2 if name == "color" else 0)
    elif name == "labels of 900 MP":
        png(folder / "a/1.png", 30000, 30000)
    elif name == "objects":
        png(folder / "a/1/0.png", 12000, 12000)
    elif name == "amg_folder":
        png(folder / "a/1/0.png", 12000, 12000)
        (folder / "a/1/metadata.csv").write_text("id,area,predicted_iou,stability_score\n0,1,,\n")
    elif name == "panoptic":
        png(folder / "panoptic/a/1.png", 12000, 12000, 2)
        entry = {"file_name": "a/1.png", "segments_info": [{"id": 1}]}
        (folder / "panoptic.json").write_text(json.dumps({"annotations": [entry]}))
    elif name in ("sa1b", "amg", "coco"):
        segmentation = {"size": [48000, 64000], "counts": [0, 48000 * 64000]}
        image = {"id": 1, "file_name": "a/1.png", "height": 48000, "width": 64000}
        annotations = [{"segmentation": segmentation, "image_id": 1}]
        (folder / "a").mkdir()
        content = {
            "sa1b": {"image": image, "annotations": annotations},
            "amg": [{"segmentation": segmentation}],
            "coco": {"images": [image], "annotations": annotations},
        }
        (folder / "a/1.json").write_text(json.dumps(content[name]))
    elif name == "arrays, npy":
        (folder / "a").mkdir()
        header = "{'descr': '|u1', 'fortran_order': False, 'shape': (40, 50000, 50000), }"
        (folder / "a/1.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    elif name == "arrays, npz":
        (folder / "a").mkdir()
        with ZipFile(folder / "a/1.npz", "w", ZIP_DEFLATED) as archive, archive.open("masks.npy", "w") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|b1", "fortran_order": False, "shape": (9000, 1000, 1000)}
            )
    elif name == "arrays, pt":
        (folder / "a").mkdir()
        torch.save(torch.zeros(1, dtype=torch.uint8).expand(9000, 1000, 1000), folder / "a/1.pt")
    elif name == "garfield":
        with h5py.File(folder / "sam_data.hdf5", "w") as file:
            for number in range(2):
                file.create_dataset(f"sam/pixel_level_keys/{number}", (30000, 30000, 4), "i4", chunks=(100, 100, 1))
    return folder


BOMBS = (
    "labels", "labels of 900 MP", "color", "objects", "amg_folder", "panoptic", "sa1b", "amg", "coco", "arrays, npy",
    "arrays, npz", "arrays, pt", "garfield",
)  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_sizes_are_compared_before_anything_is_unpacked(name: str, tmp_path: Path) -> None:
    """12000 x 12000 was decoded first; an RLE of 48000 x 64000 took 6.5 GB and 22 s."""
    images, source = images_of(tmp_path / "data", 6, 8), bomb_of(name, tmp_path / "m")
    with (
        cheap(),
        pytest.raises(MaskError, match=r"12000 x 12000|size of a photo|declares|more pixels") as caught,
    ):
        format_of(name.split(",")[0].split(" ")[0]).read(source, images).loaders["a/1"]()
    assert str(tmp_path) in str(caught.value)


def test_a_bomb_in_a_set_of_masks(tmp_path: Path) -> None:
    folder = bomb_of("sa1b", tmp_path / "m")
    with cheap(), pytest.raises(MaskError, match=r"1\.json is broken: .*64000 x 48000 is not the size of a photograph"):
        MaskStore(folder).load("a/1")


def test_masks_may_be_larger_than_their_picture_but_not_much() -> None:
    assert same_shape((LARGEST * 6, LARGEST * 8), (6, 8)) and same_shape((6, 8), (600, 800))
    assert not same_shape((LARGEST * 12, LARGEST * 16), (6, 8))


def test_true_labels_of_900_megapixels(tmp_path: Path) -> None:
    """The traceback of Pillow's DecompressionBombError."""
    path = png(tmp_path / "1.png", 30000, 30000)
    for read in (_size, read_truth):
        with cheap(), pytest.raises(UserError, match="ground truth: .*1.png cannot be used: it has more pixels"):
            read(path)
    with cheap(), pytest.raises(UserError, match="1.png cannot be read .it has more pixels"):
        read_image(path)


# ---------------------------------------------------------------- many numbers


def test_every_pixel_its_own_mask_takes_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """49,152 numbers of one map took 90 s."""
    images = images_of(tmp_path / "data", 192, 256)
    with h5py.File(tmp_path / "sam_data.hdf5", "w") as file:
        for number in range(2):
            file[f"sam/pixel_level_keys/{number}"] = np.arange(49152, dtype=np.int32).reshape(192, 256, 1)
    load = format_of("garfield").read(tmp_path / "sam_data.hdf5", images).loaders["a/1"]
    with cheap(), pytest.raises(MaskError, match="49152 different numbers, like a photograph and unlike masks"):
        load()
    labels = np.repeat(np.arange(1, 901).reshape(30, 30), 9, 1)
    monkeypatch.setattr(rle, "encode", None)  # it goes through all pixels once for each mask
    assert len(masks_of_labels(labels)) == 900


@given(arrays(np.int64, array_shapes(min_dims=2, max_dims=2, max_side=7), elements={"min_value": -2, "max_value": 3}))
def test_a_partition_is_the_encoding_of_each_number(labels: np.ndarray) -> None:
    found = rle.partition(labels)
    assert list(found) == np.unique(labels).tolist()
    assert all(found[number] == rle.encode(labels == number) for number in found)


def test_masks_of_a_pixel_that_overlap(tmp_path: Path) -> None:
    """A number is the union of its pixels in all layers, and -1 is nothing."""
    images, keys = images_of(tmp_path / "data", 2, 3), np.array([[[0, 1], [0, -1], [1, 0]], [[1, 1], [-1, 2], [2, -1]]])
    with h5py.File(tmp_path / "sam_data.hdf5", "w") as file:
        file["sam/pixel_level_keys/0"] = file["sam/pixel_level_keys/1"] = keys
    masks = format_of("garfield").read(tmp_path / "sam_data.hdf5", images).loaders["a/2"]().masks
    expected = [[[1, 1, 1], [0, 0, 0]], [[1, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 1, 1]]]
    assert masks.decode().astype(int).tolist() == expected


# ---------------------------------------------------------------- what is no file


def pipe(path: Path) -> None:
    os.mkfifo(path)


def plug(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(path.parent)  # the path of a socket has at most 108 bytes
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


KINDS = {
    "a named pipe": pipe,
    "a socket": plug,
    "a folder": Path.mkdir,
    "a device": lambda p: p.symlink_to("/dev/zero"),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    images = images_of(tmp_path / "data", 6, 8)
    store = MaskStore.create(tmp_path / "data/masks/mine", {"generator": "hand"})
    for key in images:
        store.save(key, ImageMasks.from_arrays(np.eye(6, 8, dtype=bool)[None]))
    return tmp_path / "data"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_named_and_not_opened(kind: str, data: Path, capsys: pytest.CaptureFixture) -> None:
    """A named pipe as a file of masks, or as a photograph, hung for ever."""
    masks, photograph = data / "masks/mine/a/1.json", data / "images/a/2.png"
    for path in (masks, photograph):
        path.unlink()
        KINDS[kind](path)
    with pytest.raises(MaskError, match=f"1.json is {kind}, not a regular file"):
        MaskStore(masks.parents[1]).load("a/1")
    with pytest.raises(UserError, match=f"2.png is {kind}, not a regular file"):
        read_image(photograph)
    assert find_images(data)["a/2"] == photograph
    assert main(["masks", "check", "--data", str(data)]) == 1
    assert main(["masks", "--data", str(data), "graph"]) == 1
    assert f"2.png is {kind}, not a regular file" in capsys.readouterr().err
    if kind != "a folder":
        assert main(["masks", "convert", str(photograph), "--data", str(data), "--output", str(data / "out")]) == 1
        assert f"2.png is {kind}, not a regular file" in capsys.readouterr().err


def test_a_pipe_in_a_folder_of_masks_is_no_file_of_masks(data: Path, tmp_path: Path) -> None:
    (tmp_path / "labels/a").mkdir(parents=True)
    Image.fromarray(np.eye(6, 8, dtype=np.uint8)).save(tmp_path / "labels/a/1.png")
    os.mkfifo(tmp_path / "labels/a/2.png")
    source, target = str(tmp_path / "labels"), tmp_path / "out"
    assert main(["masks", "convert", source, "--data", str(data), "--output", str(target)]) == 0
    assert MaskStore(target).keys() == ["a/1"]
