"""`composite` in Triton: probabilities stay in a program's registers, and the backward pass computes them again.

The forward pass stores the logarithm of each point's softmax denominator, so that the backward pass can compute the
probability of a slot without the other slots. The backward pass has two kernels: one by rays for the hidden features,
and one by slots for W and b.
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from disconerf_ns.kernels import composite as twin
from disconerf_ns.kernels.launch import blocks, launch, power_of_two, runs_on

BLOCK = 16
"""Rays per block: 16 is the smallest side of a matrix that tl.dot multiplies."""
MOST_SLOTS = 512
"""Largest number of slots that fit in a program's registers in the forward pass."""
HIDDEN_TILE, LAYER_TILE = 128, 64
"""Largest number of slots per tile in the backward kernels for the hidden features, and for W and b."""
FEW_SLOTS = 32
"""Largest tile of slots for which the backward kernels use 4 warps instead of 8, so that no registers spill on sm_80
and sm_90."""
PARTS = 512
"""Largest number of partial sums of the gradients of W and b; these are added in a fixed order, so results repeat."""
PRECISION = {torch.float16: "tf32", torch.bfloat16: "tf32", torch.float32: "ieee"}
"""Precision of products of float32 matrices, by the precision of the hidden features: exact, unless these are rounded
to half already. TF32 has the mantissa of half precision and the range of float32, so that small gradients survive."""


def composite(
    hidden: Float[Tensor, "points width"],
    weight: Float[Tensor, "slots width"],
    bias: Float[Tensor, "slots"],
    accumulation: Float[Tensor, "rays"],
) -> Float[Tensor, "rays slots"]:
    """The Triton version of `kernels.composite.composite`, with the same arguments and result.

    The torch version takes over for tensors that Triton cannot read, for float64, and for more than MOST_SLOTS slots.
    """
    if not runs_on(hidden) or hidden.dtype not in PRECISION or len(weight) > MOST_SLOTS:
        return twin.composite(hidden, weight, bias, accumulation)
    return _Composite.apply(hidden.contiguous(), weight, bias, accumulation)


class _Composite(torch.autograd.Function):
    """O (rays, slots) in float32; gradients for hidden features, W and b."""

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, bias: Tensor, accumulation: Tensor) -> Tensor:
        layer = weight.to(hidden.dtype).contiguous(), bias.float().contiguous()
        rays, slots = len(accumulation), len(weight)
        share = accumulation.float().contiguous()
        out = hidden.new_empty(rays, slots, dtype=torch.float32)
        log_sums = hidden.new_empty(len(hidden), dtype=torch.float32)
        block = power_of_two(slots, 16)
        warps = 4 if block <= 256 else 8
        sizes = _sizes(hidden, rays)
        arguments = hidden, *layer, share, out, log_sums, rays, slots
        launch(composite_forward, blocks(rays, BLOCK), *arguments, **sizes, SLOTS=block, num_warps=warps)
        ctx.save_for_backward(hidden, *layer, share, log_sums)
        ctx.kinds = weight.dtype, bias.dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        hidden, weight, bias, share, log_sums = ctx.saved_tensors
        (rays, slots), sizes, grad = grad.shape, _sizes(hidden, len(grad)), grad.contiguous()
        given, of_rays = (hidden, weight, bias, share, grad, log_sums), blocks(rays, BLOCK)

        grad_hidden, means = torch.empty_like(hidden), torch.empty_like(log_sums)
        tile = min(power_of_two(slots, 16), HIDDEN_TILE)
        tiles = {"SLOTS": tile, "TILES": blocks(slots, tile), "num_warps": 4 if tile <= FEW_SLOTS else 8}
        launch(composite_backward_hidden, of_rays, *given, grad_hidden, means, rays, slots, **sizes, **tiles)

        parts = min(of_rays, PARTS)
        grad_weight, grad_bias = grad.new_empty(parts, *weight.shape), grad.new_empty(parts, slots)
        tile = min(power_of_two(slots, 16), LAYER_TILE)
        tiles = {"SLOTS": tile, "TILES": blocks(slots, tile), "num_warps": 4 if tile <= FEW_SLOTS else 8}
        sums = means, grad_weight, grad_bias
        launch(composite_backward_layer, parts * tiles["TILES"], *given, *sums, rays, slots, **sizes, **tiles)
        kind_weight, kind_bias = ctx.kinds
        return grad_hidden, grad_weight.sum(0).to(kind_weight), grad_bias.sum(0).to(kind_bias), None


def _sizes(hidden: Tensor, rays: int) -> dict:
    """Compile-time constants of all kernels; one stage, since pipelined loads take registers from the probabilities."""
    width, points = hidden.shape[1], len(hidden) // max(rays, 1)
    units, precision = power_of_two(width, 16), PRECISION[hidden.dtype]
    return {"POINTS": points, "WIDTH": width, "UNITS": units, "BLOCK": BLOCK, "PRECISION": precision, "num_stages": 1}


@triton.jit
@no_type_check
def entries(row, row_exists, column, columns):
    """Offsets of a matrix's entries (row, column), and a mask of the entries that exist."""
    return row[:, None] * columns + column[None, :], row_exists[:, None] & (column < columns)[None, :]


@triton.jit
@no_type_check
def load_entries(pointer, row, row_exists, column, columns):
    """A matrix's entries (row, column), 0 for entries that do not exist."""
    at, mask = entries(row, row_exists, column, columns)
    return tl.load(pointer + at, mask=mask, other=0.0)


@triton.jit
@no_type_check
def store_entries(pointer, value, row, row_exists, column, columns):
    """Store the entries (row, column) of a matrix that exist."""
    at, mask = entries(row, row_exists, column, columns)
    tl.store(pointer + at, value, mask=mask)


@triton.jit
@no_type_check
def logits_of(features, matrix, bias, slot, slots, PRECISION: tl.constexpr):
    """W h + b, (rays, slots), float32; -inf for slots that do not exist, so that their probability is 0."""
    offset = tl.load(bias + slot, mask=slot < slots, other=-float("inf"))
    return tl.dot(features, tl.trans(matrix), input_precision=PRECISION) + offset[None, :]


@triton.jit(do_not_specialize=["rays"])
@no_type_check
def composite_forward(
    hidden,
    weight,
    bias,
    accumulation,
    out,
    log_sums,
    rays,
    slots: tl.constexpr,
    POINTS: tl.constexpr,
    WIDTH: tl.constexpr,
    UNITS: tl.constexpr,
    SLOTS: tl.constexpr,
    BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """out[ray] = A[ray] / k sum_j softmax(W h_j + b), and log_sums[point] = log sum_n exp(W h_j + b)_n."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    slot, unit, inside = tl.arange(0, SLOTS), tl.arange(0, UNITS), ray < rays
    matrix = load_entries(weight, slot, slot < slots, unit, WIDTH)
    total = tl.zeros((BLOCK, SLOTS), tl.float32)
    for j in range(POINTS):
        point = ray * POINTS + j
        features = load_entries(hidden, point, inside, unit, WIDTH)
        logits = logits_of(features, matrix, bias, slot, slots, PRECISION)
        top = tl.max(logits, 1)
        odds = tl.exp(logits - top[:, None])
        mass = tl.sum(odds, 1)
        total += odds / mass[:, None]
        tl.store(log_sums + point, top + tl.log(mass), mask=inside)
    share = tl.load(accumulation + ray, mask=inside, other=0.0) / POINTS
    store_entries(out, total * share[:, None], ray, inside, slot, slots)


@triton.jit(do_not_specialize=["rays"])
@no_type_check
def composite_backward_hidden(
    hidden,
    weight,
    bias,
    accumulation,
    grad_out,
    log_sums,
    grad_hidden,
    means,
    rays,
    slots: tl.constexpr,
    POINTS: tl.constexpr,
    WIDTH: tl.constexpr,
    UNITS: tl.constexpr,
    SLOTS: tl.constexpr,
    BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
    TILES: tl.constexpr,
):
    """grad_hidden[point] = W^T p (g - m) and means[point] = m, with g = A / k grad_out and m = sum_n p_n g_n.

    Rounding of the logarithm lets the sum of p differ from 1; dividing m by that sum keeps g - m exact if p is near 1.
    """
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    unit, inside = tl.arange(0, UNITS), ray < rays
    share = tl.load(accumulation + ray, mask=inside, other=0.0) / POINTS
    for j in range(POINTS):
        point = ray * POINTS + j
        features = load_entries(hidden, point, inside, unit, WIDTH)
        log_sum = tl.load(log_sums + point, mask=inside, other=float("inf"))
        mean, mass = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
        for tile in range(TILES):
            slot = tile * SLOTS + tl.arange(0, SLOTS)
            matrix = load_entries(weight, slot, slot < slots, unit, WIDTH)
            grad = load_entries(grad_out, ray, inside, slot, slots) * share[:, None]
            probability = tl.exp(logits_of(features, matrix, bias, slot, slots, PRECISION) - log_sum[:, None])
            mean += tl.sum(probability * grad, 1)
            mass += tl.sum(probability, 1)
        mean /= mass
        back = tl.zeros((BLOCK, UNITS), tl.float32)
        for tile in range(TILES):
            slot = tile * SLOTS + tl.arange(0, SLOTS)
            matrix = load_entries(weight, slot, slot < slots, unit, WIDTH)
            grad = load_entries(grad_out, ray, inside, slot, slots) * share[:, None]
            probability = tl.exp(logits_of(features, matrix, bias, slot, slots, PRECISION) - log_sum[:, None])
            pull = probability * (grad - mean[:, None])
            back = tl.dot(pull, matrix.to(tl.float32), back, input_precision=PRECISION)
        store_entries(grad_hidden, back, point, inside, unit, WIDTH)
        tl.store(means + point, mean, mask=inside)


@triton.jit(do_not_specialize=["rays"])
@no_type_check
def composite_backward_layer(
    hidden,
    weight,
    bias,
    accumulation,
    grad_out,
    log_sums,
    means,
    grad_weight,
    grad_bias,
    rays,
    slots: tl.constexpr,
    POINTS: tl.constexpr,
    WIDTH: tl.constexpr,
    UNITS: tl.constexpr,
    SLOTS: tl.constexpr,
    BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
    TILES: tl.constexpr,
):
    """Partial sums over points of p (g - m) h^T and of p (g - m), for a tile of slots and every parts-th ray block."""
    part, parts = tl.program_id(0) // TILES, tl.num_programs(0) // TILES
    slot, unit = tl.program_id(0) % TILES * SLOTS + tl.arange(0, SLOTS), tl.arange(0, UNITS)
    matrix = load_entries(weight, slot, slot < slots, unit, WIDTH)
    offset = tl.load(bias + slot, mask=slot < slots, other=-float("inf"))[:, None]
    sum_weight, sum_bias = tl.zeros((SLOTS, UNITS), tl.float32), tl.zeros((SLOTS,), tl.float32)
    for block in range(part, tl.cdiv(rays, BLOCK), parts):
        ray = tl.cast(block, tl.int64) * BLOCK + tl.arange(0, BLOCK)
        inside = ray < rays
        share = tl.load(accumulation + ray, mask=inside, other=0.0) / POINTS
        grad = tl.trans(load_entries(grad_out, ray, inside, slot, slots)) * share[None, :]
        for j in range(POINTS):
            point = ray * POINTS + j
            features = load_entries(hidden, point, inside, unit, WIDTH)
            log_sum = tl.load(log_sums + point, mask=inside, other=float("inf"))
            mean = tl.load(means + point, mask=inside, other=0.0)
            logits = tl.dot(matrix, tl.trans(features), input_precision=PRECISION) + offset
            pull = tl.exp(logits - log_sum[None, :]) * (grad - mean[None, :])
            sum_weight = tl.dot(pull, features.to(tl.float32), sum_weight, input_precision=PRECISION)
            sum_bias += tl.sum(pull, 1)
    row = part.to(tl.int64) * slots + slot
    store_entries(grad_weight, sum_weight, row, slot < slots, unit, WIDTH)
    tl.store(grad_bias + row, sum_bias, mask=slot < slots)
