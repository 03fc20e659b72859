"""Stops of every kind, and what a run goes on from: checkpoints beside broken and stray ones, signals, other data."""

from __future__ import annotations

import errno
import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.engine.trainer import TrainerConfig
from tiny_run import Run, tiny_config, train

from disconerf_ns.cli import main
from disconerf_ns.compat.folder_lock import alone_in
from disconerf_ns.compat.stop_request import Stopped, StopRequest
from disconerf_ns.errors import UserError
from disconerf_ns.object_stage import ObjectStage
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.runs import config_of
from disconerf_ns.trainer import command_to_go_on
from disconerf_ns.training import checkpoint_files
from disconerf_ns.training.checkpoint_files import checkpoint_to_resume, checkpoints_in, newest_whole, save_whole
from disconerf_ns.training.same_scene import check_photographs, same_frame

# ---------------------------------------------------------------- checkpoints as files


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Checkpoints of the steps 9 and 19, and files that are none."""
    folder = tmp_path / "run" / "nerfstudio_models"
    folder.mkdir(parents=True)
    for step in (9, 19):
        torch.save({"step": step, "values": torch.arange(1000.0)}, folder / f"step-{step:09d}.ckpt")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "step-000000019 (1).ckpt").write_bytes(b"a copy")
    (folder / "step-000000029.ckpt").mkdir()
    return folder


def broken(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        at = bytes(content).index(torch.arange(1000.0)[500].numpy().tobytes())
        content[at] ^= 1
        path.write_bytes(content)


def test_strays_are_no_checkpoints(models: Path) -> None:
    assert sorted(checkpoints_in(models)) == [9, 19]


@pytest.mark.parametrize("named", [".", "..", "../config.yml"], ids=["folder", "run", "config"])
def test_a_run_is_named_by_any_of_its_places(models: Path, named: str) -> None:
    (models.parent / "config.yml").write_text("")
    assert newest_whole((models / named).resolve()) == models / "step-000000019.ckpt"


@pytest.mark.parametrize("how", ["truncated", "empty", "flipped"])
def test_the_newest_whole_checkpoint_is_taken_and_the_broken_one_named(
    models: Path, how: str, capsys: pytest.CaptureFixture
) -> None:
    """A truncated one stopped every command, and one flipped bit was loaded."""
    broken(models / "step-000000019.ckpt", how)
    assert newest_whole(models) == models / "step-000000009.ckpt"
    said = "".join(capsys.readouterr().out.split())  # a long path is said in several lines
    assert "step-000000019.ckptcannotberead" in said
    broken(models / "step-000000009.ckpt", how)
    with pytest.raises(UserError, match="holds no checkpoint that can be read; all 2 are broken"):
        newest_whole(models)


def options(**given) -> TrainerConfig:
    return TrainerConfig(method_name="disconerf", **given)


def test_what_is_gone_on_from(models: Path, tmp_path: Path) -> None:
    assert checkpoint_to_resume(options()) is None
    assert checkpoint_to_resume(options(load_dir=models)) == models / "step-000000019.ckpt"
    assert checkpoint_to_resume(options(load_dir=models, load_step=9)) == models / "step-000000009.ckpt"
    broken(models / "step-000000019.ckpt", "flipped")
    for given, sentence in (
        ({"load_dir": tmp_path / "nowhere"}, "--load-dir: there is no .*nowhere; name the folder nerfstudio_models"),
        ({"load_dir": tmp_path}, "holds no checkpoint that can be read, a file such as step-000001999.ckpt"),
        ({"load_dir": models, "load_step": 7}, "--load-step: there is no .*; checkpoints there are of the steps 9, 19"),
        ({"load_checkpoint": models / "step-000000019.ckpt"}, "--load-checkpoint: .* is damaged"),
    ):
        with pytest.raises(UserError, match=sentence):
            checkpoint_to_resume(options(**given))


def test_a_full_disk_leaves_the_checkpoint_before(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(state, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(path.name for path in models.iterdir())
    monkeypatch.setattr(checkpoint_files.torch, "save", full)
    with pytest.raises(UserError, match=r"No space left on device\); .*step-000000019.ckpt is kept. Make room"):
        save_whole({}, models / "step-000000039.ckpt")
    assert sorted(path.name for path in models.iterdir()) == before


def test_commands_open_a_run_whose_newest_checkpoint_breaks_off(run: Run, tmp_path: Path, capsys) -> None:
    """Seven of seven commands stopped with a traceback, although a good checkpoint lay beside it."""
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    (good,) = (folder / "nerfstudio_models").iterdir()
    (folder / "nerfstudio_models/step-000000999.ckpt").write_bytes(good.read_bytes()[:5000])
    (folder / "nerfstudio_models/.DS_Store").write_bytes(b"x")
    out = tmp_path / "films"
    command = "render", "--load-config", folder / "config.yml", "--objects", "1", "--output-dir", out, "--frames", "2"
    assert main([*map(str, command), "--size", "32"]) == 0, capsys.readouterr().err


# ---------------------------------------------------------------- signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_heard_at_the_end_of_the_step(number: int, code: int) -> None:
    told: list[int] = []
    request = StopRequest(lambda: told.append(1))
    before = signal.getsignal(number)
    with request.heard():
        signal.raise_signal(number)
        assert (request.signal, request.exit_code, told) == (number, code, [1])
        with pytest.raises(Stopped), request.at_once():
            pytest.fail("it is not begun")
        with pytest.raises(SystemExit) as stopped:
            signal.raise_signal(number)
        assert stopped.value.code == code
    assert signal.getsignal(number) is before


def test_work_that_can_be_done_again_is_left_at_once() -> None:
    request = StopRequest(lambda: None)
    reached = []

    def work() -> None:
        with request.at_once():
            signal.raise_signal(signal.SIGINT)
            reached.append("the end")

    with request.heard(), pytest.raises(Stopped):
        work()
    assert reached == []


@pytest.mark.parametrize(("at", "number", "last"), [(4, signal.SIGTERM, 4), ("surface", signal.SIGINT, 7)])
def test_a_stopped_run_is_saved_and_says_how_to_go_on(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, at, number, last: int
) -> None:
    """Nothing was saved, and after Ctrl-C the exit code was 0."""
    config = tiny_config(scene, tmp_path, iterations=12)
    after, sample = DiscoNerfPipeline.after_step, ObjectStage.sample_surface
    steps: list[int] = []

    def after_step(self, metrics) -> None:
        after(self, metrics)
        steps.append(1)
        if len(steps) - 1 == at:
            signal.raise_signal(number)

    def sample_surface(self, view: int):
        if at == "surface" and view == 3:
            signal.raise_signal(number)
        return sample(self, view)

    monkeypatch.setattr(DiscoNerfPipeline, "after_step", after_step)
    monkeypatch.setattr(ObjectStage, "sample_surface", sample_surface)
    monkeypatch.setattr("sys.argv", ["ns-train", "disconerf-small", "--data", "my data"])
    with pytest.raises(SystemExit) as stopped:
        train(config)
    assert stopped.value.code == 128 + number
    folder = config.get_checkpoint_dir()
    assert [path.name for path in folder.iterdir()] == [f"step-{last:09d}.ckpt"]
    said = capsys.readouterr().out.replace("\n", " ")
    assert f"ns-train disconerf-small --load-dir {folder} --data 'my data'" in said
    assert "Training Finished" not in said


@pytest.mark.parametrize(
    ("given", "options"),
    [
        (["--data", "d"], "--data d"),
        (["--load-dir", "old", "--data", "d"], "--data d"),
        (["--load_dir=old", "--load-step", "9", "colmap", "--downscale-factor", "2"], "colmap --downscale-factor 2"),
    ],
)
def test_the_command_that_goes_on(given: list[str], options: str) -> None:
    command = command_to_go_on(["/bin/ns-train", "disconerf", *given], Path("r/nerfstudio_models"))
    assert command == f"ns-train disconerf --load-dir r/nerfstudio_models {options}"
    assert command_to_go_on(["python"], Path("r s")) == "--load-dir 'r s'"


def test_two_trainings_in_one_folder(tmp_path: Path) -> None:
    """They ended with one checkpoint of unknown owner, and nothing was said."""
    with alone_in(tmp_path):
        with (
            pytest.raises(UserError, match=rf"{tmp_path} belongs to a training that runs \(process \d+\)"),
            alone_in(tmp_path),
        ):
            pytest.fail("both train")
        with alone_in(tmp_path / "other"):
            pass
    with alone_in(tmp_path):
        pass


def test_a_second_training_leaves_the_first_one_s_config(scene: Path, tmp_path: Path) -> None:
    """nerfstudio writes config.yml before it starts anything: the refused training's options took the place of the
    first one's."""
    first, second = (tiny_config(scene, tmp_path, iterations=number) for number in (12, 24))
    second.timestamp = first.timestamp
    first.save_config()
    with alone_in(first.get_base_dir()), pytest.raises(UserError, match="belongs to a training that runs"):
        second.save_config()
    assert config_of(first.get_base_dir() / "config.yml").max_num_iterations == 12


# ---------------------------------------------------------------- other data, other options


def test_other_photographs_are_named() -> None:
    before = [f"images/{number}" for number in range(8)]
    check_photographs(before, list(before))
    for now, sentence in (
        (
            before[5:],
            r"was trained on 8 photographs, and there are 3 now: 5 are gone \(images/0, images/1, images/2, \.\.\.\)\.",
        ),
        ([*before, "images/new"], r"1 are new \(images/new\)"),
        (before[::-1], "their order is another one"),
    ):
        with pytest.raises(UserError, match=sentence):
            check_photographs(before, now)


def test_frames_are_compared(tmp_path: Path) -> None:
    cameras = Cameras(torch.eye(4)[None, :3], 10.0, 10.0, 4.0, 4.0, 8, 8)
    here = DataparserOutputs([Path("1.png")], cameras, dataparser_scale=0.5)
    file = tmp_path / "dataparser_transforms.json"
    assert same_frame(tmp_path, here), "an old run did not say"
    file.write_text(json.dumps({"transform": torch.eye(4)[:3].tolist(), "scale": 0.5}))
    assert same_frame(tmp_path, here)
    for content in (
        {"transform": torch.eye(4)[:3].tolist(), "scale": 0.51},
        {"transform": [[2.0] * 4] * 3, "scale": 0.5},
    ):
        file.write_text(json.dumps(content))
        assert not same_frame(tmp_path, here)
    for damaged in ("", "{", "[]", '{"transform": "x", "scale": 1}', '{"transform": [[1]], "scale": null}'):
        file.write_text(damaged)
        with pytest.raises(UserError, match="dataparser_transforms.json"):
            same_frame(tmp_path, here)


def test_a_run_goes_on_only_with_what_it_began_with(run: Run, scene: Path, tmp_path: Path) -> None:
    """15.1 dB in the place of 23.4, another number of slots, and masks made since were taken without a word."""

    def resumed(data: Path = scene, scale_factor: float = 1.0, slots: int | str = "auto") -> DiscoNerfPipeline:
        config = tiny_config(data, tmp_path / "resumed", iterations=500)
        config.load_dir = run.folder
        config.pipeline.datamanager.dataparser.scale_factor = scale_factor
        config.pipeline.model.slots = slots
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()
        return trainer.pipeline

    with pytest.raises(UserError, match="data is put into another frame"):
        resumed(scale_factor=0.7)
    with pytest.raises(UserError, match=r"--pipeline.model.slots: 30 is asked for, but .* has learned \d+ slots"):
        resumed(slots=30)

    data = tmp_path / "data"
    shutil.copytree(scene, data)
    assert resumed(data).datamanager.store.root == scene / "masks" / "exact", "not one that was made since"
    parsed = json.loads((data / "transforms.json").read_text())
    parsed["train_filenames"] = parsed["train_filenames"][1:]
    (data / "transforms.json").write_text(json.dumps(parsed))
    with pytest.raises(UserError, match=r"trained on 14 photographs, and there are 13 now: 1 are gone \(.*0\)"):
        resumed(data)


def test_the_proposals_timetable_is_part_of_what_a_run_goes_on_with(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its steps are counted outside of any parameter."""
    pipeline = run.trainer.pipeline
    sampler = pipeline.model.proposal_sampler
    monkeypatch.setattr(sampler, "_step", 4321)
    monkeypatch.setattr(sampler, "_steps_since_update", 3)
    stored = pipeline.to_go_on()
    sampler._step = sampler._steps_since_update = 0
    pipeline.go_on(stored)
    assert (sampler._step, sampler._steps_since_update) == (4321, 3)
