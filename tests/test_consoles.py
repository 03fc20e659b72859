"""Consoles that are not UTF-8: names with umlauts, help with bullets, and tables with box characters are printed."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfstudio.field_components import activations
from PIL import Image
from torch.utils.data import DataLoader

from disconerf_ns.cli import entrypoint
from disconerf_ns.cli.eval import print_scores
from disconerf_ns.compat.process import prepare_process
from disconerf_ns.consoles import progress, track
from disconerf_ns.evaluation.metrics import COUNTS, FRACTIONS

Printed = Callable[[], str]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "küche/images").mkdir(parents=True)
    for name in ("grün", "日本"):
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "küche/images" / f"{name}.png")
    return tmp_path / "küche"


@pytest.fixture(params=["ascii", "latin-1", "utf-8"])
def console(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Printed]:
    """Replaces both streams by strict ones of an encoding; what that returns gives what was printed on them.

    pytest sets its own streams between a fixture and its test, so the test has to call this.
    """
    written = BytesIO()

    def replace() -> Printed:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, TextIOWrapper(written, encoding=request.param, write_through=True))
        return lambda: written.getvalue().decode(request.param)

    return replace


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["disconerf", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        entrypoint()
    return ended.value.code


def test_masks_of_names_with_other_letters(
    data: Path, console: Callable[[], Printed], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = console()
    assert run(monkeypatch, "masks", "--data", data, "graph") == 0
    for command in ("show", "check"):
        assert run(monkeypatch, "masks", command, "--data", data) == 0
    folder = data / "masks/graph"
    assert run(monkeypatch, "masks", "convert", folder, "--data", data, "--output", data / "größer") == 0
    assert "2 views, 0 of them without any mask" in printed()


def test_commands_of_masks_say_in_a_log_file_how_far_they_are(
    data: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, "masks", "--data", data, "graph") == 0
    assert run(monkeypatch, "masks", "show", "--data", data) == 0
    said = capsys.readouterr().err
    assert "masks: 2 of 2\n" in said and "drawing sheets: 2 of 2\n" in said


@pytest.mark.parametrize("command", ["masks", "masks convert", "eval"])
def test_help(command: str, console: Callable[[], Printed], monkeypatch: pytest.MonkeyPatch) -> None:
    printed = console()
    assert run(monkeypatch, *command.split(), "--help") == 0
    assert "--data" in printed() or "--load-config" in printed()


def test_mistakes(data: Path, console: Callable[[], Printed], monkeypatch: pytest.MonkeyPatch) -> None:
    printed = console()
    assert run(monkeypatch, "fliög") == 1
    assert run(monkeypatch, "masks", "--data", data / "weiß", "graph") == 1
    assert run(monkeypatch, "masks", "--data", data, "grüph") == 2
    assert run(monkeypatch, "rendr") == 1
    assert printed().rstrip().endswith("there is no command rendr. Did you mean render?")
    assert "there is no command fli" in printed() and "pass the dataset's folder with --data" in printed()


def test_a_name_that_is_no_text(
    tmp_path: Path, console: Callable[[], Printed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name in Latin-1 on a disk of today is bytes that no encoding can print."""
    printed = console()
    folder = tmp_path / os.fsdecode(b"k\xfcche")
    assert run(monkeypatch, "masks", "--data", folder, "graph") == 1
    assert r"there is no " in printed() and r"k\udcfcche" in printed()


def test_a_file_system_that_cannot_spell_a_name(
    data: Path, console: Callable[[], Printed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names in files of masks are text, which such a system cannot look for."""
    printed = console()
    monkeypatch.setattr("disconerf_ns.cli.masks.find_images", lambda *_: "a/grün".encode("ascii"))
    assert run(monkeypatch, "masks", "--data", data, "graph") == 1
    assert "disconerf: this system's encoding ascii has no " in printed() and "set PYTHONUTF8=1" in printed()


def test_a_log_file_gets_a_line_for_every_tenth_and_a_terminal_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert list(track(range(30), "filming")) == list(range(30))
    assert capsys.readouterr().err.splitlines() == [f"filming: {done} of 30" for done in range(3, 31, 3)]
    with progress("naming", 3) as advance:
        for name in ("cup", "[red] ball", ""):
            advance(name)
    assert capsys.readouterr() == ("", "naming: 1 of 3\nnaming: 2 of 3\nnaming: 3 of 3\n")
    hours = iter([0, 3600, 7200, 9000, 10800])
    with monkeypatch.context() as clock:
        clock.setattr("disconerf_ns.consoles.monotonic", lambda: next(hours))
        assert list(track(range(4), "filming")) == [0, 1, 2, 3]
    left = "filming: 1 of 4, 3:00:00 left", "filming: 2 of 4, 2:00:00 left", "filming: 3 of 4, 0:50:00 left"
    assert capsys.readouterr().err.splitlines() == [*left, "filming: 4 of 4"]
    assert list(track(iter(()), "nothing")) == [] and capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("naming", 1) as advance:
        advance("[red] ball")
    said = capsys.readouterr().err
    assert "naming [red] ball" in said and "1/1" in said and " of " not in said


def test_commands_hide_what_nerfstudio_and_torch_say_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of objects came after 40 lines about names and indices that today's torch has otherwise."""
    with warnings.catch_warnings(record=True) as said:
        warnings.resetwarnings()
        assert run(monkeypatch, "--help") == 0
        importlib.reload(activations)
        assert torch.eye(2)[[torch.tensor(0)]].sum() == 1
        DataLoader([], num_workers=10_000)
        warnings.warn("something to know", stacklevel=1)
    assert [str(each.message) for each in said] == ["something to know"]


def test_tables_and_nerfstudio_s_commands(console: Callable[[], Printed]) -> None:
    printed = console()
    prepare_process()
    print_scores({"views": dict.fromkeys([*FRACTIONS, *COUNTS], 0.5)}, 3)
    print("küche ✓")
    assert "Objects in 3 views" in printed() and "che" in printed()


def test_a_reader_that_stops_ends_a_command_silently() -> None:
    """`disconerf report --help | head -3` ended with "Broken pipe"."""
    for arguments in (["--help"], ["report", "--help"]):
        command = [sys.executable, "-c", "from disconerf_ns.cli import entrypoint; entrypoint()", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.close()
            told = process.stderr.read()
        assert (process.returncode, told) == (1, b"")
