"""Losses of masks against unions of slots: (M - U)^2 and V O^2, with U = O S^T of the sets S and V = M (1 - S).

V counts, for each pixel and slot, the masks that hold the pixel without being about the slot.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def union_losses(
    slots: Float[Tensor, "views pixels slots"],
    masks: Float[Tensor, "views pixels masks"],
    sets: Float[Tensor, "views masks slots"],
    counted: Float[Tensor, "views masks 1"],
    scale: Float[Tensor, "views"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Sums of (M - U)^2 and of V O^2 over pixels and counted masks.

    Args:
        slots: rendered slot probabilities O in [0, 1]; only they get a gradient.
        masks: binary masks M. Products are computed in their precision, sums over pixels in that of the slots.
        sets: S, 1 for the slots that a mask is about.
        counted: 1 for masks that are counted, 0 for others.
        scale: factor of each view.
    """
    return _UnionLosses.apply(slots, masks, sets, counted, scale[:, None, None])


class _UnionLosses(torch.autograd.Function):
    """The backward pass needs only V O and M - U; gradients are scaled last, so that none underflows."""

    @staticmethod
    def forward(ctx, slots: Tensor, masks: Tensor, sets: Tensor, counted: Tensor, scale: Tensor):
        rounded, inside, outside = slots.to(masks), (sets * counted).to(masks), ((1 - sets) * counted).to(masks)
        difference = torch.baddbmm(masks, rounded, inside.mT, alpha=-1).mul_(counted.to(masks).mT)
        intrusion = torch.bmm(masks, outside).mul_(rounded)
        ctx.save_for_backward(difference, intrusion, inside, scale)
        ctx.dtype = slots.dtype
        norm = torch.linalg.vector_norm(difference, dim=(1, 2), keepdim=True, dtype=slots.dtype)
        matching = (scale * norm.square()).sum()
        false_positive = (scale * (intrusion * rounded).sum(1, dtype=slots.dtype)[:, None]).sum()
        return matching, false_positive

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_matching: Tensor, grad_false_positive: Tensor):
        difference, intrusion, inside, scale = ctx.saved_tensors
        with torch.autocast(difference.device.type, enabled=False):
            grad = intrusion * (2 * grad_false_positive * scale).to(ctx.dtype)
            grad.addcmul_(torch.bmm(difference, inside), -2 * grad_matching * scale)
        return grad, None, None, None, None
