"""`disconerf render`: files hold what a person asks for, and mistakes are told before anything is loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import Run

from disconerf_ns import runs
from disconerf_ns.cli import main
from disconerf_ns.cli import render as command
from disconerf_ns.filming import shots


@pytest.fixture(autouse=True)
def loaded(run: Run, model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command takes the run that is loaded already."""
    for module in (command, runs):
        monkeypatch.setattr(module, "load_pipeline", lambda config, test_mode="inference": run.trainer.pipeline)


def render(run: Run, folder: Path, *options: str) -> int:
    return main(["render", "--load-config", str(run.config), "--output-dir", str(folder), *options])


def stills(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])


def test_objects_by_number_in_several_formats_with_a_sheet_and_a_grid(run: Run, tmp_path: Path, capsys) -> None:
    """Frames were opaque and small, the object filled half of them, and there was no file of all objects."""
    options = ["--frames", "4", "--resolution", "40", "--format", "png", "mp4", "--contact-sheet", "--grid"]
    assert render(run, tmp_path, "--objects", "1", "object_02", *options) == 0
    assert "0% of the film" not in capsys.readouterr().out.replace("10%", "")
    names = {"object_01", "object_01.mp4", "object_02", "object_02.mp4", "contact_sheet.png", "all.mp4"}
    assert {path.name for path in tmp_path.iterdir()} == names
    frames = stills(tmp_path / "object_01")
    assert frames.shape == (4, 40, 40, 4)
    solid = frames[..., 3] > 127
    sides = [[np.ptp(axis.nonzero()[0]) + 1 for axis in (frame.any(0), frame.any(1))] for frame in solid]
    assert 0.7 <= np.max(sides) / 40 <= 0.9, "the fullest frame"
    assert np.ptp(frames[solid][:, :3].mean(0)) > 25, "a coloured ball"
    assert Image.open(tmp_path / "contact_sheet.png").size[0] == 80
    with av.open(tmp_path / "all.mp4") as film:
        assert len(list(film.decode(video=0))) == 4


def test_what_is_to_be_known_of_several_films_is_one_line(run: Run, tmp_path: Path, monkeypatch, capsys) -> None:
    """Fifteen lines said one thing of fifteen objects."""
    orbit = shots.orbit
    monkeypatch.setattr(shots, "orbit", lambda *given, **options: replace(orbit(*given, **options), remark="it is far"))
    assert render(run, tmp_path, "--objects", "1", "2", "--frames", "1", "--resolution", "16", "--format", "png") == 0
    told = capsys.readouterr().out
    assert "render: object_01, object_02: it is far.\n" in told
    assert "render: object_01/, object_02/; in " in told, "they are folders"


def test_all_formats_have_one_size(run: Run, tmp_path: Path) -> None:
    """Pictures of 19 pixels were beside a film of 18."""
    options = ["--frames", "1", "--resolution", "19", "--format", "png", "mp4"]
    assert render(run, tmp_path, "--objects", "1", *options) == 0
    with av.open(tmp_path / "object_01.mp4") as film:
        size = film.streams.video[0].height, film.streams.video[0].width
    assert size == stills(tmp_path / "object_01").shape[1:3] == (20, 20)


def test_a_length_in_seconds_and_the_defaults_of_a_cpu(run: Run, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(command, "ON_CPU", command.Default(16, 24, 12))
    assert render(run, tmp_path, "--objects", "1", "--seconds", "0.5") == 0
    assert "without a GPU a frame takes seconds, so films have 16 pixels" in capsys.readouterr().out
    with av.open(tmp_path / "object_01.mp4") as film:
        stream = film.streams.video[0]
        assert (stream.average_rate, stream.width, len(list(film.decode(stream)))) == (12, 16, 6)


def test_the_defaults_of_a_gpu_are_those_of_a_film() -> None:
    resolution, frames, fps = command.ON_GPU
    assert resolution >= 512 and fps == 24 and frames / fps == 4


@pytest.mark.parametrize("path", ["sway", "interpolate", "spiral", "training"])
def test_other_paths(run: Run, tmp_path: Path, path: str) -> None:
    count = [] if path == "training" else ["--frames", "3"]
    assert render(run, tmp_path, "--objects", "1", "--path", path, *count, "--resolution", "16", "--format", "png") == 0
    width = 16 if path == "sway" else 22
    assert stills(tmp_path / "object_01").shape == (14 if path == "training" else 3, 16, width, 4)


def test_an_object_that_cannot_be_filmed_costs_no_other(run: Run, tmp_path: Path, monkeypatch, capsys) -> None:
    """An error of one object, found while all were looked at, left no film."""
    orbit = shots.orbit

    def one_fails(scene, filmed, *others, **options):
        if filmed.name == "object_01":
            raise IndexError("nothing there")
        return orbit(scene, filmed, *others, **options)

    monkeypatch.setattr(shots, "orbit", one_fails)
    options = ["--frames", "2", "--resolution", "16", "--format", "png", "--contact-sheet"]
    assert render(run, tmp_path, "--objects", "1", "2", *options) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"object_02", "contact_sheet.png"}
    assert "render: object_01 could not be filmed: nothing there." in capsys.readouterr().out
    assert render(run, tmp_path / "none", "--objects", "1", *options) == 1
    assert "object_01 could not be filmed: nothing there." in capsys.readouterr().err


def test_a_camera_path_through_the_edited_scene(run: Run, tmp_path: Path) -> None:
    """One film, of the size and speed that the path says; without the hidden ball."""
    pose = run.trainer.pipeline.datamanager.train_dataset.cameras.camera_to_worlds[0]
    matrix = [*pose.flatten().tolist(), 0, 0, 0, 1]
    frames = [{"camera_to_world": matrix, "fov": 50.0, "aspect": 4 / 3}] * 2
    content = {"render_height": 18, "render_width": 24, "camera_path": frames, "seconds": 0.25, "fps": 8}
    (tmp_path / "path.json").write_text(json.dumps(content))
    options = ["--camera-path", str(tmp_path / "path.json"), "--background", "scene", "--format", "mov"]
    assert render(run, tmp_path / "films", *options) == 0
    with av.open(tmp_path / "films" / "scene.mov") as film:
        stream = film.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (24, 18, 8)


def test_an_object_in_the_edited_scene(run: Run, tmp_path: Path) -> None:
    options = ["--frames", "2", "--resolution", "16", "--background", "scene", "--format", "png"]
    assert render(run, tmp_path, "--objects", "1", *options) == 0
    assert stills(tmp_path / "object_01").shape == (2, 16, 16, 3)


def test_what_is_hidden_is_not_filmed_in_the_edited_scene(run: Run, tmp_path: Path, capsys) -> None:
    """A film of the empty place was called after the object that had stood there."""
    scene = run.trainer.pipeline.model.current.value
    (tmp_path / "hidden.json").write_text(json.dumps({"hidden": [scene.find("object_01").id]}))
    options = ["--edit", str(tmp_path / "hidden.json"), "--frames", "1", "--resolution", "16", "--format", "png"]
    among = [*options, "--background", "scene"]
    assert render(run, tmp_path / "films", "--objects", "1", *among) == 1
    assert (
        "render: object_01 is hidden in the edited scene; use `disconerf objects show` first" in capsys.readouterr().err
    )
    assert render(run, tmp_path / "films", *among) == 0
    assert "hidden in the edited scene, so not filmed there: object_01." in capsys.readouterr().out
    assert not (tmp_path / "films" / "object_01").exists() and (tmp_path / "films" / "object_02").exists()
    assert render(run, tmp_path / "films", "--objects", "1", *options) == 0, "alone it is filmed"


def test_frames_are_shared_by_devices(run: Run, tmp_path: Path, monkeypatch) -> None:
    """The command hands the same frames, with the edit, to processes; `test_film` has the processes."""
    import disconerf_ns.filming.devices as devices

    asked = []

    def in_processes(open_draw, wanted, workers):
        asked.append(workers)
        return map(open_draw(), wanted)

    options = ["--objects", "1", "--frames", "2", "--resolution", "16", "--format", "png"]
    assert render(run, tmp_path / "one", *options) == 0
    monkeypatch.setattr(devices, "in_processes", in_processes)
    assert render(run, tmp_path / "two", *options, "--devices", "2") == 0
    assert asked == [2] and np.array_equal(stills(tmp_path / "one/object_01"), stills(tmp_path / "two/object_01"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--resolution", "0"], "--resolution is 0; it has to be from 16 to 16,384."),
        (["--seconds", "0"], "--seconds is 0.0; it has to be from 0.001 to 86,400."),
        (["--devices", "-1"], "--devices is -1; it has to be from 1 to 1,024."),
        (["--frames", "3", "--seconds", "1"], "--frames and --seconds both say how long the film is"),
        (["--background", "blurple"], "--background is blurple; it has to be transparent, scene, or a colour"),
        (["--background", "transparent"], "mp4 cannot be transparent; choose --format webm"),
        (["--background", "scene", "--ground", "shadow"], "--ground shadow is for objects alone"),
        (["--background", "scene", "--path", "training", "--grid"], "--contact-sheet and --grid show films of objects"),
        (["--camera-path", "no.json"], "no.json: not a camera path (No such file or directory)"),
        (["--camera-path", "no.json", "--path", "spiral"], "--camera-path and --path spiral both say"),
        (["--objects", "99"], "there is no 99; the scene has object_00"),
        (["--output-dir", "/proc/films"], "/proc/films cannot be written"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(
    run: Run, options, sentence, tmp_path, monkeypatch, capsys
) -> None:
    def load(config: Path):
        raise AssertionError("the run was loaded")

    monkeypatch.setattr(command, "load_pipeline", load)
    assert render(run, tmp_path, *options) == 1
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("options", "complete"), [((), True), (("--no-complete",), False)])
def test_what_no_photograph_saw_is_completed_or_not(run: Run, tmp_path: Path, completing, options, complete) -> None:
    film = "--objects", "1", "--frames", "1", "--resolution", "16", "--format", "png"
    assert render(run, tmp_path, *film, *options) == 0
    assert completing == {complete}
