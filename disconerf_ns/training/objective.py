"""The objective of a batch of views: affinity, matching, and the losses of masks against slots (DiscoNeRF, 3.1-3.2).

Masks are binary, so min(O, M) is the product O M and max(O, M) follows from the areas: products of matrices, for all
views of a batch at once, take the place of a loop over masks. Where views have fewer pixels or masks than others, the
rest of their part of the batch is 0, in slots as in masks, and takes part in nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.autograd.function import once_differentiable


def quick(device: torch.device) -> torch.dtype:
    """The precision of products of masks and slots: 0, 1 and probabilities need no more than half, where it is fast."""
    return torch.float16 if device.type == "cuda" else torch.float32


def affinity(
    slots: Float[Tensor, "views pixels slots"], masks: Float[Tensor, "views pixels masks"]
) -> Float[Tensor, "views masks slots"]:
    """Soft IoU between every mask and every slot, sum min(O, M) / sum max(O, M) (Eq. 4), without gradient.

    Args:
        slots: rendered slot probabilities O in [0, 1].
        masks: binary masks M.

    Returns:
        Affinity in [0, 1]; 0 for an empty mask.
    """
    slots, masks = slots.detach(), masks.to(slots)
    shared, area = masks.mT @ slots, masks.sum(1)[..., None]
    union = area + slots.sum(1)[:, None] - shared
    return torch.where(area > 0, shared / union.clamp(min=1e-12), 0.0)


def assign(alpha: Float[Tensor, "masks slots"]) -> Int[Tensor, "masks"]:
    """One slot for every mask, no slot twice, with the largest total affinity (Hungarian matching, 3.1).

    Raises:
        ValueError: more masks than slots.
    """
    if alpha.shape[0] > alpha.shape[1]:
        raise ValueError(f"{alpha.shape[0]} masks cannot be matched one to one with {alpha.shape[1]} slots")
    _, gamma = linear_sum_assignment(alpha.cpu().numpy(), maximize=True)
    return torch.from_numpy(np.asarray(gamma))


class MaskTargets(NamedTuple):
    """What the masks of a batch of views are compared with."""

    sets: Float[Tensor, "views masks slots"]
    """1 for the slots whose union a mask is compared with: one slot (Eq. 5), or several."""
    affinity: Float[Tensor, "views masks"]
    """Affinity (Eq. 4) of mask and union, in [0, 1]."""
    counted: Bool[Tensor, "views masks"]
    """Masks that have a loss."""

    @property
    def used(self) -> Bool[Tensor, "slots"]:
        """Slots that a mask is about."""
        return ((self.sets > 0) & self.counted[..., None]).flatten(0, 1).any(0)


class PendingMatching:
    """A matching on its way: masks matched one to one with the slots as they are now (3.1), in each view of a batch.

    The affinities leave the GPU when this is made, in one transfer, and are waited for in `result`: what is computed
    in between keeps the GPU busy.
    """

    def __init__(self, alpha: Float[Tensor, "views masks slots"], real: Bool[Tensor, "views masks"]):
        """Begin.

        Args:
            alpha: affinities.
            real: True for real masks, False for padding.
        """
        self.alpha, self.real = alpha, real
        self._copied = None
        self._host = alpha
        if alpha.is_cuda:
            self._host = torch.empty(alpha.shape, dtype=alpha.dtype, pin_memory=True).copy_(alpha, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def result(self, counts: list[int]) -> MaskTargets:
        """What every mask is matched to.

        Args:
            counts: the number of masks in each view.
        Raises:
            ValueError: more masks than slots.
        """
        if self._copied is not None:
            self._copied.synchronize()
        gamma = torch.full(self._host.shape[:2], -1)
        for row, alpha, count in zip(gamma, self._host, counts):
            row[:count] = assign(alpha[:count])
        slots = torch.arange(self.alpha.shape[2], device=self.alpha.device)
        sets = (gamma.to(self.alpha.device, non_blocking=True)[..., None] == slots).to(self.alpha)
        return MaskTargets(sets, (self.alpha * sets).sum(-1), self.real)


class MaskLosses(NamedTuple):
    """What the views of a batch say about their slots."""

    matching: Float[Tensor, ""]
    """(1/K) sum_m ||M_m - O_gamma(m)||^2 (Eq. 5), a mean over pixels and views."""
    false_positive: Float[Tensor, ""]
    """(1/K) sum_m sum_{n != gamma(m)} ||M_m * O_n||^2 (Eq. 6), a mean over pixels and views."""


def mask_losses(
    slots: Float[Tensor, "views pixels slots"],
    masks: Float[Tensor, "views pixels masks"],
    targets: MaskTargets,
    counts: Int[Tensor, "views"],
    pixels: Int[Tensor, "views"],
) -> MaskLosses:
    """Both losses, with the union of a mask's slots in the place of its one slot.

    Args:
        slots: rendered slot probabilities O in [0, 1].
        masks: binary masks M.
        targets: what the masks are compared with; masks that do not count have no loss, but are among the K.
        counts: the number K of masks in each view.
        pixels: the number of pixels in each view.
    """
    scale = 1 / (counts.clamp(min=1) * pixels.clamp(min=1) * len(slots)).to(slots)
    counted = targets.counted.to(slots)[..., None]
    return MaskLosses(*_UnionLosses.apply(slots, masks, targets.sets, counted, scale[:, None, None]))


class _UnionLosses(torch.autograd.Function):
    """With U = O S^T the unions of the sets S, and V = M (1 - S) the masks that a slot is a stranger to: sums of
    (M - U)^2 and V O^2, over the masks that count.

    Products are computed in the precision of the masks, sums over pixels in that of the slots, and gradients are scaled
    last, so that none is too small for it. V O and M - U are all that the backward pass needs.
    """

    @staticmethod
    def forward(ctx, slots: Tensor, masks: Tensor, sets: Tensor, counted: Tensor, scale: Tensor):
        few, about, strange = slots.to(masks), (sets * counted).to(masks), ((1 - sets) * counted).to(masks)
        difference = torch.baddbmm(masks, few, sets.to(masks).mT, alpha=-1) * counted.to(masks).mT
        strangers = torch.bmm(masks, strange).mul_(few)
        ctx.save_for_backward(difference, strangers, about, scale)
        ctx.dtype = slots.dtype
        matching = (scale * difference.square().sum(1, dtype=slots.dtype)[:, None]).sum()
        false_positive = (scale * (strangers * few).sum(1, dtype=slots.dtype)[:, None]).sum()
        return matching, false_positive

    @staticmethod
    @once_differentiable
    def backward(ctx, of_matching: Tensor, of_false_positive: Tensor):
        difference, strangers, about, scale = ctx.saved_tensors
        with torch.autocast(difference.device.type, enabled=False):
            grad = strangers * (2 * of_false_positive * scale).to(ctx.dtype)
            grad.addcmul_(torch.bmm(difference, about), -2 * of_matching * scale)
        return grad, None, None, None, None
