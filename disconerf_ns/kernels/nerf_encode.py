"""nerfstudio's `HashEncoding` in Triton: one launch for all levels, with gradients of the table and of the positions.

In contrast to `kernels.encode`, every level is hashed into a table of the same size, and positions learn, because a
camera optimizer moves them.
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from disconerf_ns.kernels.launch import blocks, launch, power_of_two
from disconerf_ns.kernels.rows import along_features

BLOCK = 128
"""Points per program, or runs of points."""
GROUP = 1024
"""Consecutive programs that take different points at the same level, so that its table stays in the GPU's cache."""
RUN = 8
"""Consecutive points that a thread sums up, as long as they share a cell, before it adds to the table's gradient:
neighbouring samples of a ray share the coarse levels' cells, and additions to one entry wait for each other."""


@triton.jit
@no_type_check
def block_and_level(blocks, LEVELS: tl.constexpr, GROUP: tl.constexpr):
    """Block of points (int64) and level of a program."""
    program = tl.program_id(0)
    start = program // (GROUP * LEVELS) * GROUP
    width, place = tl.minimum(GROUP, blocks - start), program % (GROUP * LEVELS)
    return (start + place % width).to(tl.int64), place // width


@triton.jit
@no_type_check
def cell_along(coordinate, scale):
    """Lower vertex of the cells that contain points, along one axis, and the points' distance from it, in cells."""
    scaled = coordinate * scale
    low = tl.floor(scaled)
    return low.to(tl.int32), scaled - low


@triton.jit
@no_type_check
def cell_of(positions, point, inside, scale):
    """Lower vertices x, y, z of the cells that contain points, and the points' distances from them, in cells."""
    x, fx = cell_along(tl.load(positions + 3 * point + 0, mask=inside, other=0.0), scale)
    y, fy = cell_along(tl.load(positions + 3 * point + 1, mask=inside, other=0.0), scale)
    z, fz = cell_along(tl.load(positions + 3 * point + 2, mask=inside, other=0.0), scale)
    return x, y, z, fx, fy, fz


@triton.jit
@no_type_check
def corner_row(x, y, z, corner: tl.constexpr, SIZE: tl.constexpr):
    """Table row of a cell's corner, whose bits 0, 1 and 2 say whether it is the upper one along x, y and z.

    Products modulo 2^32 suffice because the hash keeps low bits only.
    """
    x, y, z = x + (corner & 1), y + (corner >> 1 & 1), z + (corner >> 2)
    hashed = x.to(tl.uint32) ^ (y.to(tl.uint32) * 2654435761) ^ (z.to(tl.uint32) * 805459861)
    return (hashed & (SIZE - 1)).to(tl.int32)


@triton.jit
@no_type_check
def corner_weights(fx, fy, fz, corner: tl.constexpr):
    """Linear weights of a cell's corner along x, y and z."""
    return fx if corner & 1 else 1 - fx, fy if corner & 2 else 1 - fy, fz if corner & 4 else 1 - fz


@triton.jit
@no_type_check
def corner_weight(fx, fy, fz, corner: tl.constexpr):
    """Trilinear weight of a cell's corner."""
    wx, wy, wz = corner_weights(fx, fy, fz, corner)
    return wx * wy * wz


@triton.jit
@no_type_check
def interpolate(table, x, y, z, fx, fy, fz, inside, SIZE: tl.constexpr, FEATURES: tl.constexpr, LANES: tl.constexpr):
    """Features of points in their cells, (points, LANES), float32."""
    total = tl.zeros((x.shape[0], LANES), tl.float32)
    for corner in tl.static_range(8):
        source, mask = along_features(corner_row(x, y, z, corner, SIZE), inside, FEATURES, LANES)
        entry = tl.load(table + source, mask=mask, other=0.0).to(tl.float32)
        total += corner_weight(fx, fy, fz, corner)[:, None] * entry
    return total


@triton.jit(do_not_specialize=["points", "blocks"])
@no_type_check
def nerf_encode_forward(
    positions,
    tables,
    scalings,
    out,
    points,
    blocks,
    LEVELS: tl.constexpr,
    SIZE: tl.constexpr,
    FEATURES: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
):
    """out[p, l] = sum_c w_c(p) tables[l, row_c(p)], over the corners c of the cell that contains point p at level l."""
    block, level = block_and_level(blocks, LEVELS, GROUP)
    point = block * BLOCK + tl.arange(0, BLOCK)
    inside = point < points
    x, y, z, fx, fy, fz = cell_of(positions, point, inside, tl.load(scalings + level))
    table = tables + level.to(tl.int64) * (SIZE * FEATURES)
    features = interpolate(table, x, y, z, fx, fy, fz, inside, SIZE, FEATURES, LANES)
    target, mask = along_features(point * LEVELS + level, inside, FEATURES, LANES)
    tl.store(out + target, features, mask=mask)


@triton.jit
@no_type_check
def add_corners(table, x, y, z, sums, some, SIZE: tl.constexpr, FEATURES: tl.constexpr, LANES: tl.constexpr):
    """table[row_c] += sums[c] for the corners c of some of the cells."""
    for corner in tl.static_range(8):
        target, mask = along_features(corner_row(x, y, z, corner, SIZE), some, FEATURES, LANES)
        tl.atomic_add(table + target, sums[corner], mask=mask, sem="relaxed")


@triton.jit(do_not_specialize=["points", "blocks"])
@no_type_check
def nerf_encode_backward_tables(
    positions,
    grad_out,
    scalings,
    grad_tables,
    points,
    blocks,
    LEVELS: tl.constexpr,
    SIZE: tl.constexpr,
    FEATURES: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    RUN: tl.constexpr,
):
    """grad_tables[l, row_c(p)] += w_c(p) grad_out[p, l], once for each run of points in the same cell, in float32."""
    block, level = block_and_level(blocks, LEVELS, GROUP)
    scale, table = tl.load(scalings + level), grad_tables + level.to(tl.int64) * (SIZE * FEATURES)
    first = (block * BLOCK + tl.arange(0, BLOCK)) * RUN
    some = first < points
    x, y, z, _, _, _ = cell_of(positions, first, some, scale)
    sums = (tl.zeros((BLOCK, LANES), tl.float32),) * 8
    for step in range(RUN):
        point = first + step
        inside = point < points
        next_x, next_y, next_z, fx, fy, fz = cell_of(positions, point, inside, scale)
        left = inside & ((next_x != x) | (next_y != y) | (next_z != z))
        add_corners(table, x, y, z, sums, left, SIZE, FEATURES, LANES)
        x, y, z = tl.where(left, next_x, x), tl.where(left, next_y, y), tl.where(left, next_z, z)
        source, mask = along_features(point * LEVELS + level, inside, FEATURES, LANES)
        grad = tl.load(grad_out + source, mask=mask, other=0.0).to(tl.float32)
        totals = ()
        for corner in tl.static_range(8):
            kept = tl.where(left[:, None], 0.0, sums[corner])
            totals += (kept + corner_weight(fx, fy, fz, corner)[:, None] * grad,)
        sums = totals
    add_corners(table, x, y, z, sums, some, SIZE, FEATURES, LANES)


@triton.jit(do_not_specialize=["points"])
@no_type_check
def nerf_encode_backward_positions(
    positions,
    tables,
    scalings,
    grad_out,
    grad_positions,
    points,
    LEVELS: tl.constexpr,
    SIZE: tl.constexpr,
    FEATURES: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """grad_positions[p] = sum_l scaling_l sum_c dw_c/df <tables[l, row_c(p)], grad_out[p, l]>, f in units of cells.

    A point on a vertex of an axis has the same vertex below and above it, so it gets nothing along that axis.
    """
    point = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = point < points
    along_x, along_y, along_z = (tl.zeros((BLOCK,), tl.float32),) * 3
    for level in range(LEVELS):
        scale, table = tl.load(scalings + level), tables + tl.cast(level, tl.int64) * (SIZE * FEATURES)
        x, y, z, fx, fy, fz = cell_of(positions, point, inside, scale)
        source, mask = along_features(point * LEVELS + level, inside, FEATURES, LANES)
        grad = tl.load(grad_out + source, mask=mask, other=0.0).to(tl.float32)
        slope_x, slope_y, slope_z = (tl.zeros((BLOCK,), tl.float32),) * 3
        for corner in tl.static_range(8):
            source, mask = along_features(corner_row(x, y, z, corner, SIZE), inside, FEATURES, LANES)
            pull = tl.sum(tl.load(table + source, mask=mask, other=0.0).to(tl.float32) * grad, 1)
            wx, wy, wz = corner_weights(fx, fy, fz, corner)
            slope_x += (wy * wz) * (pull if corner & 1 else -pull)
            slope_y += (wx * wz) * (pull if corner & 2 else -pull)
            slope_z += (wx * wy) * (pull if corner & 4 else -pull)
        along_x += tl.where(fx > 0, scale * slope_x, 0.0)
        along_y += tl.where(fy > 0, scale * slope_y, 0.0)
        along_z += tl.where(fz > 0, scale * slope_z, 0.0)
    tl.store(grad_positions + 3 * point, along_x, mask=inside)
    tl.store(grad_positions + 3 * point + 1, along_y, mask=inside)
    tl.store(grad_positions + 3 * point + 2, along_z, mask=inside)


def encode(
    positions: Float[Tensor, "*bs 3"],
    tables: Float[Tensor, "rows features"],
    scalings: Float[Tensor, "levels"],
    dtype: torch.dtype,
) -> Float[Tensor, "*bs out"]:
    """Interpolated features of all levels, side by side: the values and gradients of `HashEncoding.pytorch_fwd`.

    Entries are read as they are stored, and sums and gradients of tables and positions are in float32.

    Args:
        positions: points; they get a gradient where they need one.
        tables: the levels' tables, one after the other, with a power of two of rows each.
        scalings: cells per axis of each level, on the device of the positions.
        dtype: precision of the result.
    """
    flat = positions.reshape(-1, 3).float().contiguous()
    features = _Encode.apply(flat, tables.contiguous(), scalings, dtype)
    return features.view(*positions.shape[:-1], features.shape[-1])


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, positions: Tensor, tables: Tensor, scalings: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(positions, tables, scalings)
        out = positions.new_empty(len(positions), len(scalings) * tables.shape[1], dtype=dtype)
        count, shape = blocks(len(positions), BLOCK), _shape(tables, scalings)
        arguments = positions, tables, scalings, out, len(positions), count
        launch(nerf_encode_forward, count * len(scalings), *arguments, **shape, GROUP=GROUP)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        positions, tables, scalings = ctx.saved_tensors
        points, shape, grad = len(positions), _shape(tables, scalings), grad.contiguous()
        grad_positions = grad_tables = None
        if ctx.needs_input_grad[0]:
            grad_positions = torch.empty_like(positions)
            arguments = positions, tables, scalings, grad, grad_positions, points
            launch(nerf_encode_backward_positions, blocks(points, BLOCK), *arguments, **shape)
        if ctx.needs_input_grad[1]:
            grad_tables, count = torch.zeros_like(tables, dtype=torch.float32), blocks(points, BLOCK * RUN)
            arguments = positions, grad, scalings, grad_tables, points, count
            launch(nerf_encode_backward_tables, count * len(scalings), *arguments, **shape, GROUP=GROUP, RUN=RUN)
        return grad_positions, grad_tables, None, None


def _shape(tables: Tensor, scalings: Tensor) -> dict[str, int]:
    """Compile-time constants of all kernels.

    A multiplication that is fused with the subtraction after it would find other distances from a cell's vertex than
    torch does: by 6e-5 of 2048 cells, and not exactly 0 on a vertex.
    """
    levels, (rows, features) = len(scalings), tables.shape
    sizes = {"LEVELS": levels, "SIZE": rows // levels, "FEATURES": features, "LANES": power_of_two(features)}
    return {**sizes, "BLOCK": BLOCK, "enable_fp_fusion": False}
