"""Panoptic Lifting's instance loss (Siddiqui et al., CVPR 2023, 3.3) on the object field.

In each view every mask is assigned a slot of its own, and its pixels are classified as that slot by cross-entropy: a
mask is held against the slots by its own pixels alone, and slots that leak elsewhere cost nothing.

The loss has the value and the gradient of the authors' code. What differs from it: the field is this project's hash
grid with its total variation, not a factorized volume, on the frozen surface, with the object stage's optimizer and
schedule; every mask is an instance, where theirs are of "thing" classes, and there is no semantic loss; a pixel in
several masks goes to the smallest, where their masks do not overlap; pixels weigh alike, where theirs weigh by
confidence; their loss is 0 in a view whose pixels are all right already. Their number of slots is a constant (25 in
their configuration); here it is one of two that all methods get, see `training.slot_count`. Where slots are fewer than
masks, masks that are assigned none take no part. RATE was chosen by `benchmarks.rates`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from disconerf_ns.field import ObjectField
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.surface.samples import SurfaceSamples, render_slots

from .training import TWICE, assign_some, next_views, optimize, slot_count, smallest_masks

RATE = 0.03
"""Learning rate after the warm-up."""


def assign(slots: Float[Tensor, "pixels slots"], labels: Int[Tensor, "pixels"], masks: int) -> Int[Tensor, "masks"]:
    """One slot for every mask, no slot twice, with the largest total of the slots' mean probabilities in the masks.

    Masks that are more than the slots have -1, those whose slots are worth least.

    Args:
        slots: rendered slot probabilities.
        labels: the mask of each pixel, in [0, masks).
        masks: number of masks; those without a pixel take what the others leave.
    """
    sums = slots.detach().new_zeros(masks, slots.shape[1]).index_add_(0, labels, slots.detach())
    pixels = torch.bincount(labels, minlength=masks)
    return assign_some(sums / pixels.clamp(min=1)[:, None]).to(slots.device)


def instance_loss(slots: Float[Tensor, "pixels slots"], labels: Int[Tensor, "pixels"], masks: int) -> Float[Tensor, ""]:
    """Mean of -log O over the slot that each pixel's mask is assigned; 0 where no pixel has a mask.

    Args:
        slots: rendered slot probabilities.
        labels: the mask of each pixel, in [0, masks), or -1 for a pixel that takes no part.
        masks: number of masks.
    """
    slots, labels = slots[labels >= 0], labels[labels >= 0]
    targets = assign(slots, labels, masks)[labels]
    slots, targets = slots[targets >= 0], targets[targets >= 0]
    chosen = slots.gather(1, targets[:, None]).clamp(min=torch.finfo(slots.dtype).tiny)
    return -chosen.log().sum() / max(len(targets), 1)


def train(
    pipeline: DiscoNerfPipeline, iterations: int, seed: int, in_masks: float | None = TWICE, rate: float = RATE
) -> ObjectField:
    """An object field trained on the instance loss and our total variation.

    Args:
        in_masks: number of slots, as in `slot_count`.
        rate: learning rate after the warm-up.
    """
    torch.manual_seed(seed)
    config = pipeline.config.model
    field = ObjectField(config.object_field, slot_count(pipeline, in_masks)).to(pipeline.device)

    def loss(_step: int) -> Float[Tensor, ""]:
        views = next_views(pipeline)
        surface = SurfaceSamples.cat([pipeline.object_stage.surfaces[view.index] for view in views]).to(pipeline.device)
        positions = surface.positions.flatten(0, 1)
        images = render_slots(field(positions), surface.accumulation.float()).split([len(v.valid) for v in views])
        labels = [smallest_masks(view.unpack()).where(view.valid, -1) for view in views]
        instances = [instance_loss(*some, len(view.bits)) for *some, view in zip(images, labels, views)]
        chosen = torch.randint(len(positions), (config.tv_cells,), device=positions.device)
        return sum(instances) / len(views) + config.tv_mult * field.total_variation(positions[chosen])

    optimize(field, pipeline, iterations, loss, rate)
    return field
