"""The frozen surface: how well a few points stand for all samples of a ray, and what they and the masks cost.

    python -m benchmarks.surface --run outputs/.../config.yml
    python -m benchmarks.surface --synthetic       # only microseconds a ray, of an untrained model of disconerf's size

The error of a ray is half the sum over all slots of |O_k - O|, the part of the ray that k points give to other slots; O
takes every sample of the radiance field at its middle, or is the integral over the samples' bins.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from benchmarks import sampling
from benchmarks.clock import timed
from benchmarks.full_size import full_size, looking_at_it
from benchmarks.mask_store import ragged_masks
from benchmarks.runs import load
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.rendering.rays import surface_points, with_background
from disconerf_ns.surface.samples import SurfaceSamples, render_slots
from disconerf_ns.surface.storage import SurfaceStorage

INTEGRAL = 64
"""Points per ray that stand for infinitely many."""


@dataclass
class Surface:
    """Measure the surface cache of a trained run."""

    run: Path | None = None
    """config.yml of a disconerf run."""
    synthetic: bool = False
    """Time the sampling of a model of disconerf's full size that nothing has taught, in the place of a run."""
    width: int = 779
    """Columns of its views, of which there are two thirds as many rows."""
    at_once: tuple[int, ...] = (1 << 15, 1 << 17)
    """Rays that it samples at once."""
    rays: int = 8000
    """Evenly spaced rays, over the views, on which fewer samples are compared with many."""
    points: tuple[int, ...] = (1, 2, 4, 8)
    """Points per ray."""
    views: int = 8
    """Training views, evenly spaced."""
    repeats: int = 5
    """Times that each time is taken; the least counts."""
    output: Path | None = None
    """File of the figures; by default benchmarks/results/surface_SCENE.json, or surface_WIDTHxHEIGHT.json."""


@torch.no_grad()
def images(pipeline: DiscoNerfPipeline, view: int, points: Iterable[int]) -> dict[str, Float[Tensor, "rays slots"]]:
    """O of a training view's rays with some numbers of points, with all samples, and as the integral over the bins."""
    model, field = pipeline.model, pipeline.model.object_field
    radiance = model.current.value.trained.radiance
    rays = pipeline.datamanager.view_rays(view)
    model.camera_optimizer.apply_to_raybundle(rays)
    parts = []
    for start in range(0, len(rays), 1024):
        samples = radiance.sample(rays[start : start + 1024])
        weights = samples.weights(radiance.densities(samples))
        positions = radiance.contraction(samples.positions)
        slots = field(positions.flatten(0, 1)).unflatten(0, positions.shape[:2])
        drawn = {"all samples": (with_background(radiance, weights)[..., None] * slots).sum(1)}
        for count in (*points, INTEGRAL):
            packed = SurfaceSamples.pack(*surface_points(radiance, samples, weights, count))
            name = "integral" if count == INTEGRAL else str(count)
            drawn[name] = render_slots(field(packed.positions.flatten(0, 1)), packed.accumulation.float())
        parts.append(drawn)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def moved(one: Float[Tensor, "rays slots"], other: Float[Tensor, "rays slots"]) -> Float[Tensor, "rays"]:
    """The part of each ray that belongs to other slots in one image than in another."""
    return (one - other).abs().sum(-1) / 2


def least(repeats: int, work: Callable[[], object]) -> float:
    """Processor seconds of the quickest of some runs."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def chosen_views(pipeline: DiscoNerfPipeline, views: int) -> list[int]:
    """Indices of some training views, evenly spaced."""
    count = len(pipeline.datamanager.train_dataset)
    return np.linspace(0, count - 1, min(views, count)).round().astype(int).tolist()


def quadrature(pipeline: DiscoNerfPipeline, trial: Surface) -> list[dict]:
    """The error for each number of points, over rays of all views together."""
    found = [images(pipeline, view, trial.points) for view in chosen_views(pipeline, trial.views)]
    drawn = {name: torch.cat([image[name] for image in found]) for name in found[0]}
    samples, integral = drawn["all samples"], drawn["integral"]
    return [
        {
            "points": name,
            "from_samples": float(moved(image, samples).mean()),
            "from_samples_99": float(moved(image, samples).quantile(0.99)),
            "from_integral": float(moved(image, integral).mean()),
            "other_slot": float((image.argmax(-1) != samples.argmax(-1)).float().mean()),
        }
        for name, image in drawn.items()
        if name != "integral"
    ]


def fetching(pipeline: DiscoNerfPipeline, trial: Surface) -> dict[str, float]:
    """Milliseconds to put together the surface of a batch of views, from memory and from a file."""
    rays = [len(surface) for surface in pipeline.object_stage.surfaces]
    milliseconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, gb in (("memory", 8.0), ("file", 0.0)):
            points = pipeline.config.model.surface_points
            storage = SurfaceStorage(rays, points, pipeline.device, gb, gb, Path(folder))
            kept = [storage.keep(surface) for surface in pipeline.object_stage.surfaces]
            batch = kept[: pipeline.config.datamanager.views_per_batch]
            milliseconds[name] = 1e3 * least(trial.repeats, lambda batch=batch: SurfaceSamples.cat(batch).packed.sum())
    return milliseconds


def decoding(trial: Surface, masks: int = 40, side: int = 1000, pixels: int = 405_000) -> dict[str, float]:
    """Time and memory of decoding the masks of a megapixel's view at the object stage's resolution."""
    view, scaled = ragged_masks(np.random.default_rng(0), masks, side), round(pixels**0.5)
    seconds = least(trial.repeats, lambda: view.packed(scaled, scaled))
    encoded = sum(len(mask.rle["counts"]) for mask in view.annotations)
    facts = {"masks": masks, "megapixels": side**2 / 1e6, "pixels": scaled**2, "ms": 1e3 * seconds}
    return facts | {"encoded_kib": encoded / 1024, "packed_kib": view.packed(scaled, scaled).nbytes / 1024}


def fewer(pipeline: DiscoNerfPipeline, trial: Surface) -> list[dict]:
    """What fewer samples change on evenly spaced rays of some training views."""
    bundles = [pipeline.datamanager.view_rays(view) for view in chosen_views(pipeline, trial.views)]
    stride = max(sum(map(len, bundles)) // trial.rays, 1)
    rays = RayBundle(
        *(
            torch.cat([getattr(bundle, name)[::stride] for bundle in bundles])
            for name in ("origins", "directions", "pixel_area", "camera_indices")
        )
    )
    pipeline.model.camera_optimizer.apply_to_raybundle(rays)
    return sampling.errors(pipeline.model, rays)


def time_without_run(trial: Surface) -> None:
    """Times of sampling a model of full size, without a run."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    height = round(trial.width * 2 / 3)
    rays = looking_at_it(trial.width, height, device).generate_rays(0, keep_shape=True).flatten()
    rows = sampling.times(full_size(device), rays, trial.at_once, trial.repeats)
    write(trial, f"{trial.width}x{height}", {"rays": len(rays), "sampling": rows})


def write(trial: Surface, scene: str, found: dict) -> None:
    """Print the figures, and write them with the machine's."""
    print(json.dumps(found, indent=1))
    facts = {"machine": machine(), "versions": versions(), "cores": os.cpu_count(), "seed": 0, "scene": scene}
    write_whole(trial.output or Path(f"benchmarks/results/surface_{scene}.json"), json.dumps(facts | found, indent=1))


def main(trial: Surface) -> None:
    if trial.synthetic:
        time_without_run(trial)
        return
    if trial.run is None:
        raise SystemExit("Pass --run, or --synthetic.")
    pipeline = load(trial.run)
    pipeline.eval()
    scene = Path(pipeline.config.datamanager.dataparser.data).name
    with timed() as lap:
        pipeline.object_stage.surfaces = pipeline.object_stage.sample_surfaces(pipeline.folder)
    seconds = lap.seconds if pipeline.device.type == "cuda" else lap.cpu_seconds
    surfaces = pipeline.object_stage.surfaces
    rays = sum(map(len, surfaces))
    found = {"views": len(surfaces), "rays": rays, "sampling_s": seconds, "us_per_ray": 1e6 * seconds / rays}
    found |= {"slots": pipeline.model.object_field.slots, "samples": fewer(pipeline, trial)}
    found |= {"quadrature": quadrature(pipeline, trial), "fetching_ms": fetching(pipeline, trial)}
    write(trial, scene, found | {"decoding": decoding(trial)})


if __name__ == "__main__":
    main(tyro.cli(Surface))
