"""The kernel of `kernels.ray_density`: positions, contraction, hash encoding and MLP stay in a program's registers."""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor, nn

from disconerf_ns.kernels.launch import blocks, launch, power_of_two
from disconerf_ns.kernels.nerf_encode import cell_along, interpolate

BLOCK = 128
"""Points per program."""
TYPES = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}


@triton.jit
@no_type_check
def along_ray(origins, directions, ray, middle, inside):
    """One coordinate of origin + middle direction."""
    start = tl.load(origins + ray, mask=inside, other=0.0)
    return start + tl.load(directions + ray, mask=inside, other=0.0) * middle


@triton.jit
@no_type_check
def contracted(x, y, z):
    """`SceneContraction` with the maximum norm, which leaves norms below 1; then from [-2, 2]^3 to the unit cube."""
    size = tl.maximum(tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z)), 1.0)
    reach = 2 - tl.div_rn(1.0, size)
    x, y, z = reach * tl.div_rn(x, size), reach * tl.div_rn(y, size), reach * tl.div_rn(z, size)
    return (x + 2) / 4, (y + 2) / 4, (z + 2) / 4


@triton.jit
@no_type_check
def in_box(coordinate, box, axis: tl.constexpr):
    """A coordinate from the box's lower and upper corner to [0, 1]."""
    low = tl.load(box + axis)
    return tl.div_rn(coordinate - low, tl.load(box + 3 + axis) - low)


@triton.jit(do_not_specialize=["points", "samples"])
@no_type_check
def ray_density(
    origins,
    directions,
    middles,
    box,
    tables,
    scalings,
    weight,
    bias,
    last_weight,
    last_bias,
    out,
    points,
    samples,
    FACTOR: tl.constexpr,
    CONTRACT: tl.constexpr,
    LEVELS: tl.constexpr,
    SIZE: tl.constexpr,
    FEATURES: tl.constexpr,
    LANES: tl.constexpr,
    WIDTH: tl.constexpr,
    UNITS: tl.constexpr,
    ACTIVE: tl.constexpr,
    DTYPE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out[p] = FACTOR exp(MLP(encoding(x))), with x = origin + middle direction in the unit cube; 0 if x is not in it.

    The first layer has WIDTH units, and every level adds its features' part to them. ReLU and the last layer follow if
    ACTIVE; otherwise the first layer is the only one, of one unit. The levels are a loop that is not unrolled, because
    compiling sixteen of them takes longer than the surface of a scene.
    """
    point = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = point < points
    middle, ray = tl.load(middles + point, mask=inside, other=0.0), 3 * (point // samples)
    x = along_ray(origins, directions, ray, middle, inside)
    y = along_ray(origins + 1, directions + 1, ray, middle, inside)
    z = along_ray(origins + 2, directions + 2, ray, middle, inside)
    if CONTRACT:
        x, y, z = contracted(x, y, z)
    else:
        x, y, z = in_box(x, box, 0), in_box(y, box, 1), in_box(z, box, 2)
    seen = inside & (x > 0) & (x < 1) & (y > 0) & (y < 1) & (z > 0) & (z < 1)

    lane, unit = tl.arange(0, LANES), tl.arange(0, UNITS)
    hidden = tl.zeros((BLOCK, UNITS), tl.float32) + tl.load(bias + unit, mask=unit < WIDTH, other=0.0)[None, :]
    for level in range(LEVELS):
        scale, table = tl.load(scalings + level), tables + tl.cast(level, tl.int64) * (SIZE * FEATURES)
        low_x, fx = cell_along(x, scale)
        low_y, fy = cell_along(y, scale)
        low_z, fz = cell_along(z, scale)
        found = interpolate(table, low_x, low_y, low_z, fx, fy, fz, seen, SIZE, FEATURES, LANES)
        found = found.to(DTYPE).to(tl.float32)
        for feature in tl.static_range(FEATURES):
            value = tl.sum(tl.where((lane == feature)[None, :], found, 0.0), 1)
            column = tl.load(
                weight + unit * (LEVELS * FEATURES) + level * FEATURES + feature, mask=unit < WIDTH, other=0.0
            )
            hidden += value[:, None] * column.to(DTYPE).to(tl.float32)[None, :]
    if ACTIVE:
        last = tl.load(last_weight + unit, mask=unit < WIDTH, other=0.0).to(DTYPE).to(tl.float32)
        answer = tl.sum(tl.maximum(hidden, 0.0) * last[None, :], 1) + tl.load(last_bias)
    else:
        answer = tl.sum(hidden, 1)
    density = FACTOR * tl.exp(answer)
    tl.store(out + point, tl.where(seen, density, 0.0), mask=inside)


def density(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    middles: Float[Tensor, "rays samples"],
    box: Float[Tensor, "2 3"] | None,
    tables: Float[Tensor, "rows features"],
    scalings: Float[Tensor, "levels"],
    layers: tuple[nn.Linear, ...],
    factor: float,
    dtype: torch.dtype,
) -> Float[Tensor, "rays samples"]:
    """Densities in one launch; see `kernels.ray_density`.

    Args:
        box: corners of the scene; None if space is contracted.
        layers: the last layer, of which the first output counts, and perhaps one hidden layer before it.
        factor: of the exponential.
        dtype: precision of features and weights; sums are in float32.
    """
    out = torch.empty_like(middles, dtype=torch.float32, memory_format=torch.contiguous_format)
    levels, (rows, features), last = len(scalings), tables.shape, layers[-1]
    width = layers[0].out_features if len(layers) == 2 else 1
    sizes = {
        "FACTOR": factor,
        "CONTRACT": box is None,
        "LEVELS": levels,
        "SIZE": rows // levels,
        "FEATURES": features,
        "LANES": power_of_two(features),
        "WIDTH": width,
        "UNITS": power_of_two(width),
        "ACTIVE": len(layers) == 2,
        "DTYPE": TYPES[dtype],
        "BLOCK": BLOCK,
    }
    given = (t.float().contiguous() for t in (origins, directions, middles, origins if box is None else box))
    encoding, learned = (tables, scalings), (layers[0].weight, layers[0].bias, last.weight, last.bias)
    points, samples = out.numel(), middles.shape[-1]
    arguments = *given, *encoding, *learned, out, points, samples
    # unfused, so that positions and distances in cells are rounded as torch rounds them
    launch(ray_density, blocks(points, BLOCK), *arguments, **sizes, enable_fp_fusion=False)
    return out
