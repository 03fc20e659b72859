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
from disconerf_ns.kernels.rows import along_features, cell_along, flatten, level_shape, points_of_program, vertex_row

BLOCK = 128
"""Points per program, each with its cell."""


@triton.jit(do_not_specialize=["points"])
@no_type_check
def variation_forward(
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
    """out[program] = sum of ||h_i - h_j||^2 over the program's cells, with lower vertex i and its next vertices j."""
    level, point, inside = points_of_program(points, LEVELS, BLOCK)
    resolution, entries, first = level_shape(levels, level)
    x, _ = cell_along(positions, point, inside, 0, resolution)
    y, _ = cell_along(positions, point, inside, 1, resolution)
    z, _ = cell_along(positions, point, inside, 2, resolution)
    row = vertex_row(x, y, z, resolution, entries, first)
    at, mask = along_features(row, inside, FEATURES, LANES)
    here = tl.load(tables + at, mask=mask, other=0.0)
    squares = tl.zeros((BLOCK, LANES), tl.float32)
    for axis in tl.static_range(3):
        row = vertex_row(x + (axis == 0), y + (axis == 1), z + (axis == 2), resolution, entries, first)
        at, mask = along_features(row, inside, FEATURES, LANES)
        step = here - tl.load(tables + at, mask=mask, other=0.0)
        squares += step * step
    tl.store(out + tl.program_id(0), tl.sum(tl.sum(squares, 1), 0))


@triton.jit(do_not_specialize=["points"])
@no_type_check
def variation_backward(
    positions,
    tables,
    levels,
    grad_out,
    grad_tables,
    points,
    LEVELS: tl.constexpr,
    FEATURES: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """grad_tables[i] += 2 grad_out (h_i - h_j) and grad_tables[j] -= 2 grad_out (h_i - h_j), in float32."""
    level, point, inside = points_of_program(points, LEVELS, BLOCK)
    resolution, entries, first = level_shape(levels, level)
    x, _ = cell_along(positions, point, inside, 0, resolution)
    y, _ = cell_along(positions, point, inside, 1, resolution)
    z, _ = cell_along(positions, point, inside, 2, resolution)
    row = vertex_row(x, y, z, resolution, entries, first)
    at_here, mask = along_features(row, inside, FEATURES, LANES)
    here = tl.load(tables + at_here, mask=mask, other=0.0)
    slope = 2 * tl.load(grad_out)
    total = tl.zeros((BLOCK, LANES), tl.float32)
    for axis in tl.static_range(3):
        row = vertex_row(x + (axis == 0), y + (axis == 1), z + (axis == 2), resolution, entries, first)
        at, mask = along_features(row, inside, FEATURES, LANES)
        pull = slope * (here - tl.load(tables + at, mask=mask, other=0.0))
        tl.atomic_add(grad_tables + at, -pull, mask=mask, sem="relaxed")
        total += pull
    tl.atomic_add(grad_tables + at_here, total, mask=mask, sem="relaxed")


def variation(
    positions: Float[Tensor, "points 3"], levels: Int[Tensor, "levels 3"], tables: Sequence[Tensor]
) -> Float[Tensor, ""]:
    """Sum of ||h_i - h_j||^2 over levels, points and axes; i is the lower vertex of a point's cell, j the next vertex.

    Args:
        positions: points in [0, 1]^3; they get no gradient.
        levels: cells per axis, number of entries and first row of each level.
        tables: one table (entries, features) per level; they are read, and gradients are summed, in float32.
    """
    return _Variation.apply(positions.float().contiguous(), levels, *tables)


class _Variation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, positions: Tensor, levels: Tensor, *tables: Tensor) -> Tensor:
        flat, ctx.sizes = flatten(tables, torch.float32), [len(table) for table in tables]
        ctx.save_for_backward(positions, levels, flat)
        parts = flat.new_empty(blocks(len(positions), BLOCK) * len(levels))
        _run(variation_forward, positions, flat, levels, parts)
        return parts.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        positions, levels, flat = ctx.saved_tensors
        tables = torch.zeros_like(flat)
        _run(variation_backward, positions, flat, levels, grad, tables)
        return None, None, *tables.split(ctx.sizes)


def _run(kernel, positions: Tensor, tables: Tensor, levels: Tensor, *rest: Tensor) -> None:
    points, count, features = len(positions), len(levels), tables.shape[1]
    shape = (count, features, power_of_two(features), BLOCK)
    launch(kernel, blocks(points, BLOCK) * count, positions, tables, levels, *rest, points, *shape)
