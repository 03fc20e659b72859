"""The benchmark of every command on a real capture: what it reads from files, and that commands which fail are kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import real_capture
from benchmarks.real_capture import Command, RealCapture
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore


def test_facts_are_those_of_the_files(tmp_path: Path) -> None:
    store = MaskStore.create(tmp_path / "masks", {"generator": "test"})
    half, none = np.zeros((2, 4, 6), bool), np.zeros((0, 4, 6), bool)
    half[0, :1], half[1, 1:2] = True, True
    store.save("images/a", ImageMasks.from_arrays(half))
    store.save("images/b", ImageMasks.from_arrays(none))
    assert real_capture.masks(tmp_path) == {"views": 2, "masks": [0, 2], "covered": [0.0, 0.5]}
    (tmp_path / "cloud.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex 12\nend_header\n" + bytes(9))
    assert real_capture.points(tmp_path / "cloud.ply") == {"points": 12}


def test_a_command_that_fails_is_a_row_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "capture"
    tried = [Command(f"python -c 'exit(3)' {data}", lambda _: {"never": 1}), Command("true", lambda _: {"found": 2})]
    monkeypatch.setattr(real_capture, "commands", lambda trial: iter(tried))
    real_capture.main(RealCapture(data, tmp_path / "out", results=tmp_path / "rows.json"))
    rows = json.loads((tmp_path / "rows.json").read_text())["commands"]
    assert [(row["code"], row.get("found"), "never" in row) for row in rows] == [(3, None, False), (0, 2, False)]
    assert rows[0]["command"] == "python -c 'exit(3)' capture", "no folder of this machine is in the record"


@pytest.mark.slow
def test_every_command_ends_well(data: Path, tmp_path: Path) -> None:
    trial = RealCapture(data, tmp_path / "out", iterations=40, object_iterations=20, results=tmp_path / "rows.json")
    real_capture.main(trial)
    rows = json.loads((tmp_path / "rows.json").read_text())["commands"]
    assert [row["command"] for row in rows if row["code"] != 0] == [], (tmp_path / "out/said.txt").read_text()[-3000:]
