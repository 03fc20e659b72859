"""A run that was saved before the package was divided into rooms still opens, with its objects and its edit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from scene import write_scene

from disconerf_ns.cli import main
from disconerf_ns.runs import load_pipeline, objects_of

SAVED = Path(__file__).parent / "data" / "old_run"


@pytest.fixture(scope="module")
def old_run(tmp_path_factory: pytest.TempPathFactory):
    """The folder in which the run was made: `data/` and `outputs/`, as its config.yml names them."""
    folder = tmp_path_factory.mktemp("old")
    write_scene(folder / "data")
    shutil.copytree(SAVED, folder / "outputs" / "balls" / "disconerf-small" / "old")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield Path("outputs/balls/disconerf-small/old/config.yml")


def test_it_loads_with_its_objects_and_its_edit(old_run: Path) -> None:
    pipeline = load_pipeline(old_run, test_mode="test")
    first, second, third = pipeline.model.current.value.objects
    assert (first.name, second.color, third.title) == ("object_00", (0.0, 0.0, 1.0), "teapot")
    assert pipeline.model.current.value.edit.hidden == {first.id}
    assert objects_of(old_run) == (first, second, third)
    assert all(each.reach == each.box for each in (first, second, third)), "its runs had one box alone"
    camera = pipeline.datamanager.eval_dataset.cameras[0:1].to(pipeline.device)
    outputs = pipeline.model.get_outputs_for_camera(camera)
    assert len(outputs["label"].unique()) > 2
    assert (outputs["edited"] - outputs["rgb"]).abs().mean() > 0.01
    assert all(torch.isfinite(outputs[name]).all() for name in outputs.keys())


def test_its_objects_are_filmed_and_listed(old_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    options = ["--load-config", str(old_run)]
    assert main(["objects", *options]) == 0 and "teapot" in capsys.readouterr().out
    films = ["--objects", "teapot", "--output-dir", str(tmp_path), "--frames", "2", "--size", "16"]
    assert main(["render", *options, *films]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["object_02_teapot.mp4"]
