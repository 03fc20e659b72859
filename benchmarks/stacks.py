"""Old and new versions below us: an environment for each row of a table, a smoke test in each, and what came out.

    python -m benchmarks.stacks --folder build/stacks --stacks newest

An environment takes some minutes and 8 GB of disk; one that is there is used again. A Python that is not installed
here, or versions that cannot be installed together, are said in the table. The smoke test trains, saves, opens, edits
and serves a tiny run.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import tyro

from disconerf_ns.files import write_whole

ROOT = Path(__file__).parents[1]
SMOKE = ("tests/test_startup.py", "tests/test_stored_config.py", "tests/viewer/test_strangers.py",
         "tests/test_moved_run.py")  # fmt: skip
TESTS = "pytest", "hypothesis", "beartype"


class Stack(NamedTuple):
    """Versions; an empty one is what pip takes."""

    python: str
    torch: str
    torchvision: str
    numpy: str
    viser: str


STACKS = {
    "oldest": Stack("3.10", "2.6.0", "0.21.0", "1.26.4", "0.2.7"),
    "pinned": Stack("3.11", "2.11.0", "0.26.0", "1.26.4", "0.2.7"),
    "numpy 2": Stack("3.11", "2.11.0", "0.26.0", "2.2.6", "0.2.7"),
    "viser 1": Stack("3.11", "2.11.0", "0.26.0", "1.26.4", "1.0.16"),
    "newest": Stack("3.12", "", "", "2.2.6", "1.0.16"),
}
"""Stacks by name. nerfstudio 1.1.5 runs on older torch too, but we need 2.6, which loads checkpoints without pickles'
code; its own pin of viser is 0.2.7, which those with viser 1 override."""


@dataclass
class Options:
    """Try stacks of versions."""

    folder: Path = Path("build/stacks")
    """Folder of the environments."""
    stacks: tuple[str, ...] = field(default_factory=lambda: tuple(STACKS))
    """Names of the stacks."""
    output: Path = Path("benchmarks/results/stacks.json")
    """File of the outcomes; those of other stacks are kept."""


def installed(stack: Stack, folder: Path) -> str | None:
    """Make an environment; returns why there is none."""
    if (folder / "whole").exists():
        return None
    python = shutil.which(f"python{stack.python}")
    if python is None:
        return f"no python{stack.python} on PATH"
    shutil.rmtree(folder, ignore_errors=True)
    wanted = [f"torch{_pin(stack.torch)}", f"torchvision{_pin(stack.torchvision)}", f"numpy{_pin(stack.numpy)}"]
    last = [f"numpy{_pin(stack.numpy)}", f"viser{_pin(stack.viser)}"]
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
    for command in (
        [python, "-m", "venv", str(folder)],
        [*pip, *wanted[: 2 if stack.numpy.startswith("2") else 3], str(ROOT), *TESTS],
        [*pip, "--no-deps", *last],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["pip failed"])[-1][:200]
    (folder / "whole").touch()
    return None


def _pin(version: str) -> str:
    return f"=={version}" if version else ""


def versions(folder: Path) -> dict[str, str]:
    """Versions that an environment has."""
    names = "torch", "torchvision", "numpy", "viser", "nerfstudio"
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names}}}))"
    return json.loads(subprocess.check_output([str(folder / "bin/python"), "-c", code], text=True))


def tried(folder: Path) -> tuple[str, float]:
    """Last line of the smoke test, and its seconds."""
    start = time.monotonic()
    command = [str(folder / "bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *SMOKE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    lines = (done.stdout + done.stderr).strip().splitlines()
    (folder / "smoke.log").write_text("\n".join(lines))
    outcome = next((line for line in reversed(lines) if re.search(r"\d+ (passed|failed|error)", line)), lines[-1])
    return re.sub(r" in [\d.]+s.*", "", outcome.strip("= ")), time.monotonic() - start


def main(options: Options) -> None:
    if unknown := [name for name in options.stacks if name not in STACKS]:
        sys.exit(f"stacks: there is no {unknown[0]}; choose from {', '.join(STACKS)}.")
    rows = json.loads(options.output.read_text()) if options.output.exists() else {}
    for name in options.stacks:
        folder = options.folder.absolute() / name.replace(" ", "_")
        fault = installed(STACKS[name], folder)
        if fault is not None:
            rows[name] = {**STACKS[name]._asdict(), "smoke test": f"not tried: {fault}"}
        else:
            outcome, seconds = tried(folder)
            rows[name] = {"python": STACKS[name].python, **versions(folder), "smoke test": outcome, "seconds": seconds}
        print(name, json.dumps(rows[name]), flush=True)
        write_whole(options.output, json.dumps(rows, indent=2))


if __name__ == "__main__":
    main(tyro.cli(Options))
