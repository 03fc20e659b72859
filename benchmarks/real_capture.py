"""Commands of README on a real capture without labels: exit codes, times, and what they found.

    python -m benchmarks.real_capture --data CAPTURE --parser "nerfstudio-data --downscale-factor 1"

Masks are made from image edges (`graph`), which needs no weights. The capture is only read.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import tyro

from benchmarks.table import commit
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole
from disconerf_ns.masks import report
from disconerf_ns.masks.store import MaskStore

RUN = Path("runs/capture/disconerf-small/1")
"""Where `ns-train` writes the run, in the output folder."""
CONFIG = RUN / "config.yml"


@dataclass
class RealCapture:
    """Run the commands on a capture."""

    data: Path
    """Dataset."""
    output: Path
    """Folder for all that the commands write; an empty one."""
    parser: str = ""
    """nerfstudio's dataparser with its options; by default the method's."""
    iterations: int = 1200
    """Iterations of the run."""
    object_iterations: int = 400
    """How many of them are the object stage's."""
    results: Path = Path("benchmarks/results/real_capture.json")
    """File of the record."""


class Command(NamedTuple):
    """What a user types, and what is looked at afterwards."""

    words: str
    found: Callable[[Path], dict] = lambda output: {}
    """Facts of the files that it wrote into the output folder."""


def commands(trial: RealCapture) -> Iterator[Command]:
    """The commands in their order, each run in the output folder."""
    data, run, parser = shlex.quote(str(trial.data.resolve())), f"--load-config {CONFIG}", trial.parser
    train = (
        f"ns-train disconerf-small --data {data} --output-dir runs --vis tensorboard --pipeline.datamanager.masks masks"
    )
    objects = f"--pipeline.object-iterations {trial.object_iterations}"
    longer, small = trial.iterations + 5, "--frames 8 --resolution 128"
    yield Command(f"disconerf masks --data {data} --output masks graph", masks)
    yield Command(f"disconerf masks check --data {data} --masks masks")
    yield Command(
        f"{train} --experiment-name capture --timestamp 1 --max-num-iterations {trial.iterations} {objects} {parser}",
        lambda output: discovered(output / RUN),
    )
    yield Command(f"disconerf objects {run}")
    yield Command(f"ns-eval {run} --output-path eval.json", lambda output: scores(output / "eval.json"))
    yield Command(
        f"ns-render dataset {run} --split test --output-path views --rendered-output-names rgb objects_overlay",
        lambda output: pictures(output / "views"),
    )
    yield Command(f"disconerf render {run} --objects object_00 object_01 --output-dir films {small}")
    yield Command(f"disconerf export {run} --objects object_00 object_01 --output-dir exports")
    yield Command(f"disconerf export splats {run} --output-dir splats")
    yield Command(
        f"ns-export pointcloud {run} --output-dir cloud --normal-method open3d --num-points 20000",
        lambda output: points(output / "cloud/point_cloud.ply"),
    )
    yield Command(f"disconerf report {run} --output report.html --frames 4 --size 64")
    yield Command(f"disconerf objects hide object_01 {run}")
    yield Command(
        f"ns-render dataset {run} --split test --output-path without --rendered-output-names edited unseen",
        lambda output: pictures(output / "without"),
    )
    yield Command(f"disconerf objects undo {run}")
    yield Command(
        f"{train} --experiment-name resumed --timestamp 1 --load-dir {RUN / 'nerfstudio_models'} "
        f"--max-num-iterations {longer} {objects} {parser}"
    )
    yield Command(
        f"{train} --experiment-name again --timestamp 1 --pipeline.radiance-field {CONFIG} "
        f"--max-num-iterations 20 --pipeline.object-iterations 20 {parser}"
    )


def masks(output: Path) -> dict:
    """Masks of a view, and how much of it they cover: the least and the most of all views."""
    store = MaskStore.open(output / "masks")
    views = report.measure(store, store.keys())
    counts, covered = [view.count for view in views], [view.coverage for view in views]
    return {"views": len(views), "masks": [min(counts), max(counts)], "covered": [min(covered), max(covered)]}


def discovered(run: Path) -> dict:
    """Objects of a run."""
    return {"objects": len(json.loads((run / "objects.json").read_text())["objects"])}


def scores(file: Path) -> dict:
    """What `ns-eval` says of the held-out views."""
    said = json.loads(file.read_text())["results"]
    return {name: said[name] for name in ("psnr", "ssim")}


def points(file: Path) -> dict:
    """Points of a PLY file, as its header says."""
    header = file.read_bytes().split(b"end_header")[0].decode()
    return {"points": int(header.split("element vertex")[1].split()[0])}


def pictures(folder: Path) -> dict:
    """Number of pictures."""
    return {"pictures": len(list(folder.rglob("*.jpg")))}


def measure(command: Command, output: Path) -> dict:
    """Exit code and seconds of a command, and what it found; what it says is kept in `said.txt`."""
    scripts = sysconfig.get_path("scripts")
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "TERM": "dumb"}
    start = time.perf_counter()
    with (output / "said.txt").open("a") as said:
        print(f"$ {command.words}", file=said, flush=True)
        code = subprocess.run(
            shlex.split(command.words), cwd=output, env=environment, stdout=said, stderr=subprocess.STDOUT, check=False
        ).returncode
    seconds = time.perf_counter() - start
    return {"code": code, "seconds": seconds} | ({} if code else command.found(output))


def main(trial: RealCapture) -> None:
    trial.output.mkdir(parents=True)
    record = {"data": trial.data.name, "machine": machine(), "commit": commit(), "versions": versions()}
    rows = []
    for command in commands(trial):
        shown = command.words.replace(str(trial.data.resolve()), trial.data.name)
        rows.append({"command": shown} | measure(command, trial.output))
        print(json.dumps(rows[-1]), flush=True)
        write_whole(trial.results, json.dumps(record | {"commands": rows}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(RealCapture))
