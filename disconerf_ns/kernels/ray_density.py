"""Densities along rays without gradients, in one launch: from rays to densities no tensor of points is in memory.

It is `get_density` of nerfstudio's proposal networks and of nerfacto's field, which are asked for far more densities
than colours, and which nothing learns from when surfaces are sampled, when images are rendered, and in the steps that
leave the proposal networks as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from nerfstudio.field_components.encodings import HashEncoding
from nerfstudio.field_components.mlp import MLP
from nerfstudio.field_components.spatial_distortions import SceneContraction
from nerfstudio.fields.density_fields import HashMLPDensityField
from nerfstudio.fields.nerfacto_field import NerfactoField
from torch import Tensor, nn

from disconerf_ns.kernels.choice import gpu_runs_triton
from disconerf_ns.kernels.launch import runs_on


@dataclass(frozen=True)
class RayDensity:
    """The density of a field, as a function of rays.

    It reads the field's parameters at each call, and keeps nothing of them but `table`.
    """

    field: HashMLPDensityField | NerfactoField
    encoding: HashEncoding
    layers: tuple[nn.Linear, ...]
    """The last layer, and perhaps one hidden layer before it."""
    dtype: torch.dtype
    """Precision of features and weights: half, bfloat16 or float32. Sums are in float32."""
    scalings: Float[Tensor, "levels"]
    """Cells per axis of each level."""
    table: Tensor | None
    """Entries of a frozen field in `dtype`; None if the field's own are read."""

    @staticmethod
    def of(field: HashMLPDensityField | NerfactoField, dtype: torch.dtype, frozen: bool = False) -> RayDensity | None:
        """The density of a field, or None without a GPU that runs Triton, or if the field's shape is not supported.

        Supported are torch's encoding and MLP (not tinycudann's) with at most one hidden layer of ReLU.

        Args:
            field: a proposal network, or nerfacto's field, on its device.
            dtype: precision of features and weights.
            frozen: the table does not change any more, so a copy in `dtype` is read, which caches hold more of.
        """
        if not runs_on(field.aabb) or not gpu_runs_triton():
            return None
        encoding, network = _parts(field)
        layers, distortion = _linear(network), field.spatial_distortion
        boxed = distortion is None or (isinstance(distortion, SceneContraction) and distortion.order == float("inf"))
        if not boxed or not layers or not isinstance(encoding, HashEncoding) or encoding.tcnn_encoding is not None:
            return None
        table = encoding.hash_table.detach().to(dtype, copy=True) if frozen else None
        return RayDensity(field, encoding, layers, dtype, encoding.scalings.float().to(field.aabb.device), table)

    @torch.no_grad()
    def __call__(
        self,
        origins: Float[Tensor, "rays 3"],
        directions: Float[Tensor, "rays 3"],
        middles: Float[Tensor, "rays samples"],
    ) -> Float[Tensor, "rays samples"]:
        """Densities at origin + middle direction, in float32, without gradient.

        Args:
            origins, directions: rays in the field's coordinates.
            middles: distances of the samples in units of `directions`, as in the middle of nerfstudio's frustums.
        """
        from disconerf_ns.kernels.ray_density_triton import density

        box = None if self.field.spatial_distortion is not None else self.field.aabb
        table = self.encoding.hash_table if self.table is None else self.table
        factor = self.field.average_init_density
        return density(origins, directions, middles, box, table, self.scalings, self.layers, factor, self.dtype)

    def at(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """Densities at points in the field's coordinates."""
        return self(positions, positions, torch.zeros_like(positions[:, :1]))[:, 0]


def _parts(field: HashMLPDensityField | NerfactoField) -> tuple[nn.Module | None, nn.Module | None]:
    """Encoding and network of a field."""
    if type(field) is HashMLPDensityField:
        return field.encoding, field.linear if field.use_linear else field.mlp_base[1]
    if type(field) is NerfactoField and isinstance(field.mlp_base.model, nn.Sequential):
        return field.mlp_base.model[0], field.mlp_base.model[1]
    return None, None


def _linear(network: nn.Module | None) -> tuple[nn.Linear, ...]:
    """The linear layers of a supported network, otherwise none."""
    if isinstance(network, nn.Linear):
        return (network,)
    if not isinstance(network, MLP) or network.tcnn_encoding is not None or network.out_activation is not None:
        return ()
    layers = tuple(layer for layer in network.layers if isinstance(layer, nn.Linear))
    return layers if len(layers) == 1 or (len(layers) == 2 and type(network.activation) is nn.ReLU) else ()
