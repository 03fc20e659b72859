"""The benchmark of a second round: its simulator by hand, and both rounds on the tiny run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_run import Run

from benchmarks.second_round import SecondRound, Simulator, main
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.prompts import Prompt
from disconerf_ns.masks.store import MaskStore
from examples.scenes.noise import MaskNoise


def labels() -> np.ndarray:
    """Object 4 on the left, object 7 on the right beside it, and nothing in the lowest rows."""
    image = np.zeros((12, 20), int)
    image[:8, :8], image[:8, 8:] = 4, 7
    return image


def prompt(*points: tuple[float, float]) -> Prompt:
    return Prompt(1, (0.0, 0.0, 1.0, 1.0), points, (), np.ones((1, 1), bool), 0.0)


def test_without_noise_the_simulator_knows_the_object_under_most_points() -> None:
    simulator = Simulator(labels(), MaskNoise(), seed=0)
    (left,) = simulator.prompted(np.zeros((1, 1, 3), np.uint8), [prompt((0.1, 0.1), (0.2, 0.2), (0.9, 0.1))])
    piece, whole, group = left.masks
    assert np.array_equal(whole, labels() == 4)
    assert (piece <= whole).all() and 0.3 < piece.sum() / whole.sum() < 0.7
    assert np.array_equal(group, labels() > 0)
    assert left.predicted_iou[1] > 0.85
    (nothing,) = simulator.prompted(np.zeros((1, 1, 3), np.uint8), [prompt((0.5, 0.95))])
    assert len(nothing.masks) == 0


def test_where_the_noise_misses_every_object_no_whole_is_found() -> None:
    simulator = Simulator(labels(), MaskNoise(miss=1.0), seed=0)
    (left,) = simulator.prompted(np.zeros((1, 1, 3), np.uint8), [prompt((0.1, 0.1))])
    assert not any(np.array_equal(mask, labels() == 4) for mask in left.masks)
    assert len(left.masks) == 2


@pytest.fixture
def data(scene: Path, tmp_path: Path) -> Path:
    """The tiny scene with a set of masks that lacks one ball in half of the views."""
    copy = tmp_path / "balls"
    shutil.copytree(scene, copy)
    whole, store = MaskStore.find(scene), MaskStore.create(copy / "masks/heavy", {"generator": "by hand"})
    for number, key in enumerate(whole.keys()):
        masks = whole.load(key)
        kept = [mask for i, mask in enumerate(masks.annotations) if i != 1 or number % 2]
        store.save(key, ImageMasks(masks.height, masks.width, tuple(kept)))
    return copy


def test_both_rounds_are_scored_once(run: Run, data: Path, tmp_path: Path) -> None:
    trial = SecondRound(
        run.config, data, proposers=("none",), seeds=(0,), iterations=10, downscale=1, output=tmp_path / "rounds.json"
    )
    main(trial)
    first, second = rows = json.loads(trial.output.read_text())["rows"]
    assert (first["proposer"], second["proposer"]) == (None, "none")
    assert second["count"] > first["count"] and second["agreement"] > first["agreement"] + 0.005
    assert first["scores"].keys() == second["scores"].keys() >= {"views", "scene"}
    main(trial)
    assert json.loads(trial.output.read_text())["rows"] == rows
