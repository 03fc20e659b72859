"""A training that takes seconds: its options, and a trained run that is shared by pytest's processes.

    python tests/tiny_run.py SCENE OUTPUTS

trains it, on one thread, and prints its folder.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

ITERATIONS = 480
"""Iterations of the shared run."""


def tiny_config(data: Path, output: Path, iterations: int = 120):
    """`disconerf-small`, smaller still."""
    from disconerf_ns.method import disconerf_small

    config = copy.deepcopy(disconerf_small.config)
    config.data = config.pipeline.datamanager.data = data
    config.output_dir, config.vis, config.max_num_iterations = output, "tensorboard", iterations
    config.machine.device_type = "cuda" if torch.cuda.is_available() else "cpu"
    config.steps_per_eval_batch = config.steps_per_eval_image = config.steps_per_eval_all_images = 10**9
    config.pipeline.datamanager.train_num_rays_per_batch = 256
    config.pipeline.datamanager.view_pixels = 500
    model = config.pipeline.model
    model.num_proposal_samples_per_ray, model.num_nerf_samples_per_ray = (32, 16), 12
    model.object_field.log2_table, model.object_field.finest, model.tv_cells = 13, 64, 256
    model.floater_points = 256
    model.num_levels, model.max_res, model.log2_hashmap_size = 4, 96, 14
    config.set_timestamp()
    return config


def train(config):
    """What `ns-train` does, without a process of its own."""
    from nerfstudio.scripts.train import _set_random_seed

    _set_random_seed(config.machine.seed)
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    trainer.train()
    return trainer


@dataclass
class Run:
    """A finished run."""

    config: Path
    trainer: object

    @property
    def folder(self) -> Path:
        return self.config.parent


def train_alone(scene: Path, place: Path) -> None:
    """Train the shared run in a process of its own, where no shape is checked: other tests train with checks."""
    command = [sys.executable, __file__, str(scene), str(place.with_name("training"))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    trained = subprocess.run(command, env=environment, capture_output=True, text=True)
    if trained.returncode != 0:
        raise RuntimeError(trained.stderr)
    Path(trained.stdout.splitlines()[-1]).rename(place)


def copy_of(trained: Path, scene: Path, outputs: Path) -> Run:
    """A copy of a trained run of a scene, and its trainer, which could go on."""
    from disconerf_ns.training.schedule import Stage

    config = tiny_config(scene, outputs, ITERATIONS)
    folder = config.get_base_dir()
    shutil.copytree(trained, folder)
    config.save_config()
    (checkpoint,) = (folder / "nerfstudio_models").iterdir()
    state = torch.load(checkpoint, weights_only=False)
    state["disconerf"]["masks"] = str(scene / "masks" / "exact")
    torch.save(state, checkpoint)
    going_on = copy.deepcopy(config)
    going_on.load_dir, going_on.max_num_iterations = folder / "nerfstudio_models", ITERATIONS + 1
    trainer = going_on.setup(local_rank=0, world_size=1)
    trainer.setup()
    pipeline = trainer.pipeline
    pipeline.stage, stage = Stage.OBJECTS, pipeline.object_stage
    stage.surfaces = stage.sample_surfaces(pipeline.folder)
    return Run(folder / "config.yml", trainer)


if __name__ == "__main__":
    trained = train(tiny_config(Path(sys.argv[1]), Path(sys.argv[2]), ITERATIONS))
    print(trained.base_dir)
