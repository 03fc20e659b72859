"""`disconerf compose`: a film, labels and depth of what stands together; the viewer; mistakes that are told first."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import Run

from disconerf_ns.cli import main
from disconerf_ns.compat.quiet import hide_warnings
from disconerf_ns.filming.paths import interpolated


@pytest.fixture
def arrangement(run: Run, tmp_path: Path) -> Path:
    """A copy of an object floats above the scene."""
    objects = [{"run": str(run.config), "object": "object_01", "name": "ball", "at": [0.0, 0.0, 0.6]}]
    path = tmp_path / "scene.json"
    path.write_text(json.dumps({"scene": str(run.config), "objects": objects}))
    return path


def test_a_film_with_labels_and_depth(arrangement: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out"
    command = ["compose", str(arrangement), "--output-dir", str(out), "--frames", "2", "--path", "training"]
    assert main([*command, "--format", "png", "mp4", "gif", "--layers"]) == 0
    assert f"scene/, scene.mp4, scene.gif, of 2 frames; in {out}" in capsys.readouterr().out
    with Image.open(out / "scene.gif") as gif:
        assert np.array(gif.convert("RGBA"))[..., 3].min() == 255, "on white, as `render` writes it"
    assert (out / "scene.mp4").stat().st_size > 500
    picture = np.array(Image.open(out / "scene" / "0000.png"))
    labels, depth = np.array(Image.open(out / "labels" / "0000.png")), np.load(out / "depth" / "0000.npy")
    assert picture.shape == (36, 48, 4) and labels.shape == depth.shape == (36, 48)
    legend = json.loads((out / "labels.json").read_text())
    (ball,) = [each["label"] for each in legend["objects"] if each["name"] == "ball"]
    assert legend["nobody"] == 0 and ball == max(each["label"] for each in legend["objects"])
    assert (labels == ball).sum() > 20
    assert set(np.unique(labels)) <= {0, *(each["label"] for each in legend["objects"])}
    assert np.isfinite(depth).all() and depth[labels == ball].max() < 5


def test_nothing_but_guests_is_transparent_around(run: Run, arrangement: Path, tmp_path: Path) -> None:
    content = json.loads(arrangement.read_text())
    arrangement.write_text(json.dumps({**content, "keep": []}))
    command = ["compose", str(arrangement), "--output-dir", str(tmp_path / "out"), "--frames", "1", "--format", "png"]
    assert main([*command, "--path", "training"]) == 0
    alpha = np.array(Image.open(tmp_path / "out" / "scene" / "0000.png"))[..., 3] / 255
    assert (alpha == 0).mean() > 0.5 and (alpha > 0.9).sum() > 20


def test_the_viewer_shows_the_edited_scene(arrangement: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from nerfstudio.scripts.viewer import run_viewer

    shown = []
    monkeypatch.setattr(run_viewer, "_start_viewer", lambda config, pipeline, step: shown.append((config, pipeline)))
    assert main(["compose", str(arrangement), "--viewer", "--viewer-port", "7123"]) == 0
    ((config, pipeline),) = shown
    assert config.vis == "viewer" and config.viewer.websocket_host == "127.0.0.1"
    assert config.viewer.websocket_port == 7123 and len(pipeline.model.current.value.guests) == 1
    assert pipeline.edit_file == arrangement.with_suffix(".edit.json"), "the run's own edit stays as it is"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--frames", "0"], "--frames is 0; it has to be from 1 to 100,000"),
        (["--resolution", "-2"], "--resolution is -2"),
        (["--output-dir", "/proc/nothing"], "cannot be written"),
    ],
)
def test_options_are_checked_first(tmp_path: Path, capsys: pytest.CaptureFixture, options, sentence: str) -> None:
    assert main(["compose", str(tmp_path / "none.json"), *options]) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("name", ["labels", "depth"])
def test_a_film_does_not_take_the_place_of_its_layers(
    arrangement: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture
) -> None:
    """The film's folder of PNGs replaced that of the labels, and labels.json the composition itself."""
    file = arrangement.rename(arrangement.with_name(f"{name}.json"))
    before = file.read_text()
    assert main(["compose", str(file), "--output-dir", str(tmp_path), "--layers", "--format", "png"]) == 1
    assert f"would be called {name}, as a folder of --layers is; rename the file." in capsys.readouterr().err
    assert file.read_text() == before


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["compose", str(tmp_path / "none.json"), "--output-dir", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "none.json; name the JSON file of a composition" in said and said.count("\n") == 1


@pytest.mark.parametrize(("options", "complete"), [((), True), (("--no-complete",), False)])
def test_what_no_photograph_saw_is_completed_or_not(
    arrangement: Path, tmp_path: Path, completing, options, complete
) -> None:
    command = ["compose", str(arrangement), "--output-dir", str(tmp_path / "out"), "--frames", "1", "--format", "png"]
    assert main([*command, "--path", "training", *options]) == 0
    assert completing == {complete}


def test_a_path_between_photographs_says_nothing_of_torch(run: Run) -> None:
    """Every command on such a path began with a warning about a line of nerfstudio's code."""
    cameras = run.trainer.pipeline.datamanager.train_dataset.cameras[:3]
    with warnings.catch_warnings(record=True) as seen:
        warnings.resetwarnings()
        hide_warnings()
        interpolated(cameras, torch.linspace(0, 1, 2), order=True)
    assert seen == []
