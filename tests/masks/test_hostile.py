"""Masks in hostile places: odd names, data that cannot be written, few file descriptors, no shared memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disconerf_ns.cli import main
from disconerf_ns.masks.store import MaskStore

COMMANDS = """
import os, resource, sys
from multiprocessing import connection
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
reals = os.open
def without_shared_memory(path, *rest, **named):
    if str(path).startswith("/dev/shm"):
        raise FileNotFoundError(2, "No such file or directory", path)
    return reals(path, *rest, **named)
os.open = without_shared_memory
from disconerf_ns.cli import main
data, labels, out = sys.argv[1:]
codes = [
    main(["masks", "--data", data, "--output", out + "/graph", "--workers", "2", "graph"]),
    main(["masks", "convert", labels, "--data", data, "--output", out + "/labels"]),
    main(["masks", "check", "--data", data, "--masks", out + "/labels"]),
]
print(codes, len(os.listdir("/proc/self/fd")))
"""


def dataset(root: Path, count: int) -> tuple[Path, Path]:
    """A dataset and its label images in a folder whose name has spaces and letters that are not ASCII."""
    data, labels = root / "küche 厨房 no 1/my data", root / "küche 厨房 no 1/my labels"
    for number in range(count):
        colors = np.full((24, 32, 3), 40, np.uint8)
        colors[4:20, 4 + number % 8 : 20] = (200, 60, 60)
        for folder, pixels in ((data / "images", colors), (labels, (colors[..., 0] > 99).astype(np.uint8))):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"bild ä {number:03d}.png")
    return data, labels


def test_few_descriptors_no_shared_memory_and_names_of_all_kinds(tmp_path: Path) -> None:
    data, labels = dataset(tmp_path, 80)
    command = [sys.executable, "-c", COMMANDS, str(data), str(labels), str(tmp_path / "öut put")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONUTF8": "1"}, timeout=300)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    codes, descriptors = done.stdout.splitlines()[-1].rsplit(" ", 1)
    assert codes == "[0, 0, 0]" and int(descriptors) < 16
    for name in ("graph", "labels"):
        assert len(MaskStore(tmp_path / "öut put" / name).keys()) == 80


def test_data_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Each command says so before it works, and works with --output elsewhere."""
    data, labels = dataset(tmp_path, 3)
    out = tmp_path / "elsewhere"
    assert main(["masks", "convert", str(labels), "--data", str(data), "--output", str(out / "labels")]) == 0
    real = os.open

    def read_only(path: str, flags: int, *rest: int, **named: int) -> int:
        if str(path).startswith(str(data)) and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(30, "Read-only file system", path)
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", read_only)
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    for command in (
        ["masks", "--data", str(data), "graph"],
        ["masks", "convert", str(labels), "--data", str(data)],
        ["masks", "check", "--data", str(data), "--masks", str(out / "labels"), "--output", str(data / "check.jpg")],
    ):
        assert main(command) == 1
        said = capsys.readouterr().err
        assert "cannot be written (Read-only file system)" in said and "--output" in said and str(data) in said
    assert sorted(tmp_path.rglob("*")) == before
    assert main(["masks", "--data", str(data), "--output", str(out / "graph"), "graph"]) == 0
    assert main(["masks", "check", "--data", str(data), "--masks", str(out / "graph")]) in (0, 1)
    assert (out / "graph_check.jpg").is_file()


def test_a_full_disk_while_masks_are_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The message named no folder."""
    from disconerf_ns.masks import store

    data, labels = dataset(tmp_path, 3)

    def full(path: Path, content: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_whole", full)
    out = tmp_path / "out"
    assert main(["masks", "convert", str(labels), "--data", str(data), "--output", str(out)]) == 1
    assert f"masks: {out} cannot be written (No space left on device)" in capsys.readouterr().err
