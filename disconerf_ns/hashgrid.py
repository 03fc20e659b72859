"""The object field's multiresolution hash grid (Instant-NGP, Sec. 3), in torch or tinycudann, and its total variation.

Both classes offer `forward`, `vertex_features` and the `total_variation` that is made of them, and `randomize`;
`kernels.grid` computes the torch grid's in Triton.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

PRIMES = (1, 2_654_435_761, 805_459_861)
"""Factors of the spatial hash, xor_i x_i PRIMES_i (Instant-NGP, Eq. 4)."""


def level_resolutions(levels: int, coarsest: int, finest: int) -> list[int]:
    """Cells per axis of each level, in geometric progression."""
    growth = (finest / coarsest) ** (1 / max(levels - 1, 1))
    return [int(coarsest * growth**level + 1e-6) for level in range(levels)]


class _Varying:
    """A grid's total variation, from its `vertex_features`."""

    def total_variation(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, ""]:
        """Total variation (Eq. 7) over the cells that hold points in [0, 1]^3, a mean over vertex pairs."""
        return total_variation(self, [(positions * r).long().clamp(0, r - 1) for r in self.resolutions])


class TorchHashGrid(_Varying, nn.Module):
    """Hash grid over the unit cube; a level whose vertices fit in the table is stored densely, others are hashed.

    Args:
        levels: number of levels.
        coarsest, finest: cells per axis of the first and the last level.
        log2_table: each level has at most 2^log2_table entries.
        features: features per entry.
    """

    def __init__(self, levels: int, coarsest: int, finest: int, log2_table: int, features: int):
        super().__init__()
        self.resolutions = level_resolutions(levels, coarsest, finest)
        self.sizes = [min((r + 1) ** 3, 2**log2_table) for r in self.resolutions]
        self.features = features
        self.tables = nn.ParameterList(nn.Parameter(torch.empty(s, features).uniform_(-1e-4, 1e-4)) for s in self.sizes)

    @property
    def out_dim(self) -> int:
        """Number of features of a point."""
        return len(self.resolutions) * self.features

    @torch.no_grad()
    def randomize(self, levels: int) -> None:
        """Give the coarsest levels' entries random values in [-1, 1]."""
        for table in self.tables[:levels]:
            table.uniform_(-1, 1)

    def _rows(self, level: int, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Table rows of vertices with integer coordinates that broadcast against each other."""
        side, size = self.resolutions[level] + 1, self.sizes[level]
        if side**3 == size:
            return x + y * side + z * side**2
        return (x * PRIMES[0] ^ y * PRIMES[1] ^ z * PRIMES[2]) & (size - 1)

    def vertex_features(self, level: int, vertices: Int[Tensor, "n 3"]) -> Float[Tensor, "n features"]:
        """Features stored at integer vertices of one level."""
        return self.tables[level][self._rows(level, *vertices.unbind(-1))]

    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n out"]:
        """Trilinearly interpolated features of points in [0, 1]^3, levels side by side."""
        return torch.cat([self._level(level, positions) for level in range(len(self.resolutions))], dim=-1)

    def _level(self, level: int, positions: Tensor) -> Tensor:
        scaled = positions * self.resolutions[level]
        cell = scaled.floor().clamp(0, self.resolutions[level] - 1)
        fraction, low = scaled - cell, cell.long()
        # per axis the two vertices and their weights; as (z, y, x) they span the cell's eight corners
        x, y, z = torch.stack([low, low + 1], -1).unbind(1)
        wx, wy, wz = torch.stack([1 - fraction, fraction], -1).unbind(1)
        rows = self._rows(level, x[:, None, None], y[:, None, :, None], z[:, :, None, None])
        weights = wz[:, :, None, None] * wy[:, None, :, None] * wx[:, None, None]
        return _GatherSum.apply(self.tables[level], rows.flatten(1), weights.flatten(1))


class _GatherSum(torch.autograd.Function):
    """sum_c weights[:, c] table[index[:, c]]; the table alone gets a gradient (the sample positions are frozen)."""

    @staticmethod
    def forward(ctx, table: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(index, weights)
        ctx.rows = len(table)
        return nn.functional.embedding_bag(index, table, mode="sum", per_sample_weights=weights.to(table))

    @staticmethod
    def backward(ctx, grad: Tensor):
        index, weights = ctx.saved_tensors
        flat, contribution = index.flatten(), (weights[..., None] * grad[:, None]).flatten(0, 1)
        table = torch.zeros(ctx.rows, grad.shape[-1], device=grad.device, dtype=grad.dtype)
        return table.index_add_(0, flat, contribution), None, None


def tcnn_level_sizes(scales: Sequence[float], log2_table: int) -> list[int]:
    """Entries of each level in tinycudann, which lays levels out in order, the coarsest first.

    Args:
        scales: grid coordinates that the unit cube spans, per level.
        log2_table: each level has at most 2^log2_table entries.
    """
    sides = [math.ceil(scale) + 1 for scale in scales]
    return [min(-(-(side**3) // 8) * 8, 2**log2_table) for side in sides]


class TcnnHashGrid(_Varying, nn.Module):
    """The same grid in tinycudann; needs a CUDA device and the package. Arguments as `TorchHashGrid`."""

    def __init__(self, levels: int, coarsest: int, finest: int, log2_table: int, features: int):
        import tinycudann as tcnn

        super().__init__()
        growth = (finest / coarsest) ** (1 / max(levels - 1, 1))
        self._log2_table = log2_table
        self._scales = [coarsest * growth**level - 1 for level in range(levels)]
        self.resolutions = [math.floor(scale - 0.5) for scale in self._scales]
        self.features = features
        self.encoding = tcnn.Encoding(
            n_input_dims=3,
            encoding_config={
                "otype": "HashGrid",
                "n_levels": levels,
                "n_features_per_level": features,
                "log2_hashmap_size": log2_table,
                "base_resolution": coarsest,
                "per_level_scale": growth,
            },
        )

    @property
    def out_dim(self) -> int:
        """Number of features of a point."""
        return len(self.resolutions) * self.features

    @torch.no_grad()
    def randomize(self, levels: int) -> None:
        """Give the coarsest levels' entries random values in [-1, 1]."""
        entries = sum(tcnn_level_sizes(self._scales[:levels], self._log2_table))
        self.encoding.params[: entries * self.features].uniform_(-1, 1)

    def vertex_features(self, level: int, vertices: Int[Tensor, "n 3"]) -> Float[Tensor, "n features"]:
        """Features at integer vertices: the encoding where its interpolation weight is one vertex's alone.

        tinycudann puts point x at grid coordinate x scale + 1/2; its outermost vertices lie outside of the unit cube,
        so vertex 0 here is its vertex 1, at x = (1 - 1/2) / scale.
        """
        positions = (vertices + 0.5) / self._scales[level]
        return self(positions).view(-1, len(self.resolutions), self.features)[:, level]

    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n out"]:
        """Interpolated features of points in [0, 1]^3."""
        return self.encoding(positions).float()


HashGrid = TorchHashGrid | TcnnHashGrid


def total_variation(grid: HashGrid, vertices: list[Int[Tensor, "n 3"]]) -> Float[Tensor, ""]:
    """Mean of ||h_i - h_j||^2 over pairs of adjacent vertices (Eq. 7), per level, summed over the levels.

    Args:
        grid: the hash grid.
        vertices: of each level, vertices in [0, resolution - 1]^3; each is paired with its three upper neighbours.
    """
    total = 0.0
    for level, base in enumerate(vertices):
        steps = torch.eye(3, dtype=base.dtype, device=base.device)
        pairs = torch.cat([base, (base[:, None] + steps).flatten(0, 1)])
        features = grid.vertex_features(level, pairs)
        here, neighbours = features[: len(base), None], features[len(base) :].view(len(base), 3, features.shape[-1])
        total = total + (here - neighbours).square().sum(-1).mean()
    return total
