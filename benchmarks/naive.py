"""The object stage beside the paper's own way, in one run on one frozen radiance field.

    python -m benchmarks.naive --run outputs/table/disconerf-small/TIME/config.yml --data examples/table

The paper samples the NeRF again at every iteration, here as nerfstudio does, evaluates the object field at all samples,
compares every mask with every slot by images of minima and maxima (Eq. 4), and sums its losses mask by mask (Eq. 5, 6).
Field, optimizer, views, masks, total variation and scoring are the product's own, as quick as the product's. The
product's time is that of its whole object stage: sampling the surface, the masks' consensus, and all iterations. The
last line is how many times longer the paper's way takes, in processor time on a CPU and in wall time on a GPU.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from jaxtyping import Float, Int
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.scripts.train import _set_random_seed
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from benchmarks.baselines.training import next_views, optimize
from benchmarks.clock import Lap, timed
from benchmarks.quality import show
from benchmarks.runs import UNKNOWN, load
from benchmarks.scoring import METRICS
from benchmarks.stock_encoding import slow_down
from benchmarks.variants import VARIANTS, train
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.evaluation.scores import evaluate
from disconerf_ns.field import ObjectField
from disconerf_ns.files import write_whole
from disconerf_ns.kernels.radiance_encoding import quicken
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.rendering.rays import in_chunks, with_background


@dataclass
class Naive:
    """Time the object stage and the paper's way."""

    run: Path
    """config.yml of a disconerf run whose radiance field is used."""
    data: Path
    """Its dataset, with masks, and true labels in `labels/`."""
    masks: Path | None = None
    """Folder of the masks; by default the newest set of the dataset."""
    iterations: int = 400
    """Iterations of the object stage."""
    timed: int = 5
    """Iterations of the paper's way that are timed; its time is their mean times all iterations."""
    to_the_end: bool = False
    """Do all iterations of the paper's way, time them, and score what they learned."""
    threads: int = 1
    """Threads on the CPU."""
    seed: int = 0
    """Seed of every training."""
    downscale: int = 2
    """Held-out views are scored at 1 / downscale of their size."""
    output: Path = Path("benchmarks/results/naive.json")
    """File of the figures, a list with those of earlier runs."""


# -------------------------------------------------------------------- the paper's way


def sample_nerf(pipeline: DiscoNerfPipeline, view: int) -> tuple[Float[Tensor, "rays n 3"], Float[Tensor, "rays n"]]:
    """All last samples of a view's rays, contracted, and their rendering weights."""
    model, rays = pipeline.model, pipeline.datamanager.view_rays(view)
    radiance = model.current.value.trained.radiance

    def render(chunk: RayBundle) -> dict[str, Tensor]:
        samples = radiance.sample(chunk)
        weights = with_background(radiance, samples.weights(radiance.densities(samples)))
        return {"positions": radiance.contraction(samples.positions), "weights": weights}

    with model.still():
        model.camera_optimizer.apply_to_raybundle(rays)
        parts = in_chunks(render, rays, model.config.eval_num_rays_per_chunk, pipeline.device)
    return parts["positions"], parts["weights"]


def affinity(
    slots: Float[Tensor, "pixels slots"], masks: Float[Tensor, "pixels masks"]
) -> Float[Tensor, "masks slots"]:
    """Eq. 4 as it is written, mask by mask: sums of the images of minima and maxima."""
    rows = []
    for mask in masks.T:
        low, high = torch.minimum(slots, mask[:, None]), torch.maximum(slots, mask[:, None])
        rows.append(low.sum(0) / high.sum(0))
    return torch.stack(rows) if rows else slots.new_zeros(0, slots.shape[1])


def losses(
    slots: Float[Tensor, "pixels slots"], masks: Float[Tensor, "pixels masks"], gamma: Int[Tensor, "masks"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Eq. 5 and 6 as they are written, mask by mask, as means over pixels."""
    matching = false_positive = slots.sum() * 0
    for mask, own in zip(masks.T, gamma.tolist()):
        matching = matching + (mask - slots[:, own]).square().sum()
        others = torch.arange(slots.shape[1], device=slots.device) != own
        false_positive = false_positive + (mask[:, None] * slots[:, others]).square().sum()
    scale = 1 / (max(masks.shape[1], 1) * len(slots))
    return scale * matching, scale * false_positive


def objective(pipeline: DiscoNerfPipeline, field: ObjectField) -> Float[Tensor, ""]:
    """One iteration: sample the NeRF for whole views, render every slot, match, and compare."""
    total, config, positions = 0.0, pipeline.model.config, []
    views = next_views(pipeline)
    for view in views:
        points, weights = sample_nerf(pipeline, view.index)
        probabilities = field(points.flatten(0, 1)).view(*points.shape[:2], -1)
        image = (weights[..., None] * probabilities).sum(1)[view.valid]
        masks = view.unpack()[view.valid]
        with torch.no_grad():
            gamma = torch.from_numpy(linear_sum_assignment(affinity(image, masks).cpu().numpy(), maximize=True)[1])
        matching, false_positive = losses(image, masks, gamma)
        total = total + (matching + config.false_positive_mult * false_positive) / len(views)
        positions.append(points.flatten(0, 1))
    seen = torch.cat(positions)
    chosen = torch.randint(len(seen), (config.tv_cells,), device=seen.device)
    return total + config.tv_mult * field.total_variation(seen[chosen])


def train_naively(pipeline: DiscoNerfPipeline, iterations: int, seed: int) -> ObjectField:
    """The field after some iterations of the paper's way, with twice as many slots as the most masks of a view."""
    _set_random_seed(seed)
    slots = pipeline.datamanager.train_dataset.metadata["slots"]
    field = ObjectField(pipeline.model.config.object_field, slots).to(pipeline.device)
    optimize(field, pipeline, iterations, lambda step: objective(pipeline, field))
    return field


# -------------------------------------------------------------------- both


def stage(pipeline: DiscoNerfPipeline, trial: Naive) -> dict[str, Lap]:
    """The product's object stage on a run whose radiance field is frozen, and the time of its parts."""
    model, laps = pipeline.model, {}
    model.agree_on(UNKNOWN)
    with timed() as laps["surface"]:
        pipeline.object_stage.surfaces = pipeline.object_stage.sample_surfaces(pipeline.folder)
    with timed() as laps["consensus"]:
        pipeline.object_stage.explanations = pipeline.object_stage.explain_masks()
    with timed() as laps["iterations"]:
        model.object_field = train(pipeline, VARIANTS["scene"], trial.iterations, trial.seed)
    return laps


def paper(pipeline: DiscoNerfPipeline, trial: Naive) -> Lap:
    """The paper's way on the same run, and its time for all iterations."""
    count = trial.iterations if trial.to_the_end else trial.timed
    slow_down(pipeline.model)
    with timed() as lap:
        pipeline.model.object_field = train_naively(pipeline, count, trial.seed)
    quicken(pipeline.model)
    part = trial.iterations / count
    return Lap(part * lap.seconds, part * lap.cpu_seconds)


def scores(pipeline: DiscoNerfPipeline, trial: Naive, method: str) -> dict:
    """Objects of a method's field, and their scores on the held-out views."""
    objects = show(pipeline, method, pipeline.model.object_field)
    store = pipeline.datamanager.store
    found = evaluate(pipeline, trial.data / "labels", store, downscale=trial.downscale, metrics=METRICS)
    return {"objects": objects, **asdict(found)}


def main(trial: Naive) -> None:
    torch.set_num_threads(trial.threads)
    pipeline = load(trial.run, trial.data, trial.masks)
    pipeline.model.slots_by_masks = True
    parts = stage(pipeline, trial)
    product_scores = scores(pipeline, trial, "scene")
    naive = paper(pipeline, trial)
    naive_scores = scores(pipeline, trial, "view") if trial.to_the_end else None
    product = Lap(*(sum(lap) for lap in zip(*((lap.seconds, lap.cpu_seconds) for lap in parts.values()))))
    ratio = Lap(naive.seconds / product.seconds, naive.cpu_seconds / product.cpu_seconds)
    facts = {
        "machine": machine(),
        "versions": versions(),
        "scene": trial.data.name,
        "iterations": trial.iterations,
        "seed": trial.seed,
        "naive": asdict(naive) | {"timed": trial.iterations if trial.to_the_end else trial.timed},
        "product": asdict(product) | {"parts": {name: asdict(lap) for name, lap in parts.items()}},
        "ratio": asdict(ratio),
        "scores": {"naive": naive_scores, "product": product_scores},
    }
    earlier = json.loads(trial.output.read_text()) if trial.output.exists() else []
    write_whole(trial.output, json.dumps([*earlier, facts], indent=1))
    print(json.dumps({name: facts[name] for name in ("naive", "product", "scores")}, indent=1))
    print(f"wall time {ratio.seconds:.1f}, processor time {ratio.cpu_seconds:.1f}")
    print(f"ratio {ratio.seconds if torch.cuda.is_available() else ratio.cpu_seconds:.1f}")


if __name__ == "__main__":
    main(tyro.cli(Naive))
