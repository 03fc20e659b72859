"""Object stages that draw rays beside those that take whole views, on the same frozen surface with the same masks.

    python -m benchmarks.object_rays --run outputs/room/disconerf-small/TIME/config.yml --data data/room

Every set of masks is explained once; then the object field is trained anew for each number of rays and each seed, and
scored on the held-out views. Figures are written after each of them, and what is in the file already is not done again.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro

from benchmarks.clock import timed
from benchmarks.object_stage import seconds
from benchmarks.quality import Quality, Stage, show
from benchmarks.report import BRIEF, spread
from benchmarks.scoring import METRICS
from benchmarks.variants import VARIANTS, Variant, train
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.evaluation.scores import evaluate
from disconerf_ns.files import write_whole


@dataclass
class ObjectRays:
    """Score object stages by the number of rays in an iteration."""

    run: Path
    """config.yml of a disconerf run whose radiance field is used."""
    data: Path
    """Its dataset, with true labels in `labels/` and sets of masks in `masks/`."""
    masks: tuple[str, ...] = ("middle", "heavy")
    """Sets of masks."""
    rays: tuple[int, ...] = (0, 4096)
    """Numbers of rays in an iteration; 0 takes whole views."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of each."""
    iterations: int = 400
    """Iterations of each training."""
    downscale: int = 2
    """Held-out views are scored at 1 / downscale of their size."""
    threads: int = 1
    """Threads on the CPU."""
    output: Path = Path("benchmarks/results/object_rays.json")
    """File of the figures, beside those of other scenes."""


KEYS = ("scene", "masks", "rays", "seed")
"""Fields that say what a row of figures is about."""


def score(trial: ObjectRays, stage: Stage, rays: int, seed: int) -> dict:
    """Train an object field, and how good its objects are."""
    pipeline = stage.prepare(Variant())
    pipeline.config.datamanager.rays_per_batch = rays
    with timed() as lap:
        found = train(pipeline, VARIANTS["scene"], trial.iterations, seed)
    objects, store = show(pipeline, "scene", found), pipeline.datamanager.store
    scores = asdict(evaluate(pipeline, trial.data / "labels", store, downscale=trial.downscale, metrics=METRICS))
    return {"objects": objects, "ms": 1e3 * seconds(lap) / trial.iterations, "scores": scores}


def table(rows: list[dict]) -> list[str]:
    """Lines with means, and least and most, of each scene, set of masks and number of rays over the seeds."""
    lines = ["| scene, masks | rays | IoU | SBD | scene IoU | ms an iteration |", "|---" * 6 + "|"]
    about = lambda row: tuple(row[key] for key in KEYS[:3])
    for (scene, masks, rays), group in itertools.groupby(sorted(rows, key=about), about):
        some = list(group)
        scores = [spread([row["scores"][part][metric] for row in some]) for part, metric in BRIEF]
        ms = sum(row["ms"] for row in some) / len(some)
        lines.append(f"| {scene}, {masks} | {rays or 'whole views'} | {' | '.join(scores)} | {ms:.1f} |")
    return lines


def main(trial: ObjectRays) -> None:
    torch.set_num_threads(trial.threads)
    rows = json.loads(trial.output.read_text())["rows"] if trial.output.exists() else []
    done, surfaces = {tuple(row[key] for key in KEYS) for row in rows}, {}
    of_quality = Quality(trial.run, trial.data)
    for masks in trial.masks:
        stage = Stage(of_quality, masks, surfaces)
        for rays, seed in itertools.product(trial.rays, trial.seeds):
            key = (trial.data.name, masks, rays, seed)
            if key in done:
                continue
            rows.append(dict(zip(KEYS, key)) | score(trial, stage, rays, seed))
            facts = {"machine": machine(), "versions": versions(), "iterations": trial.iterations}
            write_whole(trial.output, json.dumps({**facts, "downscale": trial.downscale, "rows": rows}, indent=1))
            print("\n".join(table(rows)), flush=True)


if __name__ == "__main__":
    main(tyro.cli(ObjectRays))
