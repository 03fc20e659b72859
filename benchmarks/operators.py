"""Operator calls of a training step: a figure that stands for a step's launches and needs no GPU.

    TRITON_INTERPRET=1 python -m benchmarks.operators              # as on a GPU without tinycudann
    python -m benchmarks.operators --kernels torch                 # as on a CPU

A step takes small numbers of rays and entries, which change no call. `radiance` is a step in which the proposal
networks learn, `radiance without proposals` one in which they do not, as in five of six late in the stage.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import tyro
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.photographs import write_photographs
from benchmarks.trainers import config_of, iterate, trainer_of
from disconerf_ns.kernels.launch import INTERPRETED
from disconerf_ns.kernels.radiance_encoding import encode_by_triton, encodings

EARLY, LATE = 3, 6001
"""nerfacto's proposal networks learn in each of the first ten steps, and late in one of six."""

LAUNCH = "launch of a Triton kernel"
Kernels = Literal["triton", "torch"]


@dataclass
class Operators:
    """Count the operator calls of a step in each stage."""

    method: str = "disconerf"
    """Method, as in `ns-train`."""
    kernels: Kernels = "triton"
    """What computes the encodings and the object field of `disconerf`."""


def count(step: Callable[[], object]) -> int:
    """Calls of torch's operators in a step, also by other operators, as torch's profiler counts them on the CPU.

    Where Triton's kernels are interpreted, the launch of one is one call.
    """
    with launches_named(), profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    return sum(event.name == LAUNCH or called(event) for event in profiler.events())


def called(event: FunctionEvent) -> bool:
    """Whether an event is an operator outside of an interpreted kernel."""
    above = event
    while above is not None and above.name != LAUNCH:
        above = above.cpu_parent
    return above is None and event.name.startswith("aten::")


@contextmanager
def launches_named() -> Iterator[None]:
    """Let the profiler see where Triton's interpreter runs a kernel."""
    if not INTERPRETED:
        yield
        return
    from triton.runtime.interpreter import GridExecutor

    run = GridExecutor.__call__

    def named(*arguments, **options) -> None:
        with record_function(LAUNCH):
            run(*arguments, **options)

    GridExecutor.__call__ = named
    try:
        yield
    finally:
        GridExecutor.__call__ = run


def small_config(method: str, folder: Path) -> TrainerConfig:
    """A method on a few small photographs, with all of its levels and networks, but few rays and small tables."""
    data = write_photographs(folder / "data", views=8, width=32, height=24)
    config = config_of(method, data, folder / "runs")
    model = config.pipeline.model
    config.pipeline.datamanager.train_num_rays_per_batch = config.pipeline.datamanager.rays_per_batch = 32
    model.log2_hashmap_size = 8
    if method != "nerfacto":
        model.floater_points = model.tv_cells = model.consensus_batch = 16
        model.object_field.log2_table = 8
    model.num_proposal_samples_per_ray, model.num_nerf_samples_per_ray = (8, 6), 4
    model.proposal_net_args_list = [{**options, "log2_hashmap_size": 8} for options in model.proposal_net_args_list]
    return config


def after_one(trainer: Trainer, start: int) -> int:
    """Operator calls of the step after a first one, which may prepare what stays."""
    iterate(trainer, start)
    return count(partial(iterate, trainer, start + 1))


def radiance_steps(method: str, kernels: Kernels, folder: Path) -> dict[str, int]:
    """Operator calls of a radiance step that teaches the proposal networks, and of one that does not."""
    trainer = trainer_of(small_config(method, folder))
    take(kernels, trainer)
    return {"radiance": after_one(trainer, EARLY), "radiance without proposals": after_one(trainer, LATE)}


def object_step(kernels: Kernels, folder: Path) -> dict[str, int]:
    """Operator calls of an object step of `disconerf`."""
    config = small_config("disconerf", folder)
    config.pipeline.model.object_field.implementation = kernels
    trainer = trainer_of(config)
    return {"objects": after_one(trainer, int(trainer.pipeline.object_start))}


def take(kernels: Kernels, trainer: Trainer) -> None:
    """Let the encodings of a model that `quicken` has changed be computed as on a GPU."""
    for encoding in encodings(trainer.pipeline.model) if kernels == "triton" else ():
        vars(encoding)["pytorch_fwd"] = partial(encode_by_triton, encoding)


def main(trial: Operators) -> None:
    ours = trial.method != "nerfacto"
    with tempfile.TemporaryDirectory() as folder:
        counts = radiance_steps(trial.method, trial.kernels if ours else "torch", Path(folder) / "radiance")
        if ours:
            counts |= object_step(trial.kernels, Path(folder) / "objects")
    print(json.dumps(counts, indent=1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(tyro.cli(Operators))
