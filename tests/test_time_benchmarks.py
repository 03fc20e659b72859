"""Benchmarks of training steps and whole runs measure what they say, seen at small sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks import operators, performance, radiance_stage, whole_run
from benchmarks.photographs import pose, write_photographs
from benchmarks.table import merged
from disconerf_ns.masks.store import MaskStore

BOUNDS = {"radiance": 5750, "radiance without proposals": 4550, "objects": 3600}
"""Operator calls of a step by torch alone that must not be passed."""
BY_TRITON = {"radiance": 3500, "radiance without proposals": 2750, "objects": 750}
"""The same where Triton computes encodings and the object field, as on a GPU."""


def test_calls_are_counted_by_hand() -> None:
    one = torch.ones(3)
    # ones, which calls empty and fill_, and add
    assert operators.count(lambda: torch.ones(3) + one) == 4


def test_an_interpreted_kernel_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    from disconerf_ns.kernels import encode, launch
    from disconerf_ns.kernels.grid import TritonHashGrid

    if not launch.INTERPRETED:
        pytest.skip("needs Triton's interpreter")
    grid, positions = TritonHashGrid(2, 2, 4, 6, 2), torch.rand(5, 3)
    grid(positions)
    calls = operators.count(lambda: grid(positions))
    monkeypatch.setattr(encode, "launch", lambda *_, **__: None)
    assert operators.count(lambda: grid(positions)) == calls - 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize(
    ("kernels", "bounds"), [("torch", BOUNDS), pytest.param("triton", BY_TRITON, marks=pytest.mark.slow)]
)
def test_steps_call_no_more_operators_than_stated(tmp_path: Path, kernels: str, bounds: dict[str, int]) -> None:
    counts = operators.radiance_steps("disconerf", kernels, tmp_path / "radiance")
    counts |= operators.object_step(kernels, tmp_path / "objects")
    assert counts.keys() == bounds.keys()
    assert {name: count for name, count in counts.items() if count > bounds[name]} == {}
    assert counts["radiance"] > counts["radiance without proposals"] > 100


def test_a_radiance_iteration_is_timed_in_nerfstudios_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "nerfstudio.utils.writer.EVENT_WRITERS", []
    )  # those of all earlier trainers of the process write as well
    trial = radiance_stage.RadianceStage(warm=1, timed=20, profiled=2)
    config = operators.small_config("disconerf", tmp_path)
    row = radiance_stage.measure(config, trial)
    assert 0 < row["ms"] <= row["slowest_ms"] and row["rays"] == 32
    # early in the stage, one step of two teaches the proposal networks
    assert 100 < row["operators"] <= (BOUNDS["radiance"] + BOUNDS["radiance without proposals"]) / 2
    events = list(config.get_base_dir().glob("events*"))
    assert events, "nerfstudio's own loop writes its log"


def test_stages_of_a_run_by_hand() -> None:
    lines = [
        (9.0, "Saving config to: x"),
        (11.0, "No Nerfstudio checkpoint to load, so training from scratch."),
        (11.5, "Saving config to: x"),
        (50.0, "surface: 10 rays of 2 views"),
        (60.0, "Sampling the frozen surface 100%"),
        (63.0, "consensus: the masks of all views agree on 3 objects"),
    ]
    expected = {"start": 9, "data and model": 2, "radiance": 39, "surface": 10, "consensus": 3}
    assert whole_run.stages(lines, 70.0, 72.0) == expected | {"objects": 7, "saving": 2}
    assert whole_run.stages(lines[:3], None, 72.0) == {"start": 9, "data and model": 2, "radiance": 61}


def test_a_run_that_fails_says_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_run, "command", lambda *_: ["sh", "-c", "echo no such scene; exit 3"])
    with pytest.raises(SystemExit, match=r"no such scene\ndisconerf: the run failed"):
        whole_run.measure("disconerf", whole_run.WholeRun(tmp_path))


def test_a_row_replaces_the_one_of_its_key(tmp_path: Path) -> None:
    path, key = tmp_path / "rows.json", ("machine", "variant")
    path.write_text(json.dumps([{"machine": "a", "variant": "x", "ms": 1}, {"machine": "b", "variant": "x", "ms": 2}]))
    rows = merged(path, {"machine": "a", "variant": "x", "ms": 3}, key)
    assert rows == [{"machine": "b", "variant": "x", "ms": 2}, {"machine": "a", "variant": "x", "ms": 3}]


def test_photographs_are_a_dataset_whose_cameras_look_at_the_middle(tmp_path: Path) -> None:
    data = write_photographs(tmp_path / "data", views=9, width=40, height=30, masks=2)
    content = json.loads((data / "transforms.json").read_text())
    assert len(content["frames"]) == 9 and content["val_filenames"] == ["images/0004.png"]
    assert Image.open(data / "images/0008.png").size == (40, 30)
    masks = MaskStore.open(data / "masks/stripes").load("0000")
    assert [int(mask.sum()) for mask in masks.decode()] == [600, 600]
    matrix = torch.from_numpy(pose(0.7))
    torch.testing.assert_close(matrix[:3, :3] @ matrix[:3, :3].T, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(matrix[:3, 3] - 2 * matrix[:3, 2], torch.zeros(3, dtype=torch.float64))


def test_tables_of_iterations_and_runs() -> None:
    about = {"machine": "M", "versions": {"torch": "2"}, "commit": "abc", "variant": "disconerf"}
    numbers = {"ms": 8.04, "slowest_ms": 9.0, "device_ms": 6.0, "operators": 1500.2, "launches": 30.0, "waits": 0.5}
    row = about | numbers | {"peak_mib": 2048.0, "first_step": 6000, "rays": 4096}
    page = performance.radiance([row])
    assert "| disconerf | abc | 6,000 | 8.0 | 9.0 | 6.0 ms | 1,500 | 30 | 0 | 2.0 GiB |" in page
    ours = about | {"data": "room", "iterations": None, "seconds": 72.0, "to_objects": 70.0}
    ours |= {"stages": {"start": 9.0, "radiance": 61.0}}
    stock = ours | {"variant": "nerfacto", "iterations": 100, "to_objects": None, "stages": {"start": 8.0}}
    page = performance.whole_run([ours, stock])
    assert "| disconerf | abc | its own | 9.0 | 61.0 | **70** | 72 |" in page
    assert "| nerfacto | abc | 100 | 8.0 |  |  | 72 |" in page
