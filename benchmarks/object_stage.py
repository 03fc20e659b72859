"""The object stage's time, part by part, beside what the machine could do at best.

    python -m benchmarks.object_stage --reference                              # a GPU: the reference scene at full size
    python -m benchmarks.object_stage --reference --matching view              # whole views, matched as in the paper
    python -m benchmarks.object_stage --run outputs/table/disconerf-small/TIME/config.yml --data examples/table

The reference scene is synthesised: 279 views of 779 x 519, 60 masks, 120 slots, and in 2000 iterations 131,072 rays of
all views, or 5 whole views. Every part is run by itself on the same batch, forward and backward, and then all of them
as one iteration of training, on a GPU as a CUDA graph where rays are drawn. A part's floor is what it has to move, look
up or multiply, divided by the rate that torch's own operations reach here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import tyro
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor
from torch.amp import GradScaler

from benchmarks.ceilings import Ceilings, fastest, measure
from benchmarks.clock import peak_mib, timed
from benchmarks.runs import UNKNOWN, load
from benchmarks.synthetic import Size, Synthetic
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.field import ObjectField
from disconerf_ns.files import write_whole
from disconerf_ns.method import disconerf
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.rendering.rays import in_chunks, render_surface
from disconerf_ns.training import objective
from disconerf_ns.training.batch import ObjectBatch
from disconerf_ns.training.captured import EAGER_STEPS, CapturedSteps, StepResults
from disconerf_ns.training.object_outputs import consensus_loss

OPTIMIZER = disconerf.config.optimizers["object_field"]["optimizer"]


@dataclass
class ObjectStage:
    """Time the object stage's parts."""

    run: Path | None = None
    """config.yml of a disconerf run whose frozen radiance field is used."""
    data: Path | None = None
    """Its dataset, where it is not the run's."""
    reference: bool = False
    """Take the synthesised scene instead of a run."""
    size: Size = field(default_factory=Size)
    """Size of the synthesised scene."""
    matching: str = "scene"
    """Partners of the masks in the matching, "scene" or "view"."""
    iterations: int = 2000
    """Iterations of the whole stage, whose time follows from those that are timed."""
    timed: int = 20
    """Iterations that are timed: the fastest is set beside the parts, the mean makes up the stage."""
    repeats: int = 5
    """Measurements of each part, of which the fastest counts."""
    cache_rays: int = 2**16
    """Rays by which the surface's sampling is timed on the synthesised scene, with a radiance field of that size."""
    threads: int = 1
    """Threads on the CPU."""
    output: Path = Path("benchmarks/results/object_stage.json")
    """File of the figures, beside those of other scenes and machines."""


@dataclass
class Part:
    """A part of an iteration, and what it cannot do without."""

    run: Callable[[], object]
    moved: float = 0.0
    """Bytes read and written at least."""
    gathered: float = 0.0
    """Pairs of the grid's features read."""
    scattered: float = 0.0
    """Features of the grid added to."""
    flop: float = 0.0
    """Multiplications and additions of matrices."""

    def floor(self, best: Ceilings) -> float:
        """Seconds that it takes at best: these go on side by side."""
        return 1e-9 * max(
            self.moved / best.copy_gb_s,
            self.gathered / best.gathered_g_s + self.scattered / best.scattered_g_s,
            self.flop / best.gflop_s,
        )


@dataclass
class Stage:
    """An object stage that is ready to begin."""

    model: DiscoNerfModel
    next_batch: Callable[[], ObjectBatch]
    rays: int
    """Rays of all views."""
    before: dict[str, float]
    """Seconds of what comes before the first iteration."""
    draws_rays: bool = False
    """Whether iterations draw rays, so that a CUDA graph can hold them."""


def seconds(lap) -> float:
    """The time of a lap that counts: processor time on a CPU, the clock on a GPU."""
    return lap.seconds if torch.cuda.is_available() else lap.cpu_seconds


def autocast():
    """Mixed precision, as `disconerf` trains on a GPU."""
    return torch.autocast("cuda", dtype=torch.float16) if torch.cuda.is_available() else nullcontext()


# -------------------------------------------------------------------- scenes


def synthesised(trial: ObjectStage) -> Stage:
    """The reference scene, and how long its surface would take to sample with nerfacto's networks."""
    scene = Synthetic(trial.size, trial.matching == "scene")
    rays = trial.size.views * trial.size.height * trial.size.width
    directions = torch.nn.functional.normalize(torch.randn(trial.cache_rays, 3, device=scene.device), dim=-1)
    zeros = torch.zeros(trial.cache_rays, 1, device=scene.device)
    bundle = RayBundle(-0.5 * directions, directions, zeros + 1e-6, camera_indices=zeros.long())
    config, radiance = scene.model.config, scene.model.current.value.trained.radiance
    with scene.model.still(), autocast():
        surface = lambda some: render_surface(radiance, some, config.surface_points)
        sample = lambda: in_chunks(surface, bundle, config.eval_num_rays_per_chunk, scene.device)
        before = {"surface": fastest(sample, 2) * rays / trial.cache_rays}
    return Stage(scene.model, scene.next_batch, rays, before, scene.rays is not None)


def trained(trial: ObjectStage) -> Stage:
    """A run's own scene."""
    if trial.run is None:
        raise SystemExit("benchmarks.object_stage needs --run with a config.yml, or --reference.")
    pipeline = load(trial.run, trial.data)
    model, before = pipeline.model, {}
    model.slots_by_masks = trial.matching == "scene"
    model.agree_on(UNKNOWN)
    with timed() as lap:
        pipeline.object_stage.surfaces = pipeline.object_stage.sample_surfaces(pipeline.folder)
    before["surface"] = seconds(lap)
    if trial.matching == "scene":
        with timed() as lap:
            pipeline.object_stage.explanations = pipeline.object_stage.explain_masks()
        before["consensus"] = seconds(lap)
    else:
        model.object_field.resize(pipeline.datamanager.train_dataset.metadata["slots"])
    rays = sum(len(surface) for surface in pipeline.object_stage.surfaces)
    return Stage(model, pipeline.object_stage.next_batch, rays, before, pipeline.object_stage.draws_rays)


# -------------------------------------------------------------------- parts


def both_ways(run: Callable[[], Tensor], learned: list[Tensor]) -> Callable[[], object]:
    """A forward and a backward pass."""
    upstream = torch.ones_like(run())
    return lambda: torch.autograd.grad(run(), learned, upstream)


def parts(stage: Stage, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Part]]:
    """The parts of an iteration, one batch through all of them."""
    model, batch = stage.model, stage.next_batch()
    net, config = model.object_field, model.config
    consensus, by_scene = model.consensus, batch.targets is not None
    points, groups = consensus.draw_points(config.consensus_batch) if by_scene else (consensus.points[:0], None)
    positions = batch.surface.positions.flatten(0, 1)
    every = torch.cat([positions, points])
    n, rays, slots, masks = len(every), len(batch.surface), net.slots, batch.masks.shape[2]
    half = 2 if torch.cuda.is_available() else 4
    inputs, width = net.grid.out_dim, config.object_field.hidden_dim
    levels, tables = config.object_field.levels, list(net.grid.parameters())
    weights = sum(p.numel() for p in net.parameters())

    bits = rays * masks / 8
    yield "views, masks", Part(stage.next_batch, moved=6 * n + 3 * rays + 2 * bits + half * rays * masks)
    corners = 8 * levels * n
    yield (
        "encode",
        Part(
            both_ways(lambda: net.grid(every), tables),
            moved=24 * n + 2 * half * inputs * n,
            gathered=corners,
            scattered=corners * config.object_field.features_per_level,
        ),
    )
    features = net.grid(every).detach().requires_grad_()
    hidden_layers = net.mlp[:-1]
    yield (
        "MLP",
        Part(
            both_ways(lambda: hidden_layers(features), [features, *hidden_layers.parameters()]),
            moved=half * n * (3 * inputs + 3 * width),
            flop=6 * n * width * (inputs + width),
        ),
    )
    hidden = hidden_layers(features).detach().requires_grad_()
    surface_hidden = hidden[: len(positions)].detach().requires_grad_()
    accumulation = batch.surface.accumulation
    yield (
        "composite",
        Part(
            both_ways(lambda: net.composite(surface_hidden, accumulation), [surface_hidden, *net.mlp[-1].parameters()]),
            moved=3 * half * len(positions) * width + 8 * rays * slots,
            flop=8 * len(positions) * width * slots,
        ),
    )
    image = net.composite(surface_hidden, accumulation).detach().unflatten(0, batch.accumulation.shape)
    image.requires_grad_()
    real = batch.real
    targets = batch.targets or matching(image, batch)
    counts = real.sum(1)
    yield (
        "losses",
        Part(
            both_ways(lambda: sum(objective.mask_losses(image, batch.masks, targets, counts, batch.pixels)), [image]),
            moved=8 * rays * slots + half * rays * masks,
            flop=6 * rays * masks * slots,
        ),
    )
    if not by_scene:
        yield (
            "affinity, Hungarian",
            Part(
                lambda: matching(image, batch),
                moved=4 * rays * slots + half * rays * masks,
                flop=2 * rays * masks * slots,
            ),
        )
    else:
        sampled = hidden[len(positions) :].detach().requires_grad_()
        yield (
            "consensus loss",
            Part(
                lambda: (
                    consensus.draw_points(config.consensus_batch),
                    both_ways_of_consensus(net, sampled, groups),
                ),
                moved=8 * len(sampled) * slots,
            ),
        )
    edges = 4 * config.tv_cells * levels
    yield (
        "total variation",
        Part(
            lambda: torch.autograd.grad(net.total_variation(positions[batch.choose(config.tv_cells)]), tables),
            gathered=edges,
            scattered=edges * config.object_field.features_per_level,
        ),
    )
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    yield "optimizer", Part(optimizer.step, moved=28 * weights)


def both_ways_of_consensus(net: ObjectField, hidden: Tensor, groups: Tensor) -> object:
    """The consensus loss and its gradient."""
    return torch.autograd.grad(consensus_loss(net, hidden, groups), [hidden, *net.mlp[-1].parameters()])


def matching(image: Tensor, batch: ObjectBatch) -> objective.MaskTargets:
    """The views' masks matched one to one with the slots."""
    return objective.PendingMatching(objective.affinity(image, batch.masks), batch.real).result(batch.counts)


def iterate(stage: Stage, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """One iteration of training, as the trainer does it."""
    scaler, captured = GradScaler(enabled=torch.cuda.is_available()), CapturedSteps()
    learned = list(stage.model.object_field.parameters())

    def differentiate() -> StepResults:
        with autocast():
            losses = stage.model.get_loss_dict(stage.model(stage.next_batch()), {})
            loss = sum(losses.values())
        scaler.scale(loss).backward()
        return StepResults(loss.detach(), {}, {})

    def once() -> None:
        optimizer.zero_grad()
        if stage.draws_rays and torch.cuda.is_available():
            captured.run("objects", differentiate, learned)
        else:
            differentiate()
        scaler.step(optimizer)
        scaler.update()

    return once


def table(stage: Stage, trial: ObjectStage, best: Ceilings) -> dict:
    """Times of the parts and of whole iterations."""
    stage.model.train()
    optimizer = OPTIMIZER.setup(list(stage.model.object_field.parameters()))
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    rows = []
    with autocast():
        for name, part in parts(stage, optimizer):
            took, floor = fastest(part.run, trial.repeats), part.floor(best)
            rows.append({"part": name, "ms": 1e3 * took, "floor_ms": 1e3 * floor})
            rows[-1] |= {"gb_s": 1e-9 * part.moved / took, "gflop_s": 1e-9 * part.flop / took}
    once = iterate(stage, optimizer)
    for _ in range(EAGER_STEPS + 2):
        once()
    laps = []
    for _ in range(trial.timed):
        with timed() as lap:
            once()
        laps.append(seconds(lap))
    whole = min(laps)
    rest = 1e3 * whole - sum(row["ms"] for row in rows)
    floor = sum(row["floor_ms"] for row in rows)
    batch = stage.next_batch()
    points = batch.packed[..., 0].numel()
    return {
        "rows": rows,
        "iteration": {"ms": 1e3 * whole, "rest_ms": rest, "floor_ms": floor, "samples_per_second": points / whole},
        "mean_ms": 1e3 * sum(laps) / len(laps),
        "batch": {"rays": points // batch.packed.shape[2], "points": points, "masks": batch.masks.shape[2]},
        "slots": stage.model.object_field.slots,
    }


def main(trial: ObjectStage) -> None:
    torch.set_num_threads(trial.threads)
    stage = synthesised(trial) if trial.reference else trained(trial)
    best = measure(2**stage.model.config.object_field.log2_table, trial.repeats)
    found = table(stage, trial, best)
    iterations = trial.iterations * found["mean_ms"] / 1e3
    facts = {
        "scene": "reference" if trial.reference else (trial.data or trial.run).name,
        "matching": trial.matching,
        "machine": machine(),
        "versions": versions(),
        "size": {key: value for key, value in asdict(trial.size).items() if trial.reference},
        "implementation": type(stage.model.object_field.grid).__name__,
        "ceilings": asdict(best),
        **found,
        "stage": {**stage.before, "iterations": iterations, "all": sum(stage.before.values()) + iterations},
        "rays": stage.rays,
        "peak_mib": peak_mib(),
    }
    earlier = json.loads(trial.output.read_text()) if trial.output.exists() else []
    keys = ("scene", "matching", "machine")
    kept = [other for other in earlier if any(other[key] != facts[key] for key in keys)]
    write_whole(trial.output, json.dumps([*kept, facts], indent=1))
    for row in found["rows"]:
        print(f"{row['part']:20} {row['ms']:9.2f} ms, floor {row['floor_ms']:8.2f} ms, {row['gb_s']:8.2f} GB/s")
    whole = found["iteration"]
    print(f"an iteration {whole['ms']:.2f} ms, {whole['ms'] / whole['floor_ms']:.1f} times its floor")
    print(", ".join(f"{name} {value:.1f} s" for name, value in facts["stage"].items()), f"{facts['peak_mib']:.0f} MiB")


if __name__ == "__main__":
    main(tyro.cli(ObjectStage))
