"""A method's trainer on a dataset, as `ns-train` sets it up, for benchmarks to drive."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from nerfstudio.configs.method_configs import all_methods
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.scripts.train import _set_random_seed

from disconerf_ns.compat.lpips import without_download

BEFORE, AFTER = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION
NEVER = 10**9
VARIANTS = {
    "disconerf": ("disconerf", "torch"),
    "disconerf, tinycudann": ("disconerf", "tcnn"),
    "nerfacto": ("nerfacto", "torch"),
    "nerfacto, tinycudann": ("nerfacto", "tcnn"),
}
"""Method and implementation of its radiance field, by name; "torch" is what `pip install` gives without tinycudann."""


def installed(variant: str) -> bool:
    """Whether a variant can run here."""
    return VARIANTS[variant][1] != "tcnn" or find_spec("tinycudann") is not None


def config_of(
    method: str, data: Path, output: Path, implementation: Literal["torch", "tcnn"] | None = None
) -> TrainerConfig:
    """A method's settings, without pictures for evaluation, checkpoints and a viewer.

    Args:
        method: name as in `ns-train`.
        data: the dataset.
        output: folder of the run.
        implementation: of the radiance field; None is the method's own.
    """
    config = copy.deepcopy(all_methods[method])
    config.data = config.pipeline.datamanager.data = data
    config.output_dir, config.vis = output, "tensorboard"
    config.machine.device_type = "cuda" if torch.cuda.is_available() else "cpu"
    config.steps_per_eval_batch = config.steps_per_eval_image = config.steps_per_eval_all_images = NEVER
    config.steps_per_save = NEVER
    if implementation is not None:
        config.pipeline.model.implementation = implementation
    config.set_timestamp()
    return config


def trainer_of(config: TrainerConfig, first_step: int = 0) -> Trainer:
    """A trainer that is about to take a step, with parameters as at the start."""
    _set_random_seed(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    with without_download():
        trainer.setup()
    trainer._start_step = first_step
    return trainer


def iterate(trainer: Trainer, step: int) -> None:
    """A step as nerfstudio's loop takes it."""
    trainer.pipeline.train()
    for location in (BEFORE, AFTER):
        for callback in trainer.callbacks:
            callback.run_callback_at_location(step, location)
        if location is BEFORE:
            trainer.train_iteration(step)


class Enough(Exception):
    """Ends nerfstudio's loop."""


def run_loop(trainer: Trainer, after_step: Callable[[int], None]) -> None:
    """nerfstudio's own loop, with something to do after each step; `Enough` ends it."""
    trainer.callbacks.append(TrainingCallback([AFTER], lambda step: after_step(step)))
    try:
        trainer.train()
    except Enough:
        return
