"""Operator calls of a training step: a figure that stands for a step's launches and needs no GPU.

    python -m benchmarks.operators

A step takes small numbers of rays and entries, which change no call. `radiance` is a step in which the proposal
networks learn, `radiance without proposals` one in which they do not, as in five of six late in the stage.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import tyro
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from torch.profiler import ProfilerActivity, profile

from benchmarks.photographs import write_photographs
from benchmarks.trainers import config_of, iterate, trainer_of

EARLY, LATE = 3, 6001
"""nerfacto's proposal networks learn in each of the first ten steps, and late in one of six."""


@dataclass
class Operators:
    """Count the operator calls of a step in each stage."""

    method: str = "disconerf"
    """Method, as in `ns-train`."""


def count(step: Callable[[], object]) -> int:
    """Calls of torch's operators in a step, also by other operators, as torch's profiler counts them on the CPU."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    return sum(event.count for event in profiler.key_averages() if event.key.startswith("aten::"))


def small_config(method: str, folder: Path) -> TrainerConfig:
    """A method on a few small photographs, with all of its levels and networks, but few rays and small tables."""
    data = write_photographs(folder / "data", views=8, width=32, height=24)
    config = config_of(method, data, folder / "runs")
    model = config.pipeline.model
    config.pipeline.datamanager.train_num_rays_per_batch, model.log2_hashmap_size = 32, 8
    model.num_proposal_samples_per_ray, model.num_nerf_samples_per_ray = (8, 6), 4
    model.proposal_net_args_list = [{**options, "log2_hashmap_size": 8} for options in model.proposal_net_args_list]
    return config


def after_one(trainer: Trainer, start: int) -> int:
    """Operator calls of the step after a first one, which may prepare what stays."""
    iterate(trainer, start)
    return count(partial(iterate, trainer, start + 1))


def radiance_steps(method: str, folder: Path) -> dict[str, int]:
    """Operator calls of a radiance step that teaches the proposal networks, and of one that does not."""
    trainer = trainer_of(small_config(method, folder))
    return {"radiance": after_one(trainer, EARLY), "radiance without proposals": after_one(trainer, LATE)}


def object_step(folder: Path) -> dict[str, int]:
    """Operator calls of an object step of `disconerf`."""
    config = small_config("disconerf", folder)
    model = config.pipeline.model
    model.tv_cells, model.consensus_batch, model.object_field.log2_table = 16, 16, 8
    trainer = trainer_of(config)
    return {"objects": after_one(trainer, int(trainer.pipeline.object_start))}


def main(trial: Operators) -> None:
    with tempfile.TemporaryDirectory() as folder:
        counts = radiance_steps(trial.method, Path(folder) / "radiance")
        if trial.method != "nerfacto":
            counts |= object_step(Path(folder) / "objects")
    print(json.dumps(counts, indent=1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(tyro.cli(Operators))
