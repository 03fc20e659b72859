"""The gaussians of a splatfacto run, from its newest whole checkpoint; gsplat and a GPU are not needed."""

from __future__ import annotations

from pathlib import Path

import torch
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.models.splatfacto import SplatfactoModelConfig
from torch import Tensor

from disconerf_ns.compat.checkpoints import UNREADABLE, state_in
from disconerf_ns.errors import UserError, reason
from disconerf_ns.gaussians.spherical_harmonics import C0
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.training.checkpoint_files import newest_whole

PARAMETERS = ("means", "scales", "quats", "opacities", "features_dc", "features_rest")


def read_run(config: TrainerConfig, config_path: Path) -> Splats:
    """Gaussians of a splatfacto run, in its scene coordinates.

    nerfstudio writes no digest beside a checkpoint: one is whole if all of its records have the checksums that were
    written with them. Broken ones after it are named; files of other names, such as copies, are none.

    Args:
        config: content of the run's config.yml.
        config_path: the file, beside which the checkpoints are.
    Raises:
        UserError: it is another kind of run, or has no checkpoint that can be read.
    """
    model = getattr(config.pipeline, "model", None)
    if not isinstance(model, SplatfactoModelConfig):
        raise UserError(
            f"splats: {config_path} is a run of {config.method_name}, not of splatfacto; pass the config.yml of a "
            "splatfacto run or a PLY file with --splats, or leave it out to sample splats from the radiance field."
        )
    checkpoint = newest_whole(config_path.parent / config.relative_model_dir, "--splats")
    try:
        return gaussians_in(state_in(checkpoint), model.sh_degree)
    except UNREADABLE as error:
        raise UserError(
            f"splats: {checkpoint} cannot be read as gaussians ({reason(error)}); delete it to take an earlier "
            "checkpoint, or pass the run's exported PLY file with --splats."
        ) from error


def gaussians_in(state: dict[str, Tensor], degree: int) -> Splats:
    """The gaussians among the tensors of a splatfacto model, in its scene coordinates.

    Args:
        state: the tensors by name, of any of nerfstudio's versions.
        degree: the run's `sh_degree`; with 0, splatfacto learns colours before a sigmoid.
    Raises:
        KeyError, ValueError: they are of another model.
    """
    old = "gauss_params.means" not in state
    means, scales, quats, opacities, flat, rest = (
        state[name if old else f"gauss_params.{name}"].float() for name in PARAMETERS
    )
    if degree == 0:
        flat, rest = (flat.sigmoid() - 0.5) / C0, rest[:, :0]
    return Splats(means, scales, quats, opacities[:, 0], torch.cat([flat[:, None], rest], 1))
