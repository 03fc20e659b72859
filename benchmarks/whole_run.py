"""Seconds from the command to the objects, stage by stage: `ns-train` runs as a user starts it, its lines are timed.

    python -m benchmarks.whole_run --data DATASET --masks DATASET/masks/sam

`pip install` alone, tinycudann where it is installed, and stock nerfacto, which needs LPIPS's weights and finds no
objects. A stage ends when the run prints its line; objects.json is looked at when the run has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import tyro

from benchmarks.table import commit, merged
from benchmarks.trainers import VARIANTS, installed
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole

ENDS = {
    "start": "Saving config to",
    "data and model": "No Nerfstudio checkpoint to load",
    "radiance": "surface: ",
    "surface": "Sampling the frozen surface",
    "consensus": "consensus: the masks",
}
"""What a run prints when a stage is over, in the order of the stages; the start is mostly imports."""
OBJECTS, SAVED = "objects", "saving"
"""The stages after them: until objects.json is written for the last time, and until the process ends."""


@dataclass
class WholeRun:
    """Time whole runs."""

    data: Path
    """Dataset."""
    masks: Path | None = None
    """Its masks; by default the newest set."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Which of the variants run; those by tinycudann only where it is installed."""
    iterations: int | None = None
    """Iterations; by default the method's."""
    vis: str = "viewer"
    """nerfstudio's viewer or logger; the viewer is what `ns-train` starts by default."""
    commit: str = ""
    """State of the program; by default git's."""
    output: Path = Path("benchmarks/results/whole_run.json")
    """File of the figures, beside those of other machines, states and variants."""


def stages(lines: Iterable[tuple[float, str]], objects: float | None, end: float) -> dict[str, float]:
    """Seconds that each stage took.

    Args:
        lines: seconds since the command at which the run printed each line, and the lines.
        objects: seconds until objects.json was written; None if the run finds no objects.
        end: seconds until the process ended.
    """
    ends, left = {}, list(ENDS)
    for seconds, line in lines:
        found = next((stage for stage in left if ENDS[stage] in line), None)
        if found is not None:
            ends[found] = seconds
            left = left[left.index(found) + 1 :]
    if objects is None:
        ends["radiance"] = end
    else:
        ends |= {OBJECTS: objects, SAVED: end}
    return {stage: after - before for (stage, after), before in zip(ends.items(), [0.0, *ends.values()])}


def command(variant: str, trial: WholeRun, output: Path) -> list[str]:
    """What a user types."""
    method, implementation = VARIANTS[variant]
    words = [str(Path(sysconfig.get_path("scripts")) / "ns-train")]
    words = [*(words if Path(words[0]).exists() else ["ns-train"]), method, "--data", str(trial.data)]
    words += ["--output-dir", str(output), "--vis", trial.vis, "--viewer.quit-on-train-completion", "True"]
    words += ["--pipeline.model.implementation", implementation]
    if trial.iterations is not None:
        words += ["--max-num-iterations", str(trial.iterations)]
    if method == "nerfacto":
        return words
    if trial.masks is not None:
        words += ["--pipeline.datamanager.masks", str(trial.masks)]
    if implementation == "torch" and find_spec("tinycudann") is not None:
        words += ["--pipeline.model.object-field.implementation", "triton"]
    return words


def timed_lines(process: subprocess.Popen, start: float) -> Iterator[tuple[float, str]]:
    """Lines as they come, with the seconds since the start; lines that end a stage are shown."""
    for line in process.stdout:
        seconds = time.time() - start
        if any(mark in line for mark in ENDS.values()):
            print(f"{seconds:8.1f} s  {line.strip()}", flush=True)
        yield seconds, line


def measure(variant: str, trial: WholeRun) -> dict:
    """A run's seconds: all, to the objects, and of each stage.

    Raises:
        SystemExit: the run failed; its last lines are shown.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TERM": "dumb"}
    with tempfile.TemporaryDirectory() as folder:
        words, start = command(variant, trial, Path(folder)), time.time()
        print(" ".join(words), flush=True)
        process = subprocess.Popen(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        lines = list(timed_lines(process, start))
        failed, end = process.wait(), time.time() - start
        if failed:
            sys.exit("".join(line for _, line in lines[-40:]) + f"{variant}: the run failed")
        manifests = list(Path(folder).rglob("objects.json"))
        objects = manifests[0].stat().st_mtime - start if manifests else None
    return {"seconds": end, "to_objects": objects, "stages": stages(lines, objects, end)}


def main(trial: WholeRun) -> None:
    for variant in trial.variants:
        if not installed(variant):
            print(f"{variant}: not measured, because tinycudann is not installed")
            continue
        key = {"machine": machine(), "commit": trial.commit or commit(), "variant": variant}
        key |= {"data": trial.data.name, "iterations": trial.iterations}
        row = key | measure(variant, trial) | {"versions": versions()}
        print(json.dumps(row, indent=1), flush=True)
        write_whole(trial.output, json.dumps(merged(trial.output, row, tuple(key)), indent=1))


if __name__ == "__main__":
    main(tyro.cli(WholeRun))
