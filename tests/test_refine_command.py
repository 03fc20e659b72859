"""`disconerf masks refine` on the shared run: what masks miss comes back, and everything else stays as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from tiny_run import Run

from disconerf_ns.cli import main, refine
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.prompts import Prompt
from disconerf_ns.masks.proposers.recipe import Answers
from disconerf_ns.masks.proposers.sam import SamConfig
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.runs import load_pipeline
from disconerf_ns.scene.edit import Edit

MISSED = ("0001", "0002", "0003")
"""Views that lack the mask of the largest ball."""


class Oracle:
    """Answers each prompt with the half of the object's picture, the picture, and everything."""

    def __init__(self):
        self.asked: list[Prompt] = []

    def prompted(self, image: np.ndarray, prompts: Sequence[Prompt]) -> Iterator[Answers]:
        self.asked += prompts
        for prompt in prompts:
            half = prompt.picture.copy()
            half[: len(half) // 2] = False
            yield Answers(np.stack([half, prompt.picture, np.ones_like(half)]), np.full(3, 0.9), np.full(3, 0.9), None)


@pytest.fixture
def missing(scene: Path, tmp_path: Path) -> MaskStore:
    """The run's exact masks without the second ball in some views."""
    whole = MaskStore.find(scene)
    store = MaskStore.create(tmp_path / "masks/partial", {"generator": "by hand"})
    for key in whole.keys():
        masks = whole.load(key)
        kept = [mask for number, mask in enumerate(masks.annotations) if key not in MISSED or number != 1]
        store.save(key, ImageMasks(masks.height, masks.width, tuple(kept)), whole.about(key))
    return store


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Oracle:
    oracle = Oracle()
    monkeypatch.setattr(SamConfig, "setup", lambda _: oracle)
    monkeypatch.setattr(SamConfig, "checked", lambda _: Path("weights"))
    return oracle


@pytest.fixture
def opened(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is open already."""
    monkeypatch.setattr(refine, "load_pipeline", lambda _: run.trainer.pipeline)


def command(run: Run, store: MaskStore, *options: str) -> int:
    return main(["masks", "refine", "--load-config", str(run.config), "--masks", str(store.root), *options])


def test_missing_masks_come_back_in_a_new_set(
    run: Run, opened: None, scene: Path, missing: MaskStore, oracle: Oracle, capsys: pytest.CaptureFixture
) -> None:
    before = {key: missing._path(key).read_bytes() for key in missing.keys()}
    assert command(run, missing, "sam") == 0
    assert {key: missing._path(key).read_bytes() for key in missing.keys()} == before, "the old set is untouched"
    new, whole = MaskStore.open(missing.root.with_name("partial_refined")), MaskStore.find(scene)
    assert new.keys() == missing.keys()
    for key in MISSED:
        masks, stored = new.load(key), missing.load(key)
        assert masks.annotations[: len(stored)] == stored.annotations
        assert new.about(key)["first_new"] == len(stored)
        lost = whole.load(key).decode()[1]
        again = masks.decode()[len(stored) :]
        assert max((lost & mask).sum() / (lost | mask).sum() for mask in again) > 0.75
    assert "masks of objects that the masks in" in capsys.readouterr().out
    assert new.manifest["generator"] == "refine"
    parameters = new.manifest["parameters"]
    assert Path(parameters["run"]) == run.config.resolve() and Path(parameters["masks"]) == missing.root.resolve()
    assert parameters["weights"] and parameters["shown"] == 0.6

    asked = len(oracle.asked)
    new._path(MISSED[0]).unlink()
    assert command(run, missing, "sam") == 0
    assert 0 < len(oracle.asked) - asked < asked, "only what is missing is made anew"
    assert command(run, missing, "--shown", "0.7", "sam") == 1
    assert "shown 0.6 instead of 0.7" in capsys.readouterr().err


def test_a_finished_set_needs_no_model(
    run: Run, opened: None, missing: MaskStore, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(run, missing, "--size", "16", "sam") == 0
    monkeypatch.setattr(SamConfig, "setup", lambda _: pytest.fail("there is nothing to do"))
    monkeypatch.setattr(refine, "rendered", lambda *_: pytest.fail("there is nothing to do"))
    assert command(run, missing, "--size", "16", "sam") == 0


def test_mistakes_are_one_sentence_before_the_run_is_opened(
    run: Run, missing: MaskStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(refine, "load_pipeline", lambda _: pytest.fail("the run is opened"))
    for options, named in (
        (("sam",), "--sam-checkpoint"),
        (("transformers", "--checkpoint", str(missing.root / "nowhere")), "--checkpoint"),
        (("--shown", "2", "sam"), "--shown is 2.0; it has to be from 0 to 1."),
        (("--size", "3", "sam"), "--size is 3; it has to be from 16 to 16,384."),
        (("--workers", "0", "sam"), "--workers is 0"),
    ):
        assert command(run, missing, *options) == 1
        error = capsys.readouterr().err
        assert named in error and len(error.strip().splitlines()) == 1


def test_objects_of_a_tree_are_seen_at_two_sizes(tree_run: Path) -> None:
    """The default cut has the pair of balls and the third one, the finest all three; the floor is the rest."""
    pipeline = load_pipeline(tree_run)
    scene = pipeline.model.current.value
    numbers = [
        {each.label_number for each in scene.with_edit(Edit().at(granularity)).objects} for granularity in (0.5, 1.0)
    ]
    views = refine.rendered(pipeline, 24)
    assert len(views) == 14
    for coarse, fine in views:
        assert [set(np.unique(cut.labels)) <= known for cut, known in zip((coarse, fine), numbers)] == [True, True]
        assert coarse.labels.shape == coarse.confidence.shape == (18, 24)
        differ = coarse.labels != fine.labels
        assert differ.any() and (coarse.labels[differ] > 0).mean() > 0.9, "only the pair comes apart"


def test_the_old_set_is_not_overwritten(
    run: Run, missing: MaskStore, oracle: Oracle, capsys: pytest.CaptureFixture
) -> None:
    assert command(run, missing, "--output", str(missing.root), "sam") == 1
    assert "has the masks to complete; name another folder with --output." in capsys.readouterr().err
    assert json.loads((missing.root / "manifest.json").read_text())["generator"] == "by hand"
