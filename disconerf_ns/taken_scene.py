"""A scene that another run has learned: the model that can hold it, and its radiance field or its gaussians."""

from __future__ import annotations

from dataclasses import fields
from typing import cast

import torch
from nerfstudio.models.splatfacto import SplatfactoModelConfig
from nerfstudio.utils.colors import get_color
from torch import Tensor

from disconerf_ns.compat.checkpoints import UNREADABLE, state_in
from disconerf_ns.config import DiscoNerfModelConfig, ObjectModelConfig, SplatSceneModelConfig
from disconerf_ns.errors import UserError, reason
from disconerf_ns.gaussians.run import gaussians_in
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.object_model import ObjectModel
from disconerf_ns.radiance_transfer import RadianceSource, adopt_architecture, load_radiance
from disconerf_ns.splat_model import GAUSSIANS, SplatSceneModel

SPLATS = (SplatfactoModelConfig, SplatSceneModelConfig)
"""Models of gaussians: splatfacto's, and ours of an earlier run."""
BEHIND_SPLATS = (0.1490, 0.1647, 0.2157)
"""RGB behind gaussians that were trained on random backgrounds, as splatfacto shows them."""
POSES = "camera_optimizer.pose_adjustment"
"""Parameter of nerfstudio's camera optimizer."""


def adopted(source: RadianceSource, config: ObjectModelConfig) -> ObjectModelConfig:
    """Options of a model that can hold the source's scene, with the object field's as they are."""
    scene = source.config.pipeline.model
    if not isinstance(scene, SPLATS):
        adopt_architecture(source, cast("DiscoNerfModelConfig", config))
        return config
    shared = {each.name for each in fields(ObjectModelConfig)} - {"_target", "enable_collider"}
    return SplatSceneModelConfig(
        **{name: getattr(config, name) for name in shared},
        camera_optimizer=scene.camera_optimizer,
        background=background_of(scene),
    )


def background_of(scene: SplatfactoModelConfig | SplatSceneModelConfig) -> tuple[float, float, float]:
    """RGB in [0, 1] of light that passes all gaussians."""
    if isinstance(scene, SplatSceneModelConfig):
        return scene.background
    if scene.background_color == "random":
        return BEHIND_SPLATS
    red, green, blue = get_color(scene.background_color).tolist()
    return red, green, blue


def take_over(source: RadianceSource, model: ObjectModel) -> str:
    """Give a model the source's scene and camera poses; returns what was taken.

    Raises:
        UserError: the checkpoint cannot be read or does not fit the model, or none of its gaussians is finite.
    """
    if not isinstance(model, SplatSceneModel):
        load_radiance(source, cast("DiscoNerfModel", model))
        return f"taken from {source.checkpoint}"
    try:
        state = state_in(source.checkpoint)
        splats = splats_in(state, cast("SplatfactoModelConfig | SplatSceneModelConfig", source.config.pipeline.model))
    except UNREADABLE as error:
        raise UserError(
            f"radiance field: {source.checkpoint} cannot be read as gaussians ({reason(error)}); name another "
            "checkpoint with --pipeline.radiance-field."
        ) from error
    finite = splats.selected(splats.finite)
    if len(finite) == 0:
        raise UserError(
            f"radiance field: {source.checkpoint} has no gaussian whose values are all finite; name an earlier "
            "checkpoint of the run, or train again."
        )
    _take_poses(state, model, source)
    model.take(finite)
    left_out = f", without {len(splats) - len(finite):,} that are not finite" if len(finite) < len(splats) else ""
    return f"{len(finite):,} gaussians taken from {source.checkpoint}{left_out}"


def splats_in(state: dict[str, Tensor], scene: SplatfactoModelConfig | SplatSceneModelConfig) -> Splats:
    """The gaussians among a model's tensors, by its options."""
    if isinstance(scene, SplatSceneModelConfig):
        return Splats(*(state[f"gaussian_{name}"] for name in GAUSSIANS))
    return gaussians_in(state, scene.sh_degree)


def _take_poses(state: dict[str, Tensor], model: SplatSceneModel, source: RadianceSource) -> None:
    """Copy the camera poses that a run adjusted; one without a camera optimizer has none.

    Raises:
        UserError: the run had other photographs.
    """
    poses = dict(model.named_parameters()).get(POSES)
    if poses is None:
        return
    if POSES not in state or state[POSES].shape != poses.shape:
        raise UserError(
            f"radiance field: {source.checkpoint} does not have the poses of {len(poses)} photographs; train on "
            "the same images with the same split."
        )
    with torch.no_grad():
        poses.copy_(state[POSES])
