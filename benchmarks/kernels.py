"""The object field's kernels in torch, Triton and tinycudann: one iteration on the reference scene.

    python -m benchmarks.kernels

Needs a CUDA GPU. Everything runs under autocast as in training. Bytes are what a kernel touches at least: positions,
features and gradients once, and an entry of the grid for each corner, most of which caches hold.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn

from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole
from disconerf_ns.kernels import composite
from disconerf_ns.kernels.hash_grid import TcnnHashGrid, TorchHashGrid
from disconerf_ns.surface.samples import render_slots

BOUND = 1.5
"""Triton is kept where the grid's forward and backward take at most this times tinycudann's."""


@dataclass
class Kernels:
    """Time the hash grid, its total variation and the fused last layer."""

    rays: int = 5 * 779 * 519
    """Rays of one iteration."""
    points: int = 2
    """Points per ray."""
    levels: int = 8
    """Levels of the grid."""
    coarsest: int = 16
    """Cells per axis of the coarsest level."""
    finest: int = 512
    """Cells per axis of the finest level."""
    log2_table: int = 19
    """Each level has at most 2^log2_table entries."""
    features: int = 2
    """Features per entry."""
    width: int = 32
    """Hidden features."""
    slots: int = 120
    """Object slots."""
    tv_cells: int = 8192
    """Cells of the total variation."""
    repeats: int = 20
    """Measurements, of which the median counts."""
    output: Path = Path("benchmarks/results/kernels.json")
    """File of the figures."""


def surface_points(rays: int, points: int, device: str) -> Tensor:
    """Points on a wavy sphere in the unit cube, (rays x points, 3); neighbouring rays hit neighbouring places."""
    side = math.ceil(math.sqrt(rays))
    index = torch.arange(rays, device=device)
    u, v = index % side / side, index // side / side
    azimuth, height = 2 * math.pi * u, 2 * v - 1
    ring = (1 - height**2).clamp(min=0).sqrt()
    direction = torch.stack([ring * azimuth.cos(), ring * azimuth.sin(), height], -1)
    radius = 0.35 + 0.05 * (9 * azimuth).sin() * (7 * height).cos()
    depth = radius[:, None] + 0.004 * torch.arange(points, device=device)
    return (0.5 + depth[..., None] * direction[:, None]).flatten(0, 1)


def seconds(run: Callable[[], object], repeats: int, device: str) -> float:
    """Median time of a run after two that don't count (compilation, caches)."""
    times = []
    for _ in range(repeats + 2):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def peak_gib(run: Callable[[], object], device: str) -> float | None:
    """Most memory that a run takes beyond what was there before."""
    if device != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**30


def uneven(result: Tensor) -> Tensor:
    """A gradient for a result: random, so that it differs between neighbouring slots of a ray. One that changes slowly
    is nearly the same for all slots of a ray; then softmax's gradient is 0 in half precision, and an error relative to
    it is infinite."""
    generator = torch.Generator(result.device).manual_seed(0)
    return torch.randn(result.shape, generator=generator, device=result.device).to(result.dtype)


def both_ways(
    run: Callable[[], Tensor], learned: list[Tensor], moved: tuple[float, float], trial: Kernels, device: str
) -> tuple[dict, list[Tensor]]:
    """Times of the forward and the backward pass, GB/s of the bytes that each moves, memory; value and gradients."""
    result = run()
    upstream = uneven(result)

    def backward() -> object:
        return torch.autograd.grad(result, learned, upstream, retain_graph=True)

    row = {"forward_ms": 1e3 * seconds(run, trial.repeats, device)}
    row |= {"backward_ms": 1e3 * seconds(backward, trial.repeats, device)}
    row |= {f"{way}_gb_s": size / row[f"{way}_ms"] / 1e6 for way, size in zip(("forward", "backward"), moved)}
    peak = peak_gib(lambda: torch.autograd.grad(run(), learned, upstream), device)
    return row | {"peak_gib": peak}, [result, *backward()]


def relative_error(results: list[Tensor], expected: list[Tensor]) -> float:
    """Largest difference in value or gradient, relative to each tensor's largest entry."""
    differences = ((a.float() - b.float()).abs().max() / b.float().abs().max() for a, b in zip(results, expected))
    return max(float(difference) for difference in differences)


def grids(trial: Kernels, device: str) -> dict[str, nn.Module]:
    """The same grid by everything that there is, tinycudann's with entries of its own."""
    from disconerf_ns.kernels.grid import TritonHashGrid

    shape = trial.levels, trial.coarsest, trial.finest, trial.log2_table, trial.features
    found = {"torch": TorchHashGrid(*shape), "triton": TritonHashGrid(*shape)}
    found["torch"].randomize(trial.levels)
    found["triton"].load_state_dict(found["torch"].state_dict())
    try:
        found["tcnn"] = TcnnHashGrid(*shape)
    except (ImportError, OSError) as error:
        print(f"tinycudann can't be measured: {error}")
    return {name: grid.to(device) for name, grid in found.items()}


def measure_grids(trial: Kernels, device: str) -> list[dict]:
    """Encoding and total variation, where neighbouring rays hit neighbouring places and where they don't."""
    near = surface_points(trial.rays, trial.points, device)
    count, corners, out = len(near), 8 * trial.levels * trial.features, trial.levels * trial.features
    rows = []
    for places, positions in (("surface", near), ("random", torch.rand_like(near))):
        chosen = positions[torch.randint(count, (trial.tv_cells,), device=device)]
        expected = {}
        for name, grid in grids(trial, device).items():
            learned, entry = list(grid.parameters()), 4 if name == "torch" else 2
            moved = count * (12 + entry * (corners + out)), count * (12 + entry * out + 4 * corners)
            edges = 4 * trial.tv_cells * trial.levels * trial.features * 4
            parts = {
                "grid": (lambda grid=grid, positions=positions: grid(positions), moved, True),
                "tv": (lambda grid=grid, chosen=chosen: grid.total_variation(chosen), (edges, 2 * edges), False),
            }
            for part, (run, size, half) in parts.items():
                with torch.autocast(device, dtype=torch.float16, enabled=half):
                    row, results = both_ways(run, learned, size, trial, device)
                expected.setdefault(part, results)
                error = None if name == "tcnn" else relative_error(results, expected[part])
                rows.append({"part": part, "points": places, "by": name} | row | {"error": error})
                print(rows[-1], flush=True)
    return rows


def measure_head(trial: Kernels, device: str) -> list[dict]:
    """Last layer, softmax and sum along the ray: as separate operations, in torch by chunks, and in Triton."""
    from disconerf_ns.kernels import composite_triton

    count = trial.rays * trial.points
    hidden = torch.randn(count, trial.width, device=device, dtype=torch.float16, requires_grad=True)
    last, accumulation = nn.Linear(trial.width, trial.slots).to(device), torch.rand(trial.rays, device=device)
    learned = [hidden, last.weight, last.bias]
    moved = 2 * count * trial.width + 4 * trial.rays * trial.slots
    ways = {
        "separate": lambda: render_slots(last(hidden).float().softmax(-1), accumulation),
        "torch": lambda: composite.composite(hidden, last.weight, last.bias, accumulation),
        "triton": lambda: composite_triton.composite(hidden, last.weight, last.bias, accumulation),
    }
    rows, expected = [], None
    for name, run in ways.items():
        with torch.autocast(device, dtype=torch.float16):
            row, results = both_ways(run, learned, (moved, moved + 2 * count * trial.width), trial, device)
        expected = expected or results
        rows.append({"part": "head", "by": name} | row | {"error": relative_error(results, expected)})
        print(rows[-1], flush=True)
    return rows


def copy_gb_s(trial: Kernels, device: str, elements: int = 2**28) -> float:
    """Bandwidth of copying float32 numbers, read and written: the ceiling."""
    source = torch.zeros(elements, device=device)
    target = torch.empty_like(source)
    return 8 * elements / seconds(lambda: target.copy_(source), trial.repeats, device) / 1e9


def verdict(rows: list[dict]) -> str:
    """A sentence: is Triton's grid near enough to tinycudann's, with points on surfaces as in training?"""
    times = {
        row["by"]: row["forward_ms"] + row["backward_ms"]
        for row in rows
        if row["part"] == "grid" and row["points"] == "surface"
    }
    if "tcnn" not in times:
        return f"tinycudann was not measured: triton takes {times['triton'] / times['torch']:.3f} of torch's time"
    ratio = times["triton"] / times["tcnn"]
    return f"triton takes {ratio:.2f} of tinycudann's time: {'within' if ratio <= BOUND else 'beyond'} {BOUND}"


def installed(*packages: str) -> dict[str, str]:
    """Versions of those packages that are there."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def main(trial: Kernels) -> None:
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks.kernels measures a CUDA GPU, and torch finds none.")
    rows = measure_grids(trial, "cuda") + measure_head(trial, "cuda")
    size = {key: value for key, value in vars(trial).items() if key != "output"}
    facts = {"machine": machine(), "versions": versions() | installed("triton", "tinycudann"), "size": size}
    facts |= {"copy_gb_s": copy_gb_s(trial, "cuda"), "rows": rows, "verdict": verdict(rows)}
    write_whole(trial.output, json.dumps(facts, indent=1))
    print(facts["verdict"])


if __name__ == "__main__":
    main(tyro.cli(Kernels))
