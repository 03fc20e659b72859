"""The object field's multiresolution hash grid (Instant-NGP, Sec. 3), in torch or tinycudann, and its total variation.

Both classes have `forward`, `vertex_features`, `total_variation` and `randomize`. `kernels.grid` computes the torch
grid in Triton.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

PRIMES = (1, 2_654_435_761 - 2**32, 805_459_861)
"""Factors of the spatial hash, xor_i x_i PRIMES_i (Instant-NGP, Eq. 4), as signed 32-bit integers. Their products may
overflow, because the hash keeps low bits only."""


def level_resolutions(levels: int, coarsest: int, finest: int) -> list[int]:
    """Cells per axis of each level, in geometric progression."""
    growth = (finest / coarsest) ** (1 / max(levels - 1, 1))
    return [int(coarsest * growth**level + 1e-6) for level in range(levels)]


class HashGrid(nn.Module):
    """The parts of a grid that do not depend on how it is computed."""

    resolutions: list[int]
    """Cells per axis of each level."""
    features: int
    """Number of features per entry."""

    @property
    def out_dim(self) -> int:
        """Number of features of a point."""
        return len(self.resolutions) * self.features

    def randomize(self, levels: int) -> None:
        """Set the entries of this many of the coarsest levels to random values in [-1, 1]."""
        raise NotImplementedError

    def vertex_features(self, level: int, vertices: Int[Tensor, "n 3"]) -> Float[Tensor, "n features"]:
        """Features at integer vertices of one level."""
        raise NotImplementedError

    def total_variation(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, ""]:
        """Total variation (Eq. 7) in the cells that contain points in [0, 1]^3, see `total_variation` below."""
        axes = positions.T.contiguous()
        return total_variation(self, [(axes * r).int().clamp(0, r - 1).T for r in self.resolutions])


class TorchHashGrid(HashGrid):
    """Hash grid over the unit cube: levels whose vertices fit in the table are stored densely, the others are hashed.

    Args:
        levels: number of levels.
        coarsest, finest: cells per axis of the first and the last level.
        log2_table: each level has at most 2^log2_table entries.
        features: number of features per entry.
    """

    def __init__(self, levels: int, coarsest: int, finest: int, log2_table: int, features: int):
        super().__init__()
        self.resolutions = level_resolutions(levels, coarsest, finest)
        self.sizes = [min((r + 1) ** 3, 2**log2_table) for r in self.resolutions]
        self.features = features
        self.tables = nn.ParameterList(nn.Parameter(torch.empty(s, features).uniform_(-1e-4, 1e-4)) for s in self.sizes)

    @torch.no_grad()
    def randomize(self, levels: int) -> None:
        """Set the entries of this many of the coarsest levels to random values in [-1, 1]."""
        for table in self.tables[:levels]:
            table.uniform_(-1, 1)

    def _rows(self, level: int, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Table rows of vertices, whose integer coordinates (int32) are broadcast against each other."""
        side, size = self.resolutions[level] + 1, self.sizes[level]
        if side**3 == size:
            return x + y * side + z * side**2
        return (x * PRIMES[0] ^ y * PRIMES[1] ^ z * PRIMES[2]) & (size - 1)

    def vertex_features(self, level: int, vertices: Int[Tensor, "n 3"]) -> Float[Tensor, "n features"]:
        """Features at integer vertices of one level, as they are stored."""
        return _Gather.apply(self.tables[level], self._rows(level, *vertices.int().unbind(-1))).T

    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n out"]:
        """Trilinearly interpolated features of points in [0, 1]^3, levels side by side."""
        axes = positions.T.contiguous()
        return torch.cat([self._level(level, axes) for level in range(len(self.resolutions))]).T

    def _level(self, level: int, positions: Float[Tensor, "3 n"]) -> Float[Tensor, "features n"]:
        scaled = positions * self.resolutions[level]
        low = scaled.floor().nan_to_num(0).clamp(0, self.resolutions[level] - 1)  # the clamp lets NaN pass
        cell, fraction = low.int(), scaled - low
        # each axis has two vertices with weights; broadcast as (z, y, x) they give the cell's eight corners
        x, y, z = torch.stack([cell, cell + 1], 1)
        wx, wy, wz = torch.stack([1 - fraction, fraction], 1)
        rows = self._rows(level, x[None, None], y[None, :, None], z[:, None, None])
        weights = wz[:, None, None] * (wy[None, :, None] * wx[None, None])
        return _GatherSum.apply(self.tables[level], rows.flatten(0, 2), weights.flatten(0, 2))


def gather(table: Float[Tensor, "size features"], rows: Int[Tensor, "n"]) -> Float[Tensor, "features n"]:
    """Rows of a table, one feature at a time, because torch on a CPU copies single numbers faster than rows of two."""
    return torch.stack([column.index_select(0, rows) for column in table.unbind(-1)])


def scatter_sum(
    rows: Int[Tensor, "n"], values: Float[Tensor, "features n"], size: int
) -> Float[Tensor, "size features"]:
    """A table of `size` rows with the sum of each row's values: the gradient of `gather`."""
    rows, table = rows.long(), values.new_zeros(size, len(values))
    for column, value in zip(table.unbind(-1), values):
        column.scatter_add_(0, rows, value)
    return table


class _Gather(torch.autograd.Function):
    """`gather` with a gradient by `scatter_sum`, which is far faster than torch's own."""

    @staticmethod
    def forward(ctx, table: Tensor, rows: Int[Tensor, "n"]) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.size = len(table)
        return gather(table, rows)

    @staticmethod
    def backward(ctx, grad: Tensor):
        (rows,) = ctx.saved_tensors
        return scatter_sum(rows, grad, ctx.size), None


class _GatherSum(torch.autograd.Function):
    """sum_c weights[c] table[rows[c]]; only the table gets a gradient, because the positions of samples are frozen."""

    @staticmethod
    def forward(ctx, table: Tensor, rows: Int[Tensor, "c n"], weights: Float[Tensor, "c n"]) -> Tensor:
        ctx.save_for_backward(rows, weights)
        ctx.size = len(table)
        return (gather(table, rows.flatten()).unflatten(1, rows.shape) * weights).sum(1)

    @staticmethod
    def backward(ctx, grad: Tensor):
        rows, weights = ctx.saved_tensors
        return scatter_sum(rows.flatten(), (grad[:, None] * weights).flatten(1), ctx.size), None, None


def tcnn_level_sizes(scales: Sequence[float], log2_table: int) -> list[int]:
    """Number of entries of each level in tinycudann, which stores the levels in order, the coarsest first.

    Args:
        scales: length of the unit cube's side in grid coordinates, per level.
        log2_table: each level has at most 2^log2_table entries.
    """
    sides = [math.ceil(scale) + 1 for scale in scales]
    return [min(-(-(side**3) // 8) * 8, 2**log2_table) for side in sides]


class TcnnHashGrid(HashGrid):
    """The same grid in tinycudann, with the arguments of `TorchHashGrid`; needs the package and a CUDA device."""

    def __init__(self, levels: int, coarsest: int, finest: int, log2_table: int, features: int):
        tcnn = import_module("tinycudann")
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

    @torch.no_grad()
    def randomize(self, levels: int) -> None:
        """Set the entries of this many of the coarsest levels to random values in [-1, 1]."""
        entries = sum(tcnn_level_sizes(self._scales[:levels], self._log2_table))
        self.encoding.params[: entries * self.features].uniform_(-1, 1)

    def vertex_features(self, level: int, vertices: Int[Tensor, "n 3"]) -> Float[Tensor, "n features"]:
        """Features at integer vertices of one level: the encoding at points where one vertex has all the weight.

        tinycudann puts point x at grid coordinate x scale + 1/2. Its outermost vertices lie outside the unit cube, so
        vertex 0 here is tinycudann's vertex 1, at x = (1 - 1/2) / scale.
        """
        positions = (vertices + 0.5) / self._scales[level]
        return self(positions).view(-1, len(self.resolutions), self.features)[:, level]

    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n out"]:
        """Trilinearly interpolated features of points in [0, 1]^3, levels side by side, in float32."""
        return self.encoding(positions).float()


def total_variation(grid: HashGrid, vertices: list[Int[Tensor, "n 3"]]) -> Float[Tensor, ""]:
    """Mean of ||h_i - h_j||^2 over pairs of adjacent vertices (Eq. 7), per level, summed over the levels.

    Args:
        grid: the hash grid.
        vertices: vertices in [0, resolution - 1]^3 per level; each is paired with its next vertex along each axis.
    """
    device = vertices[0].device
    total, unit = torch.zeros((), device=device), torch.eye(3, 4, dtype=vertices[0].dtype, device=device).roll(1, 1)
    for level, base in enumerate(vertices):
        ends = (base.T[:, None] + unit[..., None]).flatten(1).T
        features = grid.vertex_features(level, ends).T.unflatten(1, (4, len(base)))
        total = total + (features[:, 1:] - features[:, :1]).square().sum() / (3 * len(base))
    return total
