"""Another run whose scene is taken: where it is, its frame; of nerfacto, also its architecture and its weights."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.models.nerfacto import NerfactoModel, NerfactoModelConfig
from nerfstudio.models.splatfacto import SplatfactoModelConfig
from torch import Tensor

from disconerf_ns.compat.checkpoints import UNREADABLE, state_in
from disconerf_ns.config import SplatSceneModelConfig
from disconerf_ns.errors import UserError, reason
from disconerf_ns.training.checkpoint_files import checkpoints_in, fault_in, newest_whole
from disconerf_ns.training.finite import check_finite
from disconerf_ns.training.same_scene import same_frame
from disconerf_ns.training.stored_config import read_config

PARTS = ("field.", "proposal_networks.", "camera_optimizer.")
"""Prefixes of the nerfacto parameters that make up the radiance field."""
SCENES = (NerfactoModelConfig, SplatfactoModelConfig, SplatSceneModelConfig)
"""Models whose scene can be taken."""
KEPT = {"_target", "eval_num_rays_per_chunk", "prompt", "loss_coefficients"}
"""Model settings that the new run keeps instead of taking them from the source."""


@dataclass
class RadianceSource:
    """A trained run whose radiance field, or whose gaussians, are taken."""

    config: TrainerConfig
    """Options of the run."""
    config_path: Path
    """config.yml of the run."""
    checkpoint: Path
    """Checkpoint with the weights."""


def radiance_source(path: Path) -> RadianceSource:
    """Find a run by its config.yml, its folder or a checkpoint; without a checkpoint, the newest one is taken.

    Raises:
        UserError: the path does not exist, is a run of another method, or has no checkpoint.
    """
    option = (
        "Pass the config.yml or a checkpoint of a trained nerfacto or splatfacto run with --pipeline.radiance-field."
    )
    if not path.exists():
        raise UserError(f"radiance field: there is no {path}. {option}")
    config_path = {".yml": path, ".ckpt": path.parent.parent / "config.yml"}.get(path.suffix, path / "config.yml")
    if not config_path.exists():
        raise UserError(f"radiance field: {path} has no config.yml ({config_path} is missing). {option}")
    try:
        config = read_config(config_path)
    except (OSError, ValueError) as error:
        raise UserError(f"radiance field: {config_path} cannot be read ({reason(error)}). {option}") from error
    if not isinstance(config, TrainerConfig) or not isinstance(config.pipeline.model, SCENES):
        raise UserError(f"radiance field: {config_path} is not a run of nerfacto or splatfacto. {option}")
    folder = config_path.parent / config.relative_model_dir
    if path.suffix == ".ckpt":
        checkpoint, fault = path, fault_in(path)
        if fault is not None:
            raise UserError(f"radiance field: {path} cannot be read ({fault}). {option}")
    elif not checkpoints_in(folder):
        raise UserError(f"radiance field: {config_path.parent} has no checkpoint yet. {option}")
    else:
        checkpoint = newest_whole(folder, "--pipeline.radiance-field")
    return RadianceSource(config, config_path, checkpoint)


def adopt_architecture(source: RadianceSource, config: NerfactoModelConfig) -> None:
    """Copy the source's nerfacto settings into `config`, so that its weights fit."""
    for setting in fields(NerfactoModelConfig):
        if setting.name not in KEPT:
            setattr(config, setting.name, getattr(source.config.pipeline.model, setting.name))


def check_scene(source: RadianceSource, datamanager: VanillaDataManager) -> None:
    """Check that both runs put the scene into the same frame.

    Raises:
        UserError: the frames differ.
    """
    if not same_frame(source.config_path.parent, datamanager.train_dataparser_outputs):
        raise UserError(
            f"radiance field: {source.config_path} puts the scene into another frame; pass the same dataparser and the "
            "same options (data, orientation, centring, scale, split) as that run."
        )


def load_radiance(source: RadianceSource, model: NerfactoModel) -> None:
    """Load the source's radiance field, proposal networks and camera poses.

    Raises:
        UserError: the checkpoint cannot be read or does not fit the model.
    """
    try:
        state = state_in(source.checkpoint)
    except UNREADABLE as error:
        raise UserError(
            f"radiance field: {source.checkpoint} cannot be read ({reason(error)}); name "
            "another checkpoint with --pipeline.radiance-field."
        ) from error
    wanted = {key: value for key, value in model.state_dict().items() if key.startswith(PARTS)}
    misfits = [key for key, value in wanted.items() if key not in state or _shape(state[key]) != _shape(value)]
    if misfits:
        key = misfits[0]
        mismatch = f"{_shape(state[key])} instead of {_shape(wanted[key])}" if key in state else "missing"
        raise UserError(
            f"radiance field: {source.checkpoint} does not fit the model: {key} is {mismatch}. Train on the same "
            "images with the same split, and with tinycudann if that run used it."
        )
    taken = {key: state[key] for key in wanted}
    check_finite(
        taken, f"radiance field: {source.checkpoint}", "name an earlier checkpoint of the run, or train again."
    )
    torch.nn.Module.load_state_dict(model, taken, strict=False)


def _shape(value: Tensor) -> list[int]:
    return list(value.shape)
