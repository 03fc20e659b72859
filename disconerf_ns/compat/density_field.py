"""Density of nerfstudio's fields: its values and gradients in fewer passes over memory."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float
from nerfstudio.field_components.activations import trunc_exp
from nerfstudio.fields.density_fields import HashMLPDensityField
from nerfstudio.fields.nerfacto_field import NerfactoField
from torch import Tensor, nn

from disconerf_ns.compat.proposals import DensityAlong
from disconerf_ns.kernels.ray_density import RayDensity
from disconerf_ns.scene.contraction import Contraction, has_maximum_norm

DensityField = HashMLPDensityField | NerfactoField
"""A proposal network, or the radiance field itself."""


def fused_density(field: DensityField, half: bool) -> RayDensity | None:
    """The density along rays in one launch; None without a GPU or where Triton does not support the field."""
    return RayDensity.of(field, torch.float16 if half else torch.float32, frozen=half)


def density_along(field: DensityField, half: bool) -> DensityAlong:
    """A field's density as a function of samples of rays; on a GPU none of the samples' positions is in memory."""
    fused = fused_density(field, half)
    if fused is None:
        return lambda samples: evaluate(field, samples.positions)[0]
    return lambda samples: fused(samples.origins, samples.directions, samples.middles)


def evaluate(
    field: DensityField, positions: Float[Tensor, "*n 3"]
) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n features"]]:
    """Density at scene positions, and the features that come with it, 0 of them from a proposal network.

    Density is exp(first output) times a constant, and 0 outside of the unit cube that the field lives in.
    """
    unit = in_unit_cube(field, positions)
    inside = ((unit > 0) & (unit < 1)).all(-1)
    flat = (unit * inside[..., None]).view(-1, 3)
    if isinstance(field, HashMLPDensityField) and field.use_linear:
        raw = field.linear(field.encoding(flat))
    else:
        raw = cast("nn.Module", field.mlp_base)(flat)
    raw = raw.view(*positions.shape[:-1], raw.shape[-1])
    density = trunc_exp(raw[..., 0].to(positions)) * field.average_init_density * inside
    return density, raw[..., 1:]


def in_unit_cube(field: DensityField, positions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Positions in the field's unit cube, not clamped to it.

    nerfstudio's contraction with the maximum norm m (mip-NeRF 360, Eq. 10) is x (2 - 1 / m) / m where m > 1.
    """
    distort = field.spatial_distortion
    if distort is None:
        low, high = field.aabb
        return (positions - low) / (high - low)
    if not has_maximum_norm(distort):
        return Contraction(field.aabb, distort)(positions)
    x, y, z = positions.abs().unbind(-1)
    inverse = 1 / x.maximum(y).maximum(z).clamp(min=1)
    return positions * ((2 - inverse) * inverse / 4)[..., None] + 0.5
