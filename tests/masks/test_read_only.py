"""Folders that cannot be written: one sentence before any work, which says where the output can go instead."""

from __future__ import annotations

from errno import EROFS
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disconerf_ns import files
from disconerf_ns.cli import main
from disconerf_ns.errors import UserError
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.proposers.graph import GraphConfig
from disconerf_ns.masks.proposers.sam import SamConfig
from disconerf_ns.masks.proposers.transformers import TransformersConfig
from disconerf_ns.masks.store import MaskStore


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for folder in ("images", "labels"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "data" / folder / "1.png")
    for folder in ("elsewhere/set", "data/masks/mine"):
        MaskStore(tmp_path / folder).save("1", ImageMasks.from_arrays(np.eye(8, dtype=bool)[None]))
    return tmp_path / "data"


@pytest.fixture
def read_only(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dataset on a file system that refuses every write, also those of root."""
    temporary, mkdir = files.TemporaryFile, Path.mkdir

    def refuse(path: Path) -> None:
        if path.is_relative_to(data):
            raise OSError(EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(files, "TemporaryFile", lambda dir: refuse(Path(dir)) or temporary(dir=dir))
    monkeypatch.setattr(Path, "mkdir", lambda path, *args, **options: refuse(path) or mkdir(path, *args, **options))
    return data


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("proposer", ["sam", "transformers", "graph"])
def test_masks_says_so_before_the_proposer_is_set_up(
    proposer: str,
    workers: str,
    read_only: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    for config in (SamConfig, TransformersConfig, GraphConfig):
        monkeypatch.setattr(config, "setup", lambda _: pytest.fail("work has begun"))
        monkeypatch.setattr(config, "decide", lambda *_: pytest.fail("work has begun"))
    assert main(["masks", "--data", str(read_only), "--workers", workers, proposer]) == 1
    error = capsys.readouterr().err
    assert error == (
        f"disconerf: {read_only / 'masks' / proposer} cannot be written (Read-only file system); keep the masks "
        "elsewhere with --output FOLDER, and train with --pipeline.datamanager.masks FOLDER.\n"
    )


def test_masks_of_read_only_data_go_elsewhere(read_only: Path, tmp_path: Path) -> None:
    assert main(["masks", "--data", str(read_only), "--output", str(tmp_path / "new/masks"), "graph"]) == 0
    assert MaskStore.open(tmp_path / "new/masks").keys() == ["1"]


@pytest.mark.parametrize("command", ["convert", "ground-truth"])
def test_conversion_says_so_before_it_reads(
    command: str, read_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    source = [str(tmp_path / "elsewhere/set")] if command == "convert" else []
    monkeypatch.setattr("disconerf_ns.cli.convert.format_of", lambda _: pytest.fail("work has begun"))
    assert main(["masks", command, *source, "--data", str(read_only)]) == 1
    error = capsys.readouterr().err
    assert "cannot be written (Read-only file system); keep the masks elsewhere with --output FOLDER" in error
    assert "--pipeline.datamanager.masks FOLDER" in error and error.count("\n") == 1


def test_conversion_for_other_programs_names_no_option_of_training(
    read_only: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source = str(tmp_path / "elsewhere/set")
    output = str(read_only / "coco.json")
    assert main(["masks", "convert", source, "--data", str(read_only), "--to", "coco", "--output", output]) == 1
    error = capsys.readouterr().err
    assert "coco.json cannot be written (Read-only file system); name another place with --output.\n" in error
    assert "--pipeline" not in error


def test_a_dry_run_needs_no_place(read_only: Path, tmp_path: Path) -> None:
    assert main(["masks", "convert", str(tmp_path / "elsewhere/set"), "--data", str(read_only), "--dry-run"]) == 0


@pytest.mark.parametrize("command", ["show", "check"])
def test_sheets_beside_masks_that_cannot_be_written(
    command: str, read_only: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["masks", command, "--data", str(read_only)]) == 1
    error = capsys.readouterr().err
    assert "cannot be written (Read-only file system); name another place with --output.\n" in error


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    files.check_folder(tmp_path / "a/b", "go elsewhere.")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_and_a_folder_in_that_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(UserError, match=r"/a is a file, not a folder; go elsewhere\.$"):
        files.check_folder(tmp_path / "a", "go elsewhere.")
    with pytest.raises(UserError, match=r" is a folder, and a file would be written there; go elsewhere\.$"):
        files.check_file(tmp_path, "go elsewhere.")
    files.check_file(tmp_path / "a", "go elsewhere.")
    files.check_folder(tmp_path, "go elsewhere.")


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(UserError, match=r"a/b cannot be written \(Not a directory\); go elsewhere\.$"):
        files.check_folder(tmp_path / "a/b", "go elsewhere.")
