"""Masks while training: run-length encoded in memory, decoded bit by bit for the views of a batch, kept by budget."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scene import write_scene
from tiny_run import tiny_config

from benchmarks.mask_store import ragged_masks
from disconerf_ns.cli import main
from disconerf_ns.datamanager import DiscoNerfDataManager, MaskedView
from disconerf_ns.masks.image_masks import ImageMasks, sampled
from disconerf_ns.masks.store import MaskStore


@given(
    count=st.integers(0, 4),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    to=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    seed=st.integers(0, 999),
)
def test_bits_are_the_sampled_pixels(count: int, size: tuple[int, int], to: tuple[int, int], seed: int) -> None:
    masks = np.random.default_rng(seed).random((count, *size)) > 0.5
    rows, columns = sampled(size[0], to[0]), sampled(size[1], to[1])
    wanted = [[mask[row, column] for row in rows for column in columns] for mask in masks]
    bits = torch.from_numpy(ImageMasks.from_arrays(masks).packed(*to))
    view = MaskedView(0, bits, torch.ones(to[0] * to[1], dtype=torch.bool))
    assert view.unpack().T.bool().tolist() == wanted
    some = torch.randint(to[0] * to[1], (7,), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(view.at(some), view.unpack()[some])


def test_a_view_may_have_more_than_255_masks() -> None:
    masks = ImageMasks.from_arrays(np.arange(400).reshape(20, 20) == np.arange(300)[:, None, None])
    view = MaskedView(0, torch.from_numpy(masks.packed(20, 20)), torch.ones(400, dtype=torch.bool))
    assert torch.equal(view.unpack(), torch.eye(400)[:, :300])


def test_encoded_masks_of_a_megapixel_take_a_hundredth_of_their_bits(tmp_path: Path) -> None:
    """40 ragged masks: 5 MB as bits; an image's file, read, stays below 100 KB, so 100 images below 10 MB."""
    store, masks = MaskStore(tmp_path), ragged_masks(np.random.default_rng(0), 40, 1000)
    keys = ["0", "1", "2"]
    for key in keys:
        store.save(key, masks)
    store.load("0")
    gc.collect()
    tracemalloc.start()
    loaded = [store.load(key) for key in keys]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / len(keys) < 100_000
    assert loaded[0].packed(1000, 1000).nbytes == 40 * 125_000


@pytest.fixture
def datamanager(scene: Path, tmp_path: Path) -> DiscoNerfDataManager:
    return tiny_config(scene, tmp_path).pipeline.datamanager.setup(device="cpu", test_mode="val")


@pytest.mark.parametrize("views", [0, 3, 99])
def test_masks_stay_decoded_as_far_as_the_budget_goes(datamanager: DiscoNerfDataManager, views: int) -> None:
    plain = [datamanager.view_masks(index) for index in range(len(datamanager.train_dataset))]
    datamanager._kept.clear()
    datamanager._kept_bytes = 0
    datamanager.config.mask_memory_gb = views * max(view.nbytes for view in plain) / 2**30
    for _ in range(2):
        for index, view in enumerate(plain):
            again = datamanager.view_masks(index)
            assert torch.equal(again.bits, view.bits) and torch.equal(again.valid, view.valid)
    kept = sum(view.nbytes for view in datamanager._kept.values())
    assert kept <= datamanager.config.mask_memory_gb * 2**30
    assert len(datamanager._kept) >= min(views, len(plain))


def test_what_follows_is_what_is_drawn_next(datamanager: DiscoNerfDataManager) -> None:
    seen, following = [], None
    for _ in range(14):
        drawn = datamanager.draw_views()
        assert following in (None, drawn)
        seen += drawn
        following = datamanager.following_views
    views = range(len(datamanager.train_dataset))
    assert sorted(seen) == sorted([*views] * 5) and sorted(seen[: len(views)]) == list(views)


def test_training_says_which_photographs_were_turned(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = write_scene(tmp_path / "balls", views=3, width=16, height=12, masks=False)
    assert main(["masks", "ground-truth", "--data", str(data)]) == 0
    setup = tiny_config(data, tmp_path / "out").pipeline.datamanager.setup
    capsys.readouterr()
    setup(device="cpu", test_mode="val")
    assert "have changed" not in capsys.readouterr().out

    photograph = data / "images/0001.png"
    Image.open(photograph).transpose(Image.Transpose.ROTATE_180).save(photograph)
    (data / "images/0000.png").touch()
    setup(device="cpu", test_mode="val")
    said = " ".join(capsys.readouterr().out.split())
    assert "1 images have changed since the masks in" in said and "make or convert the masks anew" in said
