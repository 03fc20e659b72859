"""Training, commands and viewer where little works: places are made in namespaces of their own and proven hostile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from tiny_run import Run

PROGRAM = Path(__file__).with_name("hostile.py")
NAMESPACES = ["unshare", "--mount", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]


class Place(NamedTuple):
    """Something that does not work, as lines of a shell whose first two arguments are the data and a folder."""

    make: str
    proof: str
    """Fails where the place is as usual."""


PLACES = {
    "no network": Place("", 'test "$(wc -l < /proc/net/dev)" = 3  # two lines of titles, and lo'),
    "data that cannot be written": Place(
        'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"', '! touch "$1/x" 2> /dev/null'
    ),
    "no home": Place(
        "export HOME=/proc/nowhere; unset XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME TORCH_HOME MPLCONFIGDIR",
        '! mkdir "$HOME" 2> /dev/null',
    ),
    "a small /dev/shm": Place(
        "mount -t tmpfs -o size=64k tmpfs /dev/shm", "! head -c 99999 /dev/zero 2> /dev/null > /dev/shm/x"
    ),
    "few descriptors": Place("ulimit -n 64", 'test "$(ulimit -n)" = 64'),
}
ALL = tuple(PLACES)
ONE_BY_ONE = [pytest.param((name,), id=name, marks=pytest.mark.slow) for name in PLACES]


def run_in(places: tuple[str, ...], data: Path, *arguments: str | Path) -> str:
    """What the program says in these places at once."""
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode:
        pytest.skip("this process may not have namespaces of its own, in which places are made")
    lines = ["set -e", "shopt -s nullglob", *(PLACES[name].make for name in places)]
    lines += [f"{{ {PLACES[name].proof}\n}} || {{ echo 'not hostile: {name}'; exit 9; }}" for name in places]
    lines += ["rm -f /dev/shm/x", 'shift; exec "$@"']
    program = [sys.executable, str(PROGRAM), *map(str, arguments)]
    command = [*NAMESPACES, "bash", "-c", "\n".join(lines), "place", str(data), *program]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROGRAM.parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "Traceback" not in said, said[-5000:]
    return said


@pytest.fixture
def data(scene: Path, tmp_path: Path) -> Path:
    """The scene in a folder whose name has spaces, quotes and letters that are not ASCII."""
    return shutil.copytree(scene, tmp_path / "küche 厨房 no 1" / "Anna's data")


@pytest.mark.parametrize("places", [pytest.param(ALL, id="all at once"), *ONE_BY_ONE])
def test_training_commands_and_viewer(places: tuple[str, ...], run: Run, data: Path) -> None:
    """A run is trained with its viewer open. Each command is run twice on another one, into the same folder."""
    root = data.parent
    folder, before = shutil.copytree(run.folder, root / "my run"), sorted(data.rglob("*"))
    said = run_in(places, data, data, folder, root / "öut put")
    done = [line for line in said.splitlines() if line.startswith("done:")]
    commands = [f"done: {name} {time}" for name in ("objects", "render", "export") for time in ("first", "second")]
    assert done == ["done: training", *commands, "done: viewer"]
    assert sorted(data.rglob("*")) == before
    assert {path.name for path in (root / "öut put").iterdir()} == {"films", "objects", "runs"}
    assert "küche 厨房" in json.loads((folder / "edit.json").read_text())["names"].values()
    (trained,) = (root / "öut put/runs").glob("*/*/one")
    assert (trained / "objects.json").exists()
    assert [path.name for path in (trained / "nerfstudio_models").iterdir()] == ["step-000000011.ckpt"]
