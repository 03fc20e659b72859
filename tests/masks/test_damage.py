"""Damaged files of the formats that are not JSON: each gives masks or one sentence, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from format_files import images_of
from PIL import Image

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats import format_of
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore

LABELS = np.array(
    [[0, 0, 1, 1, 1, 2, 2], [0, 3, 3, 1, 1, 2, 2], [0, 3, 3, 3, 0, 2, 2], [4, 4, 4, 0, 0, 0, 0]], np.uint8
)


def tiff(path: Path) -> None:
    pages = [Image.fromarray(255 * (value == LABELS).astype(np.uint8)) for value in range(1, 5)]
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_lzw")


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(2):
            file[f"sam/pixel_level_keys/{number}"] = LABELS[..., None].astype(np.int32)


WRITERS = {
    "labels": ("a/1.png", lambda path: Image.fromarray(LABELS).save(path)),
    "labels, pages": ("a/1.tif", tiff),
    "color": ("a/1.png", lambda path: Image.fromarray(np.stack([LABELS * 40, LABELS * 9, LABELS], -1)).save(path)),
    "arrays": ("a/1.npy", lambda path: np.save(path, np.stack([LABELS == 1, LABELS == 2]))),
    "arrays, zipped": ("a/1.npz", lambda path: np.savez_compressed(path, masks=LABELS[None] == 1)),
    "objects": ("a/1/0.png", lambda path: Image.fromarray(255 * (LABELS == 1).astype(np.uint8)).save(path)),
    "arrays, torch": ("a/1.pt", lambda path: torch.save(torch.tensor(LABELS == 1)[None], path)),
    "garfield": ("sam_data.hdf5", hdf5),
}


def damaged(content: bytes, dice: random.Random) -> bytes:
    """Content with a few bytes changed, taken out or doubled, or cut off."""
    data = bytearray(content)
    for _ in range(dice.choice([1, 1, 2, 5])):
        if not data:
            break
        where, length = dice.randrange(len(data)), dice.randrange(1, 9)
        kind = dice.randrange(4)
        if kind == 0:
            data[where] = dice.randrange(256)
        elif kind == 1:
            del data[where : where + length]
        elif kind == 2:
            data[where:where] = data[where : where + length]
        else:
            del data[max(where, 8) :]
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRITERS)
def test_damage_gives_a_sentence_or_masks(tmp_path: Path, name: str) -> None:
    images, (place, write) = images_of(tmp_path / "data", *LABELS.shape), WRITERS[name]
    file = tmp_path / "masks" / place
    file.parent.mkdir(parents=True)
    write(file)
    good, module, dice = file.read_bytes(), format_of(name.split(",")[0]), random.Random(0)
    source = file if name == "garfield" else tmp_path / "masks"
    read = refused = 0
    for _ in range(400):
        file.write_bytes(damaged(good, dice))
        try:
            for load in module.read(source, images).loaders.values():
                masks = load().masks
                assert isinstance(masks, ImageMasks) and masks.decode().shape[1:] == (masks.height, masks.width)
            read += 1
        except MaskError as error:
            sentence = str(error)
            assert sentence.startswith("masks: ") and str(tmp_path) in sentence and "\n" not in sentence
            refused += 1
    assert read > 0 and refused > 0


def test_damaged_sets_of_masks(tmp_path: Path) -> None:
    """Files of `disconerf masks` and their manifest: each flip, cut or doubling gives masks or one sentence."""
    store = MaskStore.create(tmp_path / "mine", {"generator": "hand", "parameters": {"a": 1}})
    store.save("1", ImageMasks.from_arrays(np.stack([LABELS == 1, LABELS == 2]), [0.5, 0.25]))
    good, dice, refused = {path: path.read_bytes() for path in store.root.iterdir()}, random.Random(0), 0
    for number in range(600):
        path = list(good)[number % 2]
        path.write_bytes(damaged(good[path], dice))
        again = MaskStore(store.root)
        try:
            again.check_recipe({"generator": "hand", "parameters": {"a": 1}})
            assert isinstance(again.about("1"), dict) and again.created > 0
            masks = again.load("1")
            assert masks.decode().shape[1:] == (masks.height, masks.width)
        except MaskError as error:
            refused += 1
            sentence = str(error)
            assert sentence.startswith("masks: ") and str(tmp_path) in sentence and "\n" not in sentence
        path.write_bytes(good[path])
    assert 0 < refused < 600
