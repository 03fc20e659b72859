"""The end of a training goes on without files that can be made from its checkpoint again."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch

from disconerf_ns import pipeline
from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.training import by_products
from disconerf_ns.training.devices import Devices


@pytest.mark.parametrize(("name", "other"), [("objects.json", "masks.json"), ("masks.json", "objects.json")])
def test_the_training_does_not_end_over_a_by_product(
    name: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training ended with an OSError at a full disk, after its last iteration."""

    def write(path: Path) -> None:
        if path.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path.touch()

    monkeypatch.setattr(by_products, "save_manifest", lambda objects, tree, step, path, capture: write(path))
    monkeypatch.setattr(by_products, "save_report", lambda report, path: write(path))
    monkeypatch.setattr(by_products, "report_masks", MagicMock())
    monkeypatch.setattr(pipeline, "capture_of", lambda run: Similarity())
    said: list[str] = []
    monkeypatch.setattr(by_products, "CONSOLE", MagicMock(log=said.append))
    trained = MagicMock(folder=tmp_path, devices=Devices())
    trained.model.tree, trained.model.current.value.with_edit.return_value.all_objects = ObjectTree(0, (), ()), ()
    trained.object_stage.discover_objects.return_value, trained.datamanager.train_keys = (), []
    trained.object_stage.explanations = [Explanation(torch.ones(1, 1), torch.ones(1))]
    pipeline.DiscoNerfPipeline._save_objects(trained, 1)
    sentence = f"objects: {tmp_path / name} is not written (No space left on device); the training goes on without it."
    assert said == [sentence]
    assert [path.name for path in tmp_path.iterdir()] == [other]
    trained.object_control.objects_changed.assert_called_once()
