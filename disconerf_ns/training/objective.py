"""The objective of a batch of views: affinity, matching, and the losses of masks against slots (DiscoNeRF, 3.1-3.2).

Masks are binary, so min(O, M) is the product O M and max(O, M) follows from the areas: matrix products for all views of
a batch replace a loop over masks. Views with fewer pixels or masks than others are padded with zeros, in slots and in
masks, and padding contributes to no result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from disconerf_ns.kernels.choice import loss_of_unions

COUNTED = 2048
"""Largest number to which half precision counts without a gap."""


def quick(device: torch.device) -> torch.dtype:
    """Data type for products of masks and slots: half precision on a GPU, which suffices for 0, 1 and probabilities."""
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
    exact, slots = slots.dtype, slots.detach().to(masks)
    shared = overlap(masks, slots, exact)
    area = masks.sum(1, dtype=exact)[..., None]
    union = area + slots.sum(1, dtype=exact)[:, None] - shared
    return torch.where(area > 0, shared / union.clamp(min=1e-12), 0.0)


def overlap(
    masks: Float[Tensor, "views pixels masks"], slots: Float[Tensor, "views pixels slots"], exact: torch.dtype
) -> Float[Tensor, "views masks slots"]:
    """Sums of M O over pixels.

    In half precision pixels are summed COUNTED at a time, and the sums of these are added in the precision `exact`.
    So a GPU also gets many products of short sums instead of a few of long ones, which would keep little of it busy.
    """
    if masks.dtype is not torch.float16:
        return masks.mT @ slots
    whole = masks.shape[1] // COUNTED * COUNTED
    shared = (masks[:, whole:].mT @ slots[:, whole:]).to(exact)
    for total, mask, slot in zip(shared, masks[:, :whole], slots[:, :whole]):
        total += (mask.unflatten(0, (-1, COUNTED)).mT @ slot.unflatten(0, (-1, COUNTED))).sum(0, dtype=exact)
    return shared


def assign(alpha: Float[Tensor, "masks slots"]) -> Int[Tensor, "masks"]:
    """Assign a different slot to every mask, with the largest total affinity (Hungarian matching, 3.1).

    Raises:
        ValueError: there are more masks than slots.
    """
    if alpha.shape[0] > alpha.shape[1]:
        raise ValueError(f"{alpha.shape[0]} masks cannot be matched one to one with {alpha.shape[1]} slots")
    _, gamma = linear_sum_assignment(alpha.cpu().numpy(), maximize=True)
    return torch.from_numpy(np.asarray(gamma))


class MaskTargets(NamedTuple):
    """Sets of slots that the masks of a batch of views are compared with."""

    sets: Float[Tensor, "views masks slots"]
    """1 for the slots whose union a mask is compared with: one slot (Eq. 5), or several."""
    affinity: Float[Tensor, "views masks"]
    """Affinity (Eq. 4) of mask and union, in [0, 1]."""
    counted: Bool[Tensor, "views masks"]
    """True for masks that have a loss."""

    @property
    def used(self) -> Bool[Tensor, "slots"]:
        """True for slots in the set of a mask that has a loss."""
        return ((self.sets > 0) & self.counted[..., None]).flatten(0, 1).any(0)


class PendingMatching:
    """A pending matching of masks with the current slots, one to one in each view of a batch (3.1).

    Creating it starts one transfer of all affinities from the GPU, and `result` waits for the transfer, so that other
    computations in between keep the GPU busy.
    """

    def __init__(self, alpha: Float[Tensor, "views masks slots"], real: Bool[Tensor, "views masks"]):
        """Start the transfer.

        Args:
            alpha: affinities in [0, 1].
            real: True for real masks, False for padding.
        """
        self.alpha, self.real = alpha, real
        self._copied = None
        self._host = alpha
        if alpha.is_cuda:
            self._host = torch.empty(alpha.shape, dtype=alpha.dtype, pin_memory=True).copy_(alpha, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def result(self, counts: Sequence[int]) -> MaskTargets:
        """Wait for the transfer, and match.

        Args:
            counts: number of masks in each view.
        Raises:
            ValueError: a view has more masks than slots.
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
    """The two losses of a batch's masks against its slots."""

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
    """Both losses, in which the union of a mask's set of slots replaces the single slot gamma(m).

    Args:
        slots: rendered slot probabilities O in [0, 1].
        masks: binary masks M.
        targets: sets of slots to compare with; masks that are not counted there have no loss, but are among the K.
        counts: number K of masks in each view.
        pixels: number of pixels in each view.
    """
    scale = 1 / (counts.clamp(min=1) * pixels.clamp(min=1) * len(slots)).to(slots)
    union_losses = loss_of_unions(slots.is_cuda)
    return MaskLosses(*union_losses(slots, masks, targets.sets, targets.counted.to(slots)[..., None], scale))
