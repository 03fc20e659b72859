"""SIGTERM while a command works: it leaves no half file, and ends processes that it forked."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from disconerf_ns.cli import main
from disconerf_ns.compat.signals import sigterm_raises
from disconerf_ns.files import whole_file


def test_sigterm_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Its temporary file stayed for ever."""

    def begin(*_: object) -> None:
        with whole_file(tmp_path / "film.mp4") as part:
            part.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it went on")

    monkeypatch.setattr("disconerf_ns.cli.convert.find_images", begin)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["masks", "convert", str(tmp_path), "--data", str(tmp_path)]) == 143
    assert list(tmp_path.iterdir()) == [] and signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().err.endswith("disconerf: interrupted; all written files are whole.\n")


def test_a_forked_process_ends_at_once() -> None:
    """It says nothing, and does not go on with what its parent does after an interruption."""
    with sigterm_raises():
        child = os.fork()
        if child == 0:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM
