"""Trilinear interpolation of the hash grid in Triton: one launch for all levels, gradients by float32 atomics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from disconerf_ns.kernels.launch import blocks, launch, power_of_two
from disconerf_ns.kernels.rows import along_features, cell_along, flatten, level_shape, points_of_program, vertex_row

BLOCK = 256
"""Points per program."""


@triton.jit(do_not_specialize=["points"])
@no_type_check
def encode_forward(
    positions,
    tables,
    levels,
    out,
    points,
    LEVELS: tl.constexpr,
    FEATURES: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out[p, l] = sum_c w_c(p) tables[row_c(p)], over the corners c of the cell that contains point p at level l."""
    level, point, inside = points_of_program(points, LEVELS, BLOCK)
    resolution, entries, first = level_shape(levels, level)
    x, fx = cell_along(positions, point, inside, 0, resolution)
    y, fy = cell_along(positions, point, inside, 1, resolution)
    z, fz = cell_along(positions, point, inside, 2, resolution)
    total = tl.zeros((BLOCK, LANES), tl.float32)
    for corner in tl.static_range(8):
        dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
        weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
        row = vertex_row(x + dx, y + dy, z + dz, resolution, entries, first)
        source, mask = along_features(row, inside, FEATURES, LANES)
        total += weight[:, None] * tl.load(tables + source, mask=mask, other=0.0).to(tl.float32)
    target, mask = along_features(point * LEVELS + level, inside, FEATURES, LANES)
    tl.store(out + target, total, mask=mask)


@triton.jit(do_not_specialize=["points"])
@no_type_check
def encode_backward(
    positions,
    grad_out,
    levels,
    grad_tables,
    points,
    LEVELS: tl.constexpr,
    FEATURES: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """grad_tables[row_c(p)] += w_c(p) grad_out[p, l], in float32."""
    level, point, inside = points_of_program(points, LEVELS, BLOCK)
    resolution, entries, first = level_shape(levels, level)
    x, fx = cell_along(positions, point, inside, 0, resolution)
    y, fy = cell_along(positions, point, inside, 1, resolution)
    z, fz = cell_along(positions, point, inside, 2, resolution)
    source, mask = along_features(point * LEVELS + level, inside, FEATURES, LANES)
    grad = tl.load(grad_out + source, mask=mask, other=0.0).to(tl.float32)
    for corner in tl.static_range(8):
        dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
        weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
        row = vertex_row(x + dx, y + dy, z + dz, resolution, entries, first)
        target, mask = along_features(row, inside, FEATURES, LANES)
        tl.atomic_add(grad_tables + target, weight[:, None] * grad, mask=mask, sem="relaxed")


def encode(
    positions: Float[Tensor, "points 3"], levels: Int[Tensor, "levels 3"], tables: Sequence[Tensor], dtype: torch.dtype
) -> Float[Tensor, "points out"]:
    """Interpolated features of all levels, side by side.

    Args:
        positions: points in [0, 1]^3; they get no gradient.
        levels: cells per axis, number of entries and first row of each level.
        tables: one table (entries, features) per level; gradients are summed in float32.
        dtype: precision in which the tables are read and the result is returned.
    """
    return _Encode.apply(positions.float().contiguous(), levels, dtype, *tables)


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, positions: Tensor, levels: Tensor, dtype: torch.dtype, *tables: Tensor) -> Tensor:
        ctx.save_for_backward(positions, levels)
        ctx.sizes, ctx.features = [len(table) for table in tables], tables[0].shape[1]
        out = positions.new_empty(len(positions), len(tables) * ctx.features, dtype=dtype)
        _run(encode_forward, positions, flatten(tables, dtype), levels, out, ctx.features)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        positions, levels = ctx.saved_tensors
        tables = grad.new_zeros(sum(ctx.sizes), ctx.features, dtype=torch.float32)
        _run(encode_backward, positions, grad.contiguous(), levels, tables, ctx.features)
        return None, None, None, *tables.split(ctx.sizes)


def _run(kernel, positions: Tensor, source: Tensor, levels: Tensor, target: Tensor, features: int) -> None:
    points, count = len(positions), len(levels)
    shape = (count, features, power_of_two(features), BLOCK)
    launch(kernel, blocks(points, BLOCK) * count, positions, source, levels, target, points, *shape)
