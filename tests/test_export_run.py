"""`disconerf export` of a trained run: files that other programs read, in the capture's own frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from conftest import Run
from scene import BALLS

from disconerf_ns.cli import main
from disconerf_ns.runs import objects_of
from disconerf_ns.scene.edit import Edit


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    options = ["--resolution", "32", "--points", "500", "--thumbnail-size", "32", "--formats", "glb", "ply", "obj"]
    assert main(["export", "--load-config", str(run.config), "--output-dir", str(folder), *options]) == 0
    return folder


def rows(folder: Path) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads((folder / "manifest.json").read_text())["objects"]}


def test_balls_are_where_they_are_in_the_dataset(exported: Path) -> None:
    """The dataparser turned, moved and scaled the scene: sizes were in its frame, and nothing said so."""
    for centre, radius, color in BALLS:
        row = min(rows(exported).values(), key=lambda row: np.linalg.norm(np.subtract(row["centre"], centre)))
        print(row)
