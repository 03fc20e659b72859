"""Contrastive Lift (Bhalgat et al., NeurIPS 2023): a feature field in which each view's masks lie apart, clustered.

Half of a view's pixels are rendered from the field (fast), half from its moving average (slow). Each fast feature is
drawn to the slow ones of its own mask and away from the others' (contrastive loss), and to the mean of its own mask's
(concentration loss). HDBSCAN then finds the objects among the features of surface points.

The similarity is that of the authors' slow-fast code. It and RATE were chosen by the scores of one seed on the example
scene's held-out views, where squared distances, cosines and rates of 0.01 to 0.15 did worse or no better.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from disconerf_ns.masks.masked_view import MaskedView
from disconerf_ns.pipeline import DiscoNerfPipeline

from .features import FeatureField, NearestCentroid, density_clusters, random_points, render
from .training import next_views, optimize, smallest_masks

FEATURES = 16
"""Features of a point."""
PIXELS = 1024
"""Pixels of each view in one iteration."""
MOMENTUM = 0.9
"""Part of the slow field that an iteration keeps."""
RATE = 0.03
"""Learning rate of the feature field after the warm-up."""
POINTS = 20_000
"""Surface points that are clustered."""
MIN_SHARES = (0.00125, 0.0025, 0.005, 0.01, 0.02)
"""Smallest clusters that the sweep tries, as parts of those points."""


def slow_fast_loss(
    fast: Float[Tensor, "n d"], fast_masks: Int[Tensor, "n"], slow: Float[Tensor, "m d"], slow_masks: Int[Tensor, "m"]
) -> Float[Tensor, ""]:
    """Contrastive and concentration loss of the fast pixels whose mask has slow ones; 0 where there are none.

    With k_ij = exp(-||f_i - s_j||) and c_i the mean of s_j over i's mask, a pixel's contrastive loss is
    -log (sum over i's mask of exp k_ij / sum_j exp k_ij), and its concentration loss -exp(-||f_i - c_i||^2), which
    every mask has the same part in.

    Args:
        fast, slow: rendered features, of different pixels of one view.
        fast_masks, slow_masks: the mask of each of the pixels.
    """
    kept = torch.isin(fast_masks, slow_masks)
    fast, fast_masks = fast[kept], fast_masks[kept]
    same = (fast_masks[:, None] == slow_masks).float()
    kernel = torch.exp(torch.exp(-torch.cdist(fast, slow)))
    contrastive = -((kernel * same).sum(1) / kernel.sum(1)).log().sum() / max(len(fast), 1)
    centres = same @ slow / same.sum(1, keepdim=True)
    near = torch.exp(-(fast - centres).square().sum(1))
    weights = 1 / torch.bincount(fast_masks)[fast_masks]
    return contrastive - (near * weights).sum() / weights.sum().clamp(min=1)


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module) -> None:
    """Move the slow parameters towards the fast ones: slow <- MOMENTUM slow + (1 - MOMENTUM) fast."""
    for behind, ahead in zip(slow.parameters(), fast.parameters()):
        behind.lerp_(ahead, 1 - MOMENTUM)


def learn_features(pipeline: DiscoNerfPipeline, iterations: int, seed: int) -> FeatureField:
    """A feature field trained on the slow-fast loss of every view's smallest masks."""
    torch.manual_seed(seed)
    field = FeatureField(pipeline.config.model.object_field, FEATURES).to(pipeline.device)
    slow_field = copy.deepcopy(field).requires_grad_(False)

    def view_loss(view: MaskedView) -> Float[Tensor, ""]:
        masks = smallest_masks(view.unpack()).where(view.valid, -1)
        covered = torch.nonzero(masks >= 0)[:, 0]
        drawn = covered[torch.randperm(len(covered), device=covered.device)[:PIXELS]]
        fast, slow = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
        surface = pipeline.surfaces[view.index].to(pipeline.device)
        fast_features = render(field, surface[fast])
        slow_features = render(slow_field, surface[slow])
        return slow_fast_loss(fast_features, masks[fast], slow_features, masks[slow])

    def loss(_step: int) -> Float[Tensor, ""]:
        follow(slow_field, field)
        views = next_views(pipeline)
        return sum(map(view_loss, views)) / len(views)

    optimize(field, pipeline, iterations, loss, RATE)
    return field


def sweep(
    pipeline: DiscoNerfPipeline, iterations: int, seed: int, min_shares: Sequence[float] = MIN_SHARES
) -> Iterator[tuple[float, NearestCentroid]]:
    """One feature field and its clusters, for every smallest cluster as part of the points."""
    field = learn_features(pipeline, iterations, seed)
    points = random_points(pipeline.surfaces, POINTS).to(pipeline.device)
    for share in min_shares:
        yield share, NearestCentroid.of_clusters(field, points, partial(density_clusters, min_share=share))


def train(pipeline: DiscoNerfPipeline, iterations: int, seed: int, min_share: float = 0.0025) -> NearestCentroid:
    """A feature field and its clusters, each at least `min_share` of the points."""
    return next(sweep(pipeline, iterations, seed, [min_share]))[1]
