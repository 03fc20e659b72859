"""A trained run, made ready for object stages on its frozen surface."""

from __future__ import annotations

from pathlib import Path

import torch
from nerfstudio.utils.eval_utils import eval_load_checkpoint

import disconerf_ns.method  # noqa: F401  (allow-lists what checkpoints hold)
from disconerf_ns.discovery.consensus import Consensus
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.training.schedule import Stage
from disconerf_ns.training.stored_config import read_config

UNKNOWN = Consensus.of(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
"""No consensus, and no tree."""


def load(run: Path, data: Path | None = None, masks: Path | None = None) -> DiscoNerfPipeline:
    """A run with its masks, as training sees it in the object stage, before the surface is sampled.

    Args:
        run: config.yml of a disconerf run.
        data: dataset to take instead of the run's.
        masks: folder of masks to take instead of the run's.
    """
    config = read_config(run)
    manager = config.pipeline.datamanager
    if data is not None:
        config.data = manager.data = manager.dataparser.data = data
    if masks is not None:
        manager.masks = masks
    config.load_dir, config.pipeline.radiance_field = run.parent / config.relative_model_dir, None
    pipeline = config.pipeline.setup(device="cuda" if torch.cuda.is_available() else "cpu", test_mode="val")
    eval_load_checkpoint(config, pipeline)
    pipeline.config.model.slots = pipeline.datamanager.train_dataset.metadata["slots"]
    pipeline.model.proposal_sampler.set_anneal(1.0)
    pipeline.stage = Stage.OBJECTS
    pipeline.model.freeze_radiance(True)
    return pipeline
