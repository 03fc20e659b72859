"""What every baseline shares with the object stage: its views, its optimizer and its learning rate's schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from disconerf_ns.datamanager import MaskedView
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.schedule import Schedule

OBJECT_RATE = 0.15
"""Learning rate of the object field in the methods of `disconerf_ns.method`."""


def draw_views(views: int, batch: int) -> Iterator[list[int]]:
    """The views of each iteration without end: every view once in random order, then again.

    Args:
        views: number of training views.
        batch: views in one iteration; all of them where there are fewer.
    """
    order: list[int] = []
    while True:
        if len(order) < min(batch, views):
            order += torch.randperm(views).tolist()
        yield order[:batch]
        order = order[batch:]


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
    loss: Callable[[list[MaskedView]], Float[Tensor, ""]],
    rate: float = OBJECT_RATE,
) -> None:
    """Train a field as the object stage does, on the loss of some views in each iteration.

    Args:
        field: what is trained.
        pipeline: a run with its surfaces.
        iterations: number of iterations.
        loss: what some training views cost.
        rate: learning rate after the warm-up.
    """
    config = pipeline.config
    schedule, optimizer = Schedule(0, iterations), torch.optim.Adam(field.parameters(), eps=1e-15)
    batches = draw_views(len(pipeline.surfaces), config.datamanager.views_per_batch)
    for step, drawn in zip(range(iterations), batches):
        for group in optimizer.param_groups:
            group["lr"] = rate * schedule.object_decay(step, config.object_warmup, config.object_decay)
        optimizer.zero_grad()
        loss([pipeline.datamanager.view_masks(index).to(pipeline.device) for index in drawn]).backward()
        optimizer.step()
