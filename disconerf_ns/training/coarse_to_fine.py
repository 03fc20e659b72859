"""Coarse-to-fine learning of the radiance field's hash grid (DiscoNeRF, 7.2): finer levels wait for coarser ones.

A level that waits gets no gradient and keeps its initial values, within 0.001 of zero. So surfaces form where the
coarse levels put them. Fog in front of single cameras needs fine levels, and these start when surfaces already explain
the photos.
"""

from __future__ import annotations

from typing import cast

from nerfstudio.field_components.mlp import MLPWithHashEncoding
from torch import Tensor, nn
from torch.cuda import is_current_stream_capturing as capturing

from disconerf_ns.kernels.hash_grid import tcnn_level_sizes


class CoarseToFine:
    """Sets the gradient of the finest levels of nerfacto's hash grid to 0, in torch's layout or tinycudann's."""

    def __init__(self, grid: MLPWithHashEncoding):
        if isinstance(grid.model, nn.Sequential):
            parameter, entries = grid.model[0].hash_table, [grid.hash_table_size] * grid.num_levels
        else:
            scales = [grid.min_res * grid.growth_factor**level - 1 for level in range(grid.num_levels)]
            parameter, entries = grid.model.params, tcnn_level_sizes(scales, grid.log2_hashmap_size)
        self._values = [grid.features_per_level * size for size in entries]
        self._parameter = cast("Tensor", parameter)
        self.open_levels = grid.num_levels
        """Number of levels that learn, counted from the coarsest."""
        self._parameter.register_post_accumulate_grad_hook(self._hold_back_now)

    def _hold_back_now(self, parameter: Tensor) -> None:
        if not (parameter.is_cuda and capturing()):
            self.hold_back()

    def hold_back(self) -> None:
        """Set the gradient's last values to 0, which belong to the finest levels; every backward pass ends with this.

        A CUDA graph does not contain this, because levels open while it is in use; call it after a replay.
        """
        held = sum(self._values[self.open_levels :])
        if held > 0 and self._parameter.grad is not None:
            self._parameter.grad.view(-1)[-held:] = 0
