"""Panoptic Lifting's instance loss (Siddiqui et al., CVPR 2023, 3.3) on the object field.

In each view every mask is assigned a slot of its own, and its pixels are classified as that slot by cross-entropy: a
mask is held against the slots by its own pixels alone, and slots that leak elsewhere cost nothing.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from disconerf_ns.field import ObjectField
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.surface.samples import SurfaceSamples, render_slots
from disconerf_ns.training import objective

from .training import next_views, optimize, smallest_masks


def assign(slots: Float[Tensor, "pixels slots"], labels: Int[Tensor, "pixels"], masks: int) -> Int[Tensor, "masks"]:
    """One slot for every mask, no slot twice, with the largest total of the slots' mean probabilities in the masks.

    Args:
        slots: rendered slot probabilities.
        labels: the mask of each pixel, in [0, masks).
        masks: number of masks; those without a pixel take what the others leave.
    Raises:
        ValueError: more masks than slots.
    """
    sums = slots.detach().new_zeros(masks, slots.shape[1]).index_add_(0, labels, slots.detach())
    pixels = torch.bincount(labels, minlength=masks)
    return objective.assign(sums / pixels.clamp(min=1)[:, None])


def instance_loss(slots: Float[Tensor, "pixels slots"], labels: Int[Tensor, "pixels"], masks: int) -> Float[Tensor, ""]:
    """Mean of -log O over the slot that each pixel's mask is assigned; 0 where no pixel has a mask.

    Args:
        slots: rendered slot probabilities.
        labels: the mask of each pixel, in [0, masks), or -1 for a pixel that takes no part.
        masks: number of masks.
    """
    slots, labels = slots[labels >= 0], labels[labels >= 0]
    targets = assign(slots, labels, masks)[labels]
    chosen = slots.gather(1, targets[:, None]).clamp(min=torch.finfo(slots.dtype).tiny)
    return -chosen.log().sum() / max(len(labels), 1)


def train(pipeline: DiscoNerfPipeline, iterations: int, seed: int) -> ObjectField:
    """An object field trained on the instance loss and our total variation, with as many slots as the run has."""
    torch.manual_seed(seed)
    config = pipeline.config.model
    field = ObjectField(config.object_field, config.slots).to(pipeline.device)

    def loss(_step: int) -> Float[Tensor, ""]:
        views = next_views(pipeline)
        surface = SurfaceSamples.cat([pipeline.surfaces[view.index] for view in views]).to(pipeline.device)
        positions = surface.positions.flatten(0, 1)
        images = render_slots(field(positions), surface.accumulation.float()).split([len(v.valid) for v in views])
        labels = [smallest_masks(view.unpack()).where(view.valid, -1) for view in views]
        instances = [instance_loss(*some, len(view.bits)) for *some, view in zip(images, labels, views)]
        chosen = torch.randint(len(positions), (config.tv_cells,), device=positions.device)
        return sum(instances) / len(views) + config.tv_mult * field.total_variation(positions[chosen])

    optimize(field, pipeline, iterations, loss)
    return field
