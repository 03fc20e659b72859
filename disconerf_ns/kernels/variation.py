"""Total variation of the hash grid (Eq. 7) in Triton: one launch for all levels."""

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
from disconerf_ns.kernels.rows import along_features, cell_of, level_shape, points_of_program, rows_of, vertex_row

BLOCK = 128
"""Points per program, each with its cell."""


@triton.jit(do_not_specialize=["points"])
@no_type_check
def variation_forward(
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
    """out[program] = sum of ||h_i - h_j||^2 over the program's cells, with lower vertex i and its next vertices j."""
    level, point, inside = points_of_program(points, LEVELS, BLOCK)
    resolution, size, first = level_shape(levels, level)
    x, y, z, _, _, _ = cell_of(positions, point, inside, resolution)
    row = vertex_row(x, y, z, resolution, size, first)
    at, mask = along_features(row, inside, FEATURES, LANES)
    here = tl.load(entries + at, mask=mask, other=0.0)
    squares = tl.zeros((BLOCK, LANES), tl.float32)
    for axis in tl.static_range(3):
        row = vertex_row(x + (axis == 0), y + (axis == 1), z + (axis == 2), resolution, size, first)
        at, mask = along_features(row, inside, FEATURES, LANES)
        step = here - tl.load(entries + at, mask=mask, other=0.0)
        squares += step * step
    tl.store(out + tl.program_id(0), tl.sum(tl.sum(squares, 1), 0))


@triton.jit(do_not_specialize=["points"])
@no_type_check
def variation_backward(
    positions,
    entries,
    levels,
    grad_out,
    grad_entries,
    points,
    LEVELS: tl.constexpr,
    FEATURES: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """grad_entries[i] += 2 grad_out (h_i - h_j) and grad_entries[j] -= 2 grad_out (h_i - h_j), in float32."""
    level, point, inside = points_of_program(points, LEVELS, BLOCK)
    resolution, size, first = level_shape(levels, level)
    x, y, z, _, _, _ = cell_of(positions, point, inside, resolution)
    row = vertex_row(x, y, z, resolution, size, first)
    at_here, mask = along_features(row, inside, FEATURES, LANES)
    here = tl.load(entries + at_here, mask=mask, other=0.0)
    slope = 2 * tl.load(grad_out)
    total = tl.zeros((BLOCK, LANES), tl.float32)
    for axis in tl.static_range(3):
        row = vertex_row(x + (axis == 0), y + (axis == 1), z + (axis == 2), resolution, size, first)
        at, mask = along_features(row, inside, FEATURES, LANES)
        pull = slope * (here - tl.load(entries + at, mask=mask, other=0.0))
        tl.atomic_add(grad_entries + at, -pull, mask=mask, sem="relaxed")
        total += pull
    tl.atomic_add(grad_entries + at_here, total, mask=mask, sem="relaxed")


def variation(
    positions: Float[Tensor, "points 3"],
    levels: Int[Tensor, "levels 3"],
    entries: Float[Tensor, "rows features"],
    tables: Sequence[Tensor],
) -> Float[Tensor, ""]:
    """Sum of ||h_i - h_j||^2 over levels, points and axes; i is the lower vertex of a point's cell, j the next vertex.

    Args:
        positions: points in [0, 1]^3; they get no gradient.
        levels: cells per axis, number of entries and first row of each level.
        entries: rows of all levels in float32, without gradient.
        tables: views of `entries`, one (entries, features) per level; gradients are summed in float32.
    """
    return _Variation.apply(positions.float().contiguous(), levels, entries, *tables)


class _Variation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, positions: Tensor, levels: Tensor, entries: Tensor, *tables: Tensor) -> Tensor:
        ctx.save_for_backward(positions, levels, entries)
        ctx.rows = rows_of(tables)
        parts = entries.new_empty(blocks(len(positions), BLOCK) * len(levels))
        _run(variation_forward, positions, entries, levels, parts)
        return parts.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        positions, levels, entries = ctx.saved_tensors
        grad_entries = torch.zeros_like(entries)
        _run(variation_backward, positions, entries, levels, grad, grad_entries)
        return None, None, None, *(grad_entries[rows] for rows in ctx.rows)


def _run(kernel, positions: Tensor, entries: Tensor, levels: Tensor, *rest: Tensor) -> None:
    points, count, features = len(positions), len(levels), entries.shape[1]
    shape = (count, features, power_of_two(features), BLOCK)
    launch(kernel, blocks(points, BLOCK) * count, positions, entries, levels, *rest, points, *shape)
