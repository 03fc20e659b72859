"""The objective of one view: affinity, matching, and the losses of masks against matched slots (DiscoNeRF, 3.1-3.2).

Masks are binary, so min(O, M) is the product O M and max(O, M) follows from the areas: three matrix products
M^T O, M^T O^2 and the column sums give the affinity and both losses without a loop over masks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor


class Overlaps(NamedTuple):
    """What the masks and slots of one view share, in pixels."""

    mask_area: Float[Tensor, "masks 1"]
    slot_area: Float[Tensor, "1 slots"]
    slot_energy: Float[Tensor, "1 slots"]
    """sum over the image of O^2."""
    inter: Float[Tensor, "masks slots"]
    """sum over each mask of O."""
    inter_energy: Float[Tensor, "masks slots"]
    """sum over each mask of O^2."""
    pixels: int


def overlaps(slots: Float[Tensor, "pixels slots"], masks: Float[Tensor, "pixels masks"]) -> Overlaps:
    """Sums over pixels that affinity and losses are made of.

    Args:
        slots: rendered slot probabilities O in [0, 1].
        masks: binary masks M as floats; the caller leaves out the pixels that take part in no loss.
    """
    squared = slots * slots
    return Overlaps(
        mask_area=masks.sum(0)[:, None],
        slot_area=slots.sum(0)[None],
        slot_energy=squared.sum(0)[None],
        inter=masks.T @ slots,
        inter_energy=masks.T @ squared,
        pixels=len(slots),
    )


def affinity(o: Overlaps) -> Float[Tensor, "masks slots"]:
    """Soft IoU between every mask and every slot, sum min(O, M) / sum max(O, M) (Eq. 4), without gradient.

    Returns:
        Affinity in [0, 1]; 0 for an empty mask.
    """
    inter = o.inter.detach()
    union = o.mask_area + o.slot_area.detach() - inter
    return torch.where(o.mask_area > 0, inter / union.clamp(min=1e-12), 0.0)


def match(alpha: Float[Tensor, "masks slots"]) -> Int[Tensor, "masks"]:
    """One slot for every mask, no slot twice, with the largest total affinity (Hungarian matching, 3.1).

    Raises:
        ValueError: more masks than slots.
    """
    if alpha.shape[0] > alpha.shape[1]:
        raise ValueError(f"{alpha.shape[0]} masks cannot be matched one to one with {alpha.shape[1]} slots")
    _, gamma = linear_sum_assignment(alpha.cpu().numpy(), maximize=True)
    return torch.as_tensor(gamma, device=alpha.device)


def matching_loss(o: Overlaps, gamma: Int[Tensor, "masks"]) -> Float[Tensor, ""]:
    """(1/K) sum_m ||M_m - O_gamma(m)||^2 (Eq. 5) as a mean over pixels; 0 where there are no masks.

    For binary M the square expands to |M| - 2 M.O + O.O.
    """
    rows = torch.arange(len(gamma), device=gamma.device)
    squares = o.mask_area[:, 0] - 2 * o.inter[rows, gamma] + o.slot_energy[0, gamma]
    return squares.sum() / (max(len(gamma), 1) * o.pixels)


def false_positive_loss(o: Overlaps, gamma: Int[Tensor, "masks"]) -> Float[Tensor, ""]:
    """(1/K) sum_m sum_{n != gamma(m)} ||M_m * O_n||^2 (Eq. 6) as a mean over pixels; 0 where there are no masks."""
    rows = torch.arange(len(gamma), device=gamma.device)
    squares = o.inter_energy.sum() - o.inter_energy[rows, gamma].sum()
    return squares / (max(len(gamma), 1) * o.pixels)


class ViewLosses(NamedTuple):
    """What one view says about its slots."""

    matching: Float[Tensor, ""]
    """Matching loss (Eq. 5), a mean over masks and pixels."""
    false_positive: Float[Tensor, ""]
    """False positive loss (Eq. 6), a mean over masks and pixels."""
    affinity: Float[Tensor, "masks"]
    """Affinity (Eq. 4) of each mask with what it was matched to, in [0, 1]."""
    used: Bool[Tensor, "slots"]
    """Slots that a mask was matched to."""


def match_in_view(slots: Float[Tensor, "pixels slots"], masks: Float[Tensor, "pixels masks"]) -> ViewLosses:
    """The paper's losses: the view's masks matched one to one with the slots as they are now."""
    o = overlaps(slots, masks)
    alpha = affinity(o)
    gamma = match(alpha)
    used = torch.zeros(slots.shape[1], dtype=torch.bool, device=slots.device).index_fill_(0, gamma, True)
    return ViewLosses(
        matching_loss(o, gamma), false_positive_loss(o, gamma), alpha[torch.arange(len(gamma)), gamma], used
    )
