"""Trilinear interpolation of the hash grid in Triton: one launch for all levels, gradients by float32 atomics.

Additions to one entry wait for each other, and neighbouring pixels share the cells of coarse levels. So a thread of the
backward kernel takes consecutive points, and adds once for all those that lie in the same cell.
"""

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
from disconerf_ns.kernels.rows import (
    along_features,
    cell_of,
    corner_row,
    corner_weight,
    level_shape,
    points_of_program,
    rows_of,
)

BLOCK = 128
"""Points per program, or runs of points."""
RUN = 16
"""Consecutive points that a thread of the backward kernel takes."""


@triton.jit(do_not_specialize=["points"])
@no_type_check
def encode_forward(
    positions,
    entries,
    levels,
    out,
    points,
    LEVELS: tl.constexpr,
    FEATURES: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out[p, l] = sum_c w_c(p) entries[row_c(p)], over the corners c of the cell that contains point p at level l."""
    level, point, inside = points_of_program(points, LEVELS, BLOCK)
    resolution, size, first = level_shape(levels, level)
    x, y, z, fx, fy, fz = cell_of(positions, point, inside, resolution)
    total = tl.zeros((BLOCK, LANES), tl.float32)
    for corner in tl.static_range(8):
        row = corner_row(x, y, z, corner, resolution, size, first)
        source, mask = along_features(row, inside, FEATURES, LANES)
        entry = tl.load(entries + source, mask=mask, other=0.0).to(tl.float32)
        total += corner_weight(fx, fy, fz, corner)[:, None] * entry
    target, mask = along_features(point * LEVELS + level, inside, FEATURES, LANES)
    tl.store(out + target, total, mask=mask)


@triton.jit
@no_type_check
def add_corners(entries, x, y, z, sums, some, resolution, size, first, FEATURES: tl.constexpr, LANES: tl.constexpr):
    """entries[row_c] += sums[c] for the corners c of some of the cells."""
    for corner in tl.static_range(8):
        row = corner_row(x, y, z, corner, resolution, size, first)
        target, mask = along_features(row, some, FEATURES, LANES)
        tl.atomic_add(entries + target, sums[corner], mask=mask, sem="relaxed")


@triton.jit(do_not_specialize=["points"])
@no_type_check
def encode_backward(
    positions,
    grad_out,
    levels,
    grad_entries,
    points,
    LEVELS: tl.constexpr,
    FEATURES: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
    RUN: tl.constexpr,
):
    """grad_entries[row_c(p)] += w_c(p) grad_out[p, l], once for each run of points in the same cell, in float32."""
    level, run, some = points_of_program(tl.cdiv(points, RUN), LEVELS, BLOCK)
    resolution, size, first = level_shape(levels, level)
    x, y, z, _, _, _ = cell_of(positions, run * RUN, some, resolution)
    sums = (tl.zeros((BLOCK, LANES), tl.float32),) * 8
    for step in range(RUN):
        point = run * RUN + step
        inside = point < points
        next_x, next_y, next_z, fx, fy, fz = cell_of(positions, point, inside, resolution)
        left = inside & ((next_x != x) | (next_y != y) | (next_z != z))
        add_corners(grad_entries, x, y, z, sums, left, resolution, size, first, FEATURES, LANES)
        x, y, z = tl.where(left, next_x, x), tl.where(left, next_y, y), tl.where(left, next_z, z)
        source, mask = along_features(point * LEVELS + level, inside, FEATURES, LANES)
        grad = tl.load(grad_out + source, mask=mask, other=0.0).to(tl.float32)
        totals = ()
        for corner in tl.static_range(8):
            kept = tl.where(left[:, None], 0.0, sums[corner])
            totals += (kept + corner_weight(fx, fy, fz, corner)[:, None] * grad,)
        sums = totals
    add_corners(grad_entries, x, y, z, sums, some, resolution, size, first, FEATURES, LANES)


def encode(
    positions: Float[Tensor, "points 3"],
    levels: Int[Tensor, "levels 3"],
    entries: Float[Tensor, "rows features"],
    tables: Sequence[Tensor],
    dtype: torch.dtype,
) -> Float[Tensor, "points out"]:
    """Interpolated features of all levels, side by side.

    Args:
        positions: points in [0, 1]^3; they get no gradient.
        levels: cells per axis, number of entries and first row of each level.
        entries: rows of all levels, without gradient.
        tables: views of `entries`, one (entries, features) per level; gradients are summed in float32.
        dtype: precision in which the entries are read and the result is returned.
    """
    return _Encode.apply(positions.float().contiguous(), levels, entries, dtype, *tables)


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, positions: Tensor, levels: Tensor, entries: Tensor, dtype: torch.dtype, *tables: Tensor) -> Tensor:
        ctx.save_for_backward(positions, levels)
        ctx.rows, ctx.shape = rows_of(tables), entries.shape
        out = positions.new_empty(len(positions), len(tables) * ctx.shape[1], dtype=dtype)
        programs = blocks(len(positions), BLOCK) * len(levels)
        arguments = positions, entries.to(dtype), levels, out, len(positions)
        launch(encode_forward, programs, *arguments, **_sizes(levels, ctx.shape[1]))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        positions, levels = ctx.saved_tensors
        grad_entries = grad.new_zeros(ctx.shape, dtype=torch.float32)
        programs = blocks(len(positions), BLOCK * RUN) * len(levels)
        arguments = positions, grad.contiguous(), levels, grad_entries, len(positions)
        launch(encode_backward, programs, *arguments, **_sizes(levels, ctx.shape[1]), RUN=RUN)
        return None, None, None, None, *(grad_entries[rows] for rows in ctx.rows)


def _sizes(levels: Tensor, features: int) -> dict[str, int]:
    """Compile-time constants of both kernels; unfused, a distance in a cell is rounded as torch rounds it."""
    sizes = {"LEVELS": len(levels), "FEATURES": features, "LANES": power_of_two(features), "BLOCK": BLOCK}
    return {**sizes, "enable_fp_fusion": False}
