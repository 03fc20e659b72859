"""The torch hash grid's tables, read and taught by Triton."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from disconerf_ns.kernels.encode import encode
from disconerf_ns.kernels.hash_grid import TorchHashGrid
from disconerf_ns.kernels.launch import runs_on
from disconerf_ns.kernels.variation import variation


class TritonHashGrid(TorchHashGrid):
    """`TorchHashGrid` with the same parameters, computed by Triton where their device has it, otherwise as there.

    Under autocast, entries are read and features returned in autocast's precision; sums are float32 throughout.
    """

    def __init__(self, levels: int, coarsest: int, finest: int, log2_table: int, features: int):
        super().__init__(levels, coarsest, finest, log2_table, features)
        first = [sum(self.sizes[:level]) for level in range(levels)]
        shapes = torch.tensor([self.resolutions, self.sizes, first]).T.contiguous()
        self.register_buffer("levels", shapes, persistent=False)

    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n out"]:
        """Trilinearly interpolated features of points in [0, 1]^3, levels side by side."""
        if not runs_on(positions):
            return super().forward(positions)
        device = positions.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        return encode(positions, self.levels, list(self.tables), dtype)

    def total_variation(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, ""]:
        """Mean of ||h_i - h_j||^2 over the lower edges of the cells that hold points, summed over the levels."""
        if not runs_on(positions):
            return super().total_variation(positions)
        return variation(positions, self.levels, list(self.tables)) / (3 * len(positions))
