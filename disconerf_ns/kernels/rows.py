"""Helpers of the hash grid's kernels: the points of a program, their cells, and the table rows of vertices.

`levels` is an int64 array (levels, 3) with the cells per axis, the number of entries and the first row of each level.
`entries` holds the rows of all levels, so that one launch reaches them all; the levels' tables are views of it.
"""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl
from torch import Tensor


def rows_of(tables: tuple[Tensor, ...]) -> list[slice]:
    """Rows of each table in the entries that they are views of."""
    first = [int(table.storage_offset()) // table.shape[1] for table in tables]
    return [slice(start, start + len(table)) for start, table in zip(first, tables)]


@triton.jit
@no_type_check
def points_of_program(points, LEVELS: tl.constexpr, BLOCK: tl.constexpr):
    """Level of a program, its points (int64), and a mask of the points that exist.

    Consecutive programs take the same points at consecutive levels.
    """
    program = tl.program_id(0)
    point = (program // LEVELS).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    return program % LEVELS, point, point < points


@triton.jit
@no_type_check
def level_shape(levels, level):
    """Cells per axis, number of entries and first row of a level."""
    return tl.load(levels + 3 * level), tl.load(levels + 3 * level + 1), tl.load(levels + 3 * level + 2)


@triton.jit
@no_type_check
def cell_along(positions, point, inside, axis, resolution):
    """Lower vertex of the cells that contain points, along one axis, and the points' distance from it, in cells."""
    scaled = tl.load(positions + 3 * point + axis, mask=inside, other=0.0) * resolution.to(tl.float32)
    low = tl.minimum(tl.maximum(tl.floor(scaled).to(tl.int32), 0), resolution.to(tl.int32) - 1)
    return low, scaled - low.to(tl.float32)


@triton.jit
@no_type_check
def cell_of(positions, point, inside, resolution):
    """Lower vertices x, y, z of the cells that contain points, and the points' distances from them, in cells."""
    x, fx = cell_along(positions, point, inside, 0, resolution)
    y, fy = cell_along(positions, point, inside, 1, resolution)
    z, fz = cell_along(positions, point, inside, 2, resolution)
    return x, y, z, fx, fy, fz


@triton.jit
@no_type_check
def corner_weight(fx, fy, fz, corner: tl.constexpr):
    """Trilinear weight of a cell's corner, whose bits 0, 1 and 2 say whether it is the upper one along x, y and z."""
    return (fx if corner & 1 else 1 - fx) * (fy if corner & 2 else 1 - fy) * (fz if corner & 4 else 1 - fz)


@triton.jit
@no_type_check
def vertex_row(x, y, z, resolution, entries, first):
    """Rows (int64) of vertices of a level: dense if the table has an entry for each vertex, otherwise hashed.

    Products modulo 2^32, as in the torch grid, suffice because the hash keeps low bits only.
    """
    side = resolution + 1
    hashed = x.to(tl.uint32) ^ (y.to(tl.uint32) * 2654435761) ^ (z.to(tl.uint32) * 805459861)
    hashed = (hashed & (entries - 1).to(tl.uint32)).to(tl.int32)
    dense = x + (y + z * side.to(tl.int32)) * side.to(tl.int32)
    return first + tl.where(side * side * side == entries, dense, hashed)


@triton.jit
@no_type_check
def corner_row(x, y, z, corner: tl.constexpr, resolution, entries, first):
    """Row of a cell's corner."""
    return vertex_row(x + (corner & 1), y + (corner >> 1 & 1), z + (corner >> 2), resolution, entries, first)


@triton.jit
@no_type_check
def along_features(row, inside, FEATURES: tl.constexpr, LANES: tl.constexpr):
    """Offsets of the features of rows, and a mask of the features that exist, both (rows, LANES)."""
    feature = tl.arange(0, LANES)
    return row[:, None] * FEATURES + feature[None, :], inside[:, None] & (feature < FEATURES)[None, :]
