"""`union_losses` in Triton: differences and intruding slots stay in a program's registers.

The backward pass computes both again from the slots and the masks.
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

BLOCK = 32
"""Pixels per program."""
TILE = 64
"""Largest number of slots, and of masks, that are in a program's registers at a time."""
FORWARD_WARPS, BACKWARD_WARPS = 8, 4
"""Warps of a program, with which no registers spill on sm_80 and sm_90."""


@triton.jit
@no_type_check
def load_tile(matrix, row, rows, column, columns):
    """A matrix's entries (row, column), 0 for entries that do not exist."""
    exists = (row < rows)[:, None] & (column < columns)[None, :]
    return tl.load(matrix + row[:, None] * columns + column[None, :], mask=exists, other=0.0)


@triton.jit
@no_type_check
def load_members(members, pixel, pixels, mask, masks, BY_MASK: tl.constexpr):
    """M of pixels and masks, (pixel, mask), which lie in memory pixel by pixel or mask by mask."""
    if BY_MASK:
        return tl.trans(load_tile(members, mask, masks, pixel, pixels))
    return load_tile(members, pixel, pixels, mask, masks)


@triton.jit
@no_type_check
def pixels_of_program(pixels, BLOCK: tl.constexpr):
    """View of a program (int64), and its pixels."""
    per_view = tl.cdiv(pixels, BLOCK)
    view, block = tl.program_id(0) // per_view, tl.program_id(0) % per_view
    return view.to(tl.int64), block * BLOCK + tl.arange(0, BLOCK)


@triton.jit(do_not_specialize=["pixels"])
@no_type_check
def union_losses_forward(
    image,
    members,
    inside,
    counted,
    scale,
    sums,
    pixels,
    slots: tl.constexpr,
    masks: tl.constexpr,
    SLOTS: tl.constexpr,
    MASKS: tl.constexpr,
    SLOT_TILES: tl.constexpr,
    MASK_TILES: tl.constexpr,
    BY_MASK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """sums[program] = scale sum (M - O S^T)^2 and scale sum M (O^2 (1 - S)^T), over a view's pixels of the program."""
    view, pixel = pixels_of_program(pixels, BLOCK)
    image, members = image + view * pixels * slots, members + view * pixels * masks
    inside, counted = inside + view * masks * slots, counted + view * masks
    matching, intruding = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for mask_tile in range(MASK_TILES):
        mask = mask_tile * MASKS + tl.arange(0, MASKS)
        member = load_members(members, pixel, pixels, mask, masks, BY_MASK)
        counts = tl.load(counted + mask, mask=mask < masks, other=0.0)
        union, others = tl.zeros((BLOCK, MASKS), tl.float32), tl.zeros((BLOCK, MASKS), tl.float32)
        for slot_tile in range(SLOT_TILES):
            slot = slot_tile * SLOTS + tl.arange(0, SLOTS)
            here, own = load_tile(image, pixel, pixels, slot, slots), load_tile(inside, mask, masks, slot, slots)
            union = tl.dot(here.to(own.dtype), tl.trans(own), union, input_precision="ieee")
            apart = tl.trans(counts[:, None] - own)
            others = tl.dot((here * here).to(own.dtype), apart, others, input_precision="ieee")
        apart = (member.to(tl.float32) - union) * counts.to(tl.float32)[None, :]
        matching += tl.sum(apart * apart, 1)
        intruding += tl.sum(member.to(tl.float32) * others, 1)
    factor = tl.load(scale + view)
    tl.store(sums + 2 * tl.program_id(0), factor * tl.sum(matching, 0))
    tl.store(sums + 2 * tl.program_id(0) + 1, factor * tl.sum(intruding, 0))


@triton.jit(do_not_specialize=["pixels"])
@no_type_check
def union_losses_backward(
    image,
    members,
    inside,
    counted,
    scale,
    grad_matching,
    grad_intruding,
    grad_image,
    pixels,
    slots: tl.constexpr,
    masks: tl.constexpr,
    SLOTS: tl.constexpr,
    MASKS: tl.constexpr,
    SLOT_TILES: tl.constexpr,
    MASK_TILES: tl.constexpr,
    BY_MASK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """grad_image = 2 scale (grad_intruding M (1 - S) O - grad_matching (M - O S^T) S)."""
    view, pixel = pixels_of_program(pixels, BLOCK)
    image, members = image + view * pixels * slots, members + view * pixels * masks
    inside, counted = inside + view * masks * slots, counted + view * masks
    grad_image += view * pixels * slots
    factor = 2 * tl.load(scale + view)
    of_matching, of_intruding = factor * tl.load(grad_matching), factor * tl.load(grad_intruding)
    for slot_tile in range(SLOT_TILES):
        slot = slot_tile * SLOTS + tl.arange(0, SLOTS)
        covers, pull = tl.zeros((BLOCK, SLOTS), tl.float32), tl.zeros((BLOCK, SLOTS), tl.float32)
        for mask_tile in range(MASK_TILES):
            mask = mask_tile * MASKS + tl.arange(0, MASKS)
            union = tl.zeros((BLOCK, MASKS), tl.float32)
            for tile in range(SLOT_TILES):
                every = tile * SLOTS + tl.arange(0, SLOTS)
                here, own = load_tile(image, pixel, pixels, every, slots), load_tile(inside, mask, masks, every, slots)
                union = tl.dot(here.to(own.dtype), tl.trans(own), union, input_precision="ieee")
            member = load_members(members, pixel, pixels, mask, masks, BY_MASK)
            own = load_tile(inside, mask, masks, slot, slots)
            counts = tl.load(counted + mask, mask=mask < masks, other=0.0)
            apart = (member.to(tl.float32) - union) * counts.to(tl.float32)[None, :]
            pull = tl.dot(apart.to(own.dtype), own, pull, input_precision="ieee")
            covers = tl.dot(member, counts[:, None] - own, covers, input_precision="ieee")
        gradient = of_intruding * covers * load_tile(image, pixel, pixels, slot, slots) - of_matching * pull
        exists = (pixel < pixels)[:, None] & (slot < slots)[None, :]
        tl.store(grad_image + pixel[:, None] * slots + slot[None, :], gradient, mask=exists)


def union_losses(
    slots: Float[Tensor, "views pixels slots"],
    masks: Float[Tensor, "views pixels masks"],
    sets: Float[Tensor, "views masks slots"],
    counted: Float[Tensor, "views masks 1"],
    scale: Float[Tensor, "views"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The Triton version of `kernels.union_losses.union_losses`; sums are in float32."""
    return _UnionLosses.apply(slots, masks, sets, counted, scale)


class _UnionLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, slots: Tensor, masks: Tensor, sets: Tensor, counted: Tensor, scale: Tensor):
        inside, counted = (sets * counted).to(masks).contiguous(), counted.to(masks).contiguous()
        ctx.by_mask = masks.mT.is_contiguous()
        members = masks if ctx.by_mask else masks.contiguous()
        given = slots.float().contiguous(), members, inside, counted, scale.float().contiguous()
        programs, pixels, sizes = _sizes(slots, masks, ctx.by_mask)
        sums = slots.new_empty(programs, 2, dtype=torch.float32)
        launch(union_losses_forward, programs, *given, sums, pixels, **sizes, num_warps=FORWARD_WARPS)
        ctx.save_for_backward(*given)
        matching, intruding = sums.sum(0)
        return matching, intruding

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_matching: Tensor, grad_intruding: Tensor):
        slots, masks, *_ = given = ctx.saved_tensors
        programs, pixels, sizes = _sizes(slots, masks, ctx.by_mask)
        grad_image, grads = torch.empty_like(given[0]), (grad_matching.float(), grad_intruding.float())
        launch(union_losses_backward, programs, *given, *grads, grad_image, pixels, **sizes, num_warps=BACKWARD_WARPS)
        return grad_image, None, None, None, None


def _sizes(slots: Tensor, masks: Tensor, by_mask: bool) -> tuple[int, int, dict]:
    """Programs, pixels of a view, and compile-time constants; one stage, as pipelined loads would take registers."""
    (views, pixels, n), k = slots.shape, masks.shape[2]
    tiles = min(power_of_two(n, 16), TILE), min(power_of_two(k, 16), TILE)
    sizes = {"slots": n, "masks": k, "SLOTS": tiles[0], "MASKS": tiles[1], "BLOCK": BLOCK, "num_stages": 1}
    sizes |= {"SLOT_TILES": blocks(n, tiles[0]), "MASK_TILES": blocks(k, tiles[1]), "BY_MASK": by_mask}
    return views * blocks(pixels, BLOCK), pixels, sizes
