"""How near to the true surface a radiance field's light comes from, with one setting of its stage changed.

    python -m benchmarks.geometry --data data/table --iterations 800

All that comes after the radiance stage looks at this surface: borders of objects, what is left beside contacts, holes.
Every row trains a field from the start. The light of each ray of the held-out views is divided into equal shares, and
each is near, in front of or behind the first point of the made scene on the ray.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from nerfstudio.engine.trainer import TrainerConfig
from torch import Tensor

from benchmarks.exact import TrueScene
from benchmarks.table import merged
from benchmarks.trainers import Enough, config_of, run_loop, trainer_of
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.evaluation.scores import psnr
from disconerf_ns.files import write_whole
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.rendering.rays import surface_distances

SHARES = 8
"""Equal shares of a ray's light."""
NEAR = 0.01
"""Difference to the true distance, as a fraction of it, up to which light comes from the surface."""
STRIDE = 3
"""Pixels between two rays, along both axes."""
AT_ONCE = 4096
"""Rays that are looked at together."""


@dataclass
class Geometry:
    """Train radiance fields of a made scene and compare their surface with the true one."""

    data: Path
    """A dataset that `examples.scenes.make_scene` wrote, or a copy of `examples/table`; its name is the layout's."""
    changes: tuple[str, ...] = ("",)
    """Settings, as PATH=VALUE below `pipeline`, several of a row joined by commas; "" changes nothing."""
    method: str = "disconerf-small"
    """Method as in `ns-train`."""
    masks: str = "middle"
    """Set of masks in the dataset; the radiance stage does not look at it."""
    iterations: int = 800
    """Iterations of the radiance stage."""
    output: Path = Path("benchmarks/results/geometry.json")
    """File of the figures, beside those of other scenes and changes."""


def change(config: TrainerConfig, setting: str) -> None:
    """Give a setting another value of the type that it has.

    Args:
        setting: such as `model.distortion_loss_mult=0.01`.
    """
    path, value = setting.split("=")
    *parents, name = path.split(".")
    owner = config.pipeline
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, tyro.cli(type(getattr(owner, name)), args=value.split()))


def train(trial: Geometry, changes: str, folder: Path) -> tuple[DiscoNerfPipeline, float]:
    """A field after its stage, and the processor time of an iteration in ms."""
    config = config_of(trial.method, trial.data.resolve(), folder)
    config.pipeline.datamanager.masks = trial.data.resolve() / "masks" / trial.masks
    config.pipeline.object_iterations = 1
    config.max_num_iterations = trial.iterations + 1
    for setting in filter(None, changes.split(",")):
        change(config, setting)
    trainer = trainer_of(config)

    def stop(step: int) -> None:
        if step + 1 == trial.iterations:
            raise Enough

    start = time.process_time()
    run_loop(trainer, stop)
    spent = time.process_time() - start
    trainer.pipeline.eval()
    trainer.pipeline.model.freeze_radiance(True)
    return trainer.pipeline, 1e3 * spent / trial.iterations


@torch.no_grad()
def errors(pipeline: DiscoNerfPipeline, scene: TrueScene) -> Iterator[Tensor]:
    """Differences to the true distance, as fractions of it, of the shares of light of held-out rays."""
    radiance, cameras = pipeline.model.radiance(), pipeline.datamanager.eval_dataset.cameras
    for view in range(len(cameras)):
        rays = cameras.generate_rays(camera_indices=view, keep_shape=True)[::STRIDE, ::STRIDE].flatten()
        for start in range(0, len(rays), AT_ONCE):
            some = rays[start : start + AT_ONCE].to(pipeline.device)
            points, met = scene.meet(some)
            true = (points - some.origins).norm(dim=-1)
            samples = radiance.sample(pipeline.model.collider(some))
            weights = samples.weights(radiance.densities(samples))
            found, _ = surface_distances(radiance, samples, weights, SHARES)
            yield ((found - true[:, None]) / true[:, None])[met]


def measure(trial: Geometry, changes: str, folder: Path) -> dict:
    """A row of the file."""
    pipeline, milliseconds = train(trial, changes, folder)
    off = torch.cat(list(errors(pipeline, TrueScene(trial.data.name, pipeline))))
    views = range(len(pipeline.datamanager.eval_dataset))
    return {
        "scene": trial.data.name,
        "method": trial.method,
        "iterations": trial.iterations,
        "changes": changes,
        "near": float((off.abs() <= NEAR).float().mean()),
        "in_front": float((off < -NEAR).float().mean()),
        "behind": float((off > NEAR).float().mean()),
        "median_error": float(off.abs().median()),
        "psnr": sum(psnr(pipeline, view) for view in views) / len(views),
        "processor_ms": milliseconds,
        "machine": machine(),
        "versions": versions(),
    }


def main(trial: Geometry) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for changes in trial.changes:
            row = measure(trial, changes, Path(folder))
            rows = merged(trial.output, row, ("scene", "method", "iterations", "changes"))
            write_whole(trial.output, json.dumps(rows, indent=1))
            print({key: value for key, value in row.items() if key not in ("machine", "versions")}, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Geometry))
