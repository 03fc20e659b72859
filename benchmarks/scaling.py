"""Growth of an iteration's time and memory, and of the consensus' time, with each number that they depend on.

    python -m benchmarks.scaling               # minutes on a CPU
    python -m benchmarks.scaling --reference   # around the reference scene, on a GPU

One number at a time is doubled on a synthesised scene. The exponent is the slope in the logarithms: 1 is linear.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.ceilings import fastest
from benchmarks.clock import MemoryPeak, timed
from benchmarks.object_stage import OPTIMIZER, Stage, iterate, seconds
from benchmarks.synthetic import Size, Synthetic
from disconerf_ns.discovery.find import find_consensus
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.field import ObjectFieldConfig
from disconerf_ns.files import write_whole

SMALL = Size(40, 36, 48, 8, 16, 1, field=ObjectFieldConfig(finest=256, log2_table=17), rays_per_batch=8640)
"""Start on a CPU; its surface has as many points as the consensus takes cells from."""
LARGE = Size(views=35, height=130, width=195, masks=15, slots=30, points=1, rays_per_batch=2**14)
"""Start on a GPU; the largest values are about the reference scene's."""
LINEAR = 1.1
"""Exponent up to which growth counts as linear, measured as it is."""


@dataclass
class Scaling:
    """Time growing scenes."""

    reference: bool = False
    """Start at a size for a GPU."""
    doublings: int = 3
    """Times that each number is doubled."""
    axes: tuple[str, ...] = ("views", "pixels", "masks", "slots", "points", "rays_per_batch")
    """The numbers: views, pixels and masks K of a view, slots N, surface points of a ray, rays of an iteration."""
    repeats: int = 9
    """Iterations that are timed, of which the fastest counts."""
    start: Size = field(default_factory=lambda: SMALL)
    """The smallest scene, without --reference."""
    threads: int = 1
    """Threads on the CPU."""
    output: Path = Path("benchmarks/results/scaling.json")
    """File of the figures."""


def grown(size: Size, axis: str, factor: int) -> Size:
    """A scene with one of its numbers larger; pixels grow in rows."""
    if axis == "pixels":
        return replace(size, height=factor * size.height)
    return replace(size, **{axis: factor * getattr(size, axis)})


def measure(size: Size, repeats: int, consensus: bool) -> dict[str, float]:
    """Time of an iteration, most memory beyond the scene's, the scene's own, and the consensus' time."""
    torch.manual_seed(0)
    scene = Synthetic(size)
    scene.model.train()
    stage = Stage(scene.model, scene.next_batch, 0, {})
    with MemoryPeak() as memory:
        once = iterate(stage, OPTIMIZER.setup(list(scene.model.object_field.parameters())))
        took = fastest(once, repeats)
    row = {"ms": 1e3 * took, "mib": memory.mib, "kept_mib": scene.nbytes / 2**20}
    if consensus:
        views = [(surface, view.unpack()) for surface, view in zip(scene.surfaces, scene.views)]
        with timed() as lap:
            find_consensus(views)
        row["consensus_s"] = seconds(lap)
    return row


def exponent(values: list[float], factors: list[float]) -> float:
    """Slope of the values' logarithms over those of the factors."""
    return float(np.polyfit(np.log(factors), np.log(values), 1)[0])


def rows(trial: Scaling) -> Iterator[dict]:
    """Every axis at every size."""
    start = LARGE if trial.reference else trial.start
    measure(start, 1, False)
    for axis in trial.axes:
        for doubling in range(trial.doublings + 1):
            size = grown(start, axis, 2**doubling)
            value = size.height * size.width if axis == "pixels" else getattr(size, axis)
            row = {"axis": axis, "value": value, "factor": 2**doubling}
            yield row | measure(size, trial.repeats, axis in ("views", "masks"))


def exponents(found: list[dict]) -> dict[str, dict[str, float]]:
    """The exponent of each quantity along each axis."""
    result: dict[str, dict[str, float]] = {}
    for axis in dict.fromkeys(row["axis"] for row in found):
        here = [row for row in found if row["axis"] == axis]
        factors = [row["factor"] for row in here]
        names = [name for name in ("ms", "mib", "consensus_s") if name in here[0]]
        result[axis] = {name: exponent([max(row[name], 1e-3) for row in here], factors) for name in names}
    return result


def main(trial: Scaling) -> None:
    torch.set_num_threads(trial.threads)
    found = []
    for row in rows(trial):
        print(" ".join(f"{name} {value:.4g}" if name != "axis" else value for name, value in row.items()), flush=True)
        found.append(row)
    grows = exponents(found)
    facts = {"machine": machine(), "versions": versions(), "rows": found, "exponents": grows}
    write_whole(trial.output, json.dumps(facts, indent=1))
    worst, axis, name = max((value, axis, name) for axis, some in grows.items() for name, value in some.items())
    print(f"largest exponent {worst:.2f}, of {name} over {axis}: {'linear' if worst <= LINEAR else 'MORE than linear'}")


if __name__ == "__main__":
    main(tyro.cli(Scaling))
