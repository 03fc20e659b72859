"""Options that messages name are options of the command that shows them, or the message names the command."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from disconerf_ns.cli import main
from disconerf_ns.errors import MaskError, UserError
from disconerf_ns.evaluation.views import View, masks_of
from disconerf_ns.kernels.choice import choose
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "images/1.png")
    return tmp_path


def error_of(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    assert main(["masks", *arguments]) == 1
    return capsys.readouterr().err


def test_only_masks_has_overwrite(tmp_path: Path) -> None:
    MaskStore.create(tmp_path / "set", {"generator": "convert", "parameters": {"source": "a"}})
    with pytest.raises(MaskError) as refused:
        MaskStore.create(tmp_path / "set", {"generator": "convert", "parameters": {"source": "b"}})
    assert str(refused.value).endswith(
        "; name another folder with --output, or delete that one, as `disconerf masks --overwrite` does."
    )


def test_a_broken_file_of_masks_names_the_command_that_makes_it(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text("{")
    with pytest.raises(MaskError, match=r"delete it and run `disconerf masks` again"):
        MaskStore(tmp_path).load("1")


def test_ground_truth_takes_no_file(data: Path, capsys: pytest.CaptureFixture) -> None:
    error = error_of(capsys, "ground-truth", "--data", str(data))
    assert f"there is no {data / 'labels'}" in error and "`disconerf masks convert" in error
    assert "pass a file" not in error


def test_masks_of_the_run_are_not_left_out_by_an_option(data: Path, capsys: pytest.CaptureFixture) -> None:
    store = MaskStore(data / "masks/mine")
    store.save("other", ImageMasks(8, 8, ()))
    run = SimpleNamespace(datamanager=SimpleNamespace(store=store), config=None, device=None, model=None)
    views = [View("test", 0, "1", data / "images/1.png", 8, 8)]
    assert masks_of(run, views) is None
    said = capsys.readouterr().out
    assert "not scored" in said and "--masks" not in said
    with pytest.raises(UserError, match="or leave --masks out"):
        masks_of(run, views, store.root)


def test_an_implementation_is_chosen_by_training_or_in_a_run_s_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disconerf_ns.kernels.choice._installed", lambda _: False)
    with pytest.raises(UserError, match=r"of `ns-train`, or as `implementation` in a finished run's config\.yml"):
        choose("triton")


def test_after_ctrl_c_nothing_is_promised_that_convert_refuses(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("disconerf_ns.cli.convert.find_images", interrupt)
    assert main(["masks", "convert", str(data), "--data", str(data)]) == 130
    assert "same command" not in capsys.readouterr().err
