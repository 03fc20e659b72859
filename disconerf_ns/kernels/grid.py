"""The torch hash grid with its values and gradients computed by Triton."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from disconerf_ns.kernels.encode import encode
from disconerf_ns.kernels.hash_grid import TorchHashGrid
from disconerf_ns.kernels.launch import blocks, precision, runs_on
from disconerf_ns.kernels.variation import variation

ALIGNED = 8
"""Tables begin at multiples of this many rows, so that optimizers can read several numbers at once."""


class TritonHashGrid(TorchHashGrid):
    """`TorchHashGrid` with the same parameters, computed by Triton if it runs on their device, otherwise by torch.

    Under autocast, entries are read and features are returned in autocast's precision; sums are always in float32.
    """

    levels: Int[Tensor, "levels 3"]
    """Cells per axis, number of entries and first row of each level."""

    def __init__(self, levels: int, coarsest: int, finest: int, log2_table: int, features: int):
        super().__init__(levels, coarsest, finest, log2_table, features)
        room = [ALIGNED * blocks(size, ALIGNED) for size in self.sizes]
        self.first, self.rows = [sum(room[:level]) for level in range(levels)], sum(room)
        shapes = torch.tensor([self.resolutions, self.sizes, self.first]).T.contiguous()
        self.register_buffer("levels", shapes, persistent=False)

    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n out"]:
        """Trilinearly interpolated features of points in [0, 1]^3, levels side by side."""
        if not runs_on(positions):
            return super().forward(positions)
        return encode(positions, self.levels, self.entries(), list(self.tables), precision(positions))

    def total_variation(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, ""]:
        """Total variation (Eq. 7): mean of ||h_i - h_j||^2 over the three lower edges of each point's cell, per level,
        summed over the levels."""
        if not runs_on(positions):
            return super().total_variation(positions)
        return variation(positions, self.levels, self.entries(), list(self.tables)) / (3 * len(positions))

    @torch.no_grad()
    def entries(self) -> Float[Tensor, "rows features"]:
        """The memory of which all tables are views, so that no step copies them; it has no gradient.

        Tables that were moved or copied since the last call lie apart, and are joined again.
        """
        memory = self.tables[0].untyped_storage().data_ptr()
        places = [(memory, first * self.features) for first in self.first]
        if places != [(table.untyped_storage().data_ptr(), table.storage_offset()) for table in self.tables]:
            joined = self.tables[0].new_zeros(self.rows, self.features)
            parts = [joined[first : first + size] for first, size in zip(self.first, self.sizes)]
            for part, table in zip(parts, self.tables):
                part.copy_(table)
            for part, table in zip(parts, self.tables):
                table.data = part
        return self.tables[0].as_strided((self.rows, self.features), (self.features, 1))
