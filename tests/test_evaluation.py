"""Scoring of a run: the true labels themselves score 1, and a missing label image is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Run

from disconerf_ns import evaluation
from disconerf_ns.errors import UserError
from disconerf_ns.masks.store import MaskStore


def test_exact_masks_and_exact_predictions_score_one(run: Run, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = run.trainer.pipeline
    names = pipeline.datamanager.eval_dataset.image_filenames

    def perfect(_pipeline, view: int, downscale: int = 1) -> np.ndarray:
        labels = evaluation.read_labels(scene / "labels", names[view].stem)
        return evaluation.resample(labels, 36 // downscale, 48 // downscale) + 5

    monkeypatch.setattr(evaluation, "predict_labels", perfect)
    scores = evaluation.evaluate(pipeline, scene / "labels", MaskStore.find(scene), downscale=2)
    for values in (scores.masks, scores.views, scores.scene):
        assert values == pytest.approx({"IoU": 1.0, "BD": 1.0, "SBD": 1.0})


def test_one_label_has_to_be_one_object_in_all_views(run: Run, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that are right in each view but swapped between views are right per view and wrong for the scene."""
    names = run.trainer.pipeline.datamanager.eval_dataset.image_filenames

    def swapped(_pipeline, view: int, downscale: int = 1) -> np.ndarray:
        labels = evaluation.read_labels(scene / "labels", names[view].stem)
        return (labels + view) % 5

    monkeypatch.setattr(evaluation, "predict_labels", swapped)
    scores = evaluation.evaluate(run.trainer.pipeline, scene / "labels", MaskStore.find(scene))
    assert scores.views["IoU"] == pytest.approx(1.0) and scores.scene["IoU"] < 0.8


def test_field_is_scored_at_any_resolution(run: Run, scene: Path) -> None:
    pipeline = run.trainer.pipeline
    pipeline.eval()
    whole = evaluation.evaluate(pipeline, scene / "labels", MaskStore.find(scene))
    half = evaluation.evaluate(pipeline, scene / "labels", MaskStore.find(scene), downscale=2)
    assert whole.views["IoU"] == pytest.approx(half.views["IoU"], abs=0.1) and whole.views["IoU"] > 0.5
    assert 5 < evaluation.psnr(pipeline, 0) < 60


def test_missing_labels_are_named(run: Run, scene: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*\.png"):
        evaluation.evaluate(run.trainer.pipeline, tmp_path, MaskStore.find(scene))
