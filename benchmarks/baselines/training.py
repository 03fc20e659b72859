"""Parts that every baseline shares with the object stage: its views, slots, optimizer, and learning rate's schedule."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from disconerf_ns.masks.masked_view import MaskedView
from disconerf_ns.method import disconerf
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.training.schedule import Schedule

OPTIMIZER = disconerf.config.optimizers["object_field"]["optimizer"]
OBJECT_RATE = OPTIMIZER.lr
"""Learning rate of the object field after the warm-up."""


TWICE = 2.0
"""Slots of DiscoNeRF (4), in most masks of a view."""


def slot_count(pipeline: DiscoNerfPipeline, in_masks: float | None) -> int:
    """Number of slots: so many times the most masks of a training view, or as many as the masks agree on objects.

    Args:
        in_masks: slots in most masks of a view; None for the consensus' number.
    """
    if in_masks is None:
        return max(len(pipeline.model.consensus), 1)
    return max(round(in_masks * pipeline.datamanager.train_dataset.metadata["most_masks"]), 1)


def assign_some(worth: Float[Tensor, "masks slots"]) -> Int[Tensor, "masks"]:
    """One slot for every mask, no slot twice, with the largest total worth; -1 for masks for which no slot is left."""
    rows, columns = linear_sum_assignment(worth.detach().cpu().numpy(), maximize=True)
    chosen = torch.full((len(worth),), -1)
    chosen[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return chosen


def next_views(pipeline: DiscoNerfPipeline) -> list[MaskedView]:
    """The masks of the next iteration's views, on the pipeline's device."""
    data = pipeline.datamanager
    return [data.view_masks(index).to(pipeline.device) for index in data.draw_views()]


def smallest_masks(masks: Float[Tensor, "pixels masks"]) -> Int[Tensor, "pixels"]:
    """Per pixel the smallest of the masks that hold it, -1 where there is none."""
    if masks.shape[1] == 0:
        return torch.full((len(masks),), -1, device=masks.device)
    area = torch.where(masks > 0, masks.sum(0), torch.inf)
    smallest, mask = area.min(1)
    return torch.where(smallest.isinf(), -1, mask)


def optimize(
    field: nn.Module,
    pipeline: DiscoNerfPipeline,
    iterations: int,
    loss: Callable[[int], Float[Tensor, ""]],
    rate: float = OBJECT_RATE,
) -> None:
    """Train a field as the object stage does, from a new shuffling of the views on.

    Args:
        field: what is trained.
        pipeline: a run with its surfaces.
        iterations: number of iterations.
        loss: what the iteration of a number costs on the views that it draws.
        rate: learning rate after the warm-up.
    """
    config = pipeline.config
    pipeline.datamanager.shuffled = []
    schedule, optimizer = Schedule(0, iterations), OPTIMIZER.setup(list(field.parameters()))
    for step in range(iterations):
        for group in optimizer.param_groups:
            group["lr"] = rate * schedule.object_decay(step, config.object_warmup, config.object_decay)
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
