"""Coarse-to-fine learning of the radiance field's hash grid (DiscoNeRF, 7.2): finer levels wait for coarser ones.

A level that waits gets no gradient and keeps its initial values, within 0.001 of zero. So surfaces form where the
coarse levels put them. Fog in front of single cameras needs fine levels, and these start when surfaces already explain
the photos.
"""

from __future__ import annotations

from typing import cast

from jaxtyping import Float
from nerfstudio.field_components.mlp import MLPWithHashEncoding
from torch import Tensor, nn

from disconerf_ns.kernels.hash_grid import tcnn_level_sizes


class CoarseToFine:
    """Blocks the gradient of the finest levels of nerfacto's hash grid, in torch's layout or tinycudann's."""

    def __init__(self, grid: MLPWithHashEncoding):
        if isinstance(grid.model, nn.Sequential):
            parameter, entries = grid.model[0].hash_table, [grid.hash_table_size] * grid.num_levels
        else:
            scales = [grid.min_res * grid.growth_factor**level - 1 for level in range(grid.num_levels)]
            parameter, entries = grid.model.params, tcnn_level_sizes(scales, grid.log2_hashmap_size)
        self._values = [grid.features_per_level * size for size in entries]
        self.open_levels = grid.num_levels
        """Number of levels that learn, counted from the coarsest."""
        cast("Tensor", parameter).register_hook(self._hold_back)

    def _hold_back(self, gradient: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The gradient with zeros in its last values, which belong to the finest levels."""
        held = sum(self._values[self.open_levels :])
        if held == 0:
            return gradient
        kept = gradient.clone()
        kept.view(-1)[-held:] = 0
        return kept
