"""One iteration of the object stage: the field on the surface of views, compared with masks and consensus."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from disconerf_ns.discovery.consensus import Consensus
from disconerf_ns.field import ObjectField
from disconerf_ns.training import objective
from disconerf_ns.training.batch import ObjectBatch
from disconerf_ns.training.objective import MaskLosses, MaskTargets, PendingMatching


class LossWeights(NamedTuple):
    """Weights of the object field's losses; the matching loss has weight 1."""

    false_positive: float
    total_variation: float
    consensus: float


class ObjectOutputs(NamedTuple):
    """Unweighted losses of the object field on a batch, with the targets of the masks."""

    losses: MaskLosses
    targets: MaskTargets
    real: Bool[Tensor, "views masks"]
    """True for real masks, False for padding."""
    total_variation: Float[Tensor, ""]
    """Total variation of the hash grid (Eq. 7), a mean over vertex pairs."""
    disagreement: Float[Tensor, ""] | None
    """Cross-entropy with the consensus; None where masks are matched view by view."""

    def metrics(self) -> dict[str, Tensor]:
        """Mean affinity of the masks with their targets, and the number of slots that a mask is about."""
        return {
            "matched_affinity": self.targets.affinity.sum() / self.real.sum().clamp(min=1),
            "slots_in_use": self.targets.used.sum(),
        }

    def loss_dict(self, weights: LossWeights) -> dict[str, Tensor]:
        """The weighted losses by name."""
        losses = {
            "matching_loss": self.losses.matching,
            "false_positive_loss": weights.false_positive * self.losses.false_positive,
            "tv_loss": weights.total_variation * self.total_variation,
        }
        if self.disagreement is not None:
            losses["consensus_loss"] = weights.consensus * self.disagreement
        return losses


def object_outputs(
    field: ObjectField, batch: ObjectBatch, consensus: Consensus, consensus_points: int, tv_cells: int
) -> ObjectOutputs:
    """Evaluate the field once, at the batch's surface and at random points of the consensus, and compute all losses.

    Args:
        field: the object field, which gets gradients.
        batch: pixels with their masks.
        consensus: the objects that the masks of all views agree on; unused where masks are matched view by view.
        consensus_points: number of random points in the consensus loss.
        tv_cells: number of hash grid cells per level whose vertices enter the total variation.
    """
    surface, points, groups = batch.surface, consensus.points[:0], consensus.groups[:0]
    if batch.targets is not None:
        points, groups = consensus.draw_points(consensus_points)
    positions = surface.positions.flatten(0, 1)
    hidden = field.hidden(torch.cat([positions, points]))
    chosen = positions[batch.choose(tv_cells)]
    with torch.autocast(hidden.device.type, enabled=False):
        image = field.composite(hidden[: len(positions)], surface.accumulation)
        image = image.unflatten(0, batch.accumulation.shape)
        targets = batch.targets
        if targets is None:
            targets = PendingMatching(objective.affinity(image, batch.masks), batch.real)
        total_variation = field.total_variation(chosen)
        if isinstance(targets, PendingMatching):
            targets = targets.result(batch.counts)
        disagreement = consensus_loss(field, hidden[len(positions) :], groups) if batch.targets is not None else None
        losses = objective.mask_losses(image, batch.masks, targets, batch.real.sum(1), batch.pixels)
    return ObjectOutputs(losses, targets, batch.real, total_variation, disagreement)


def consensus_loss(field: ObjectField, hidden: Float[Tensor, "n width"], groups: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    """Mean negative log probability of each point's consensus object; points without an object (-1) count as 0.

    Args:
        hidden: `field.hidden` of the points.
        groups: consensus object of each point, -1 for none.
    """
    opaque = torch.ones(len(hidden), device=hidden.device)
    chosen = field.composite(hidden, opaque).gather(1, groups.clamp(min=0)[:, None])[:, 0]
    return -((chosen + 1e-6).log() * (groups >= 0)).mean()
