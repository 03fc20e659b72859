"""Feature fields, and how they become objects: clusters of surface points, and the nearest cluster's centroid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from sklearn.cluster import HDBSCAN, KMeans
from torch import Tensor, nn

from disconerf_ns.field import ObjectField, ObjectFieldConfig
from disconerf_ns.surface.samples import SurfaceSamples


class FeatureField(ObjectField):
    """f(x) = MLP(hashgrid(x)): the object field without its softmax, and without the contrast that was made for it."""

    def __init__(self, config: ObjectFieldConfig, features: int):
        super().__init__(replace(config, start_contrast=1.0), features)

    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n features"]:
        """Features of contracted positions in [0, 1]^3."""
        return self.mlp(self.grid(positions)).float()


class NearestCentroid(nn.Module):
    """Probability 1 for the centroid that is nearest to a point's feature."""

    def __init__(self, field: nn.Module, centroids: Float[Tensor, "slots features"]):
        super().__init__()
        self.field = field
        self.register_buffer("centroids", centroids)

    @classmethod
    @torch.no_grad()
    def of_clusters(
        cls,
        field: nn.Module,
        points: Float[Tensor, "points 3"],
        cluster: Callable[[Float[Tensor, "points features"]], Int[Tensor, "points"]],
    ) -> NearestCentroid:
        """Mean features of the clusters 0, 1, ... that points are in; of all points where there is no cluster."""
        features = field(points)
        members = cluster(features).to(features.device)
        if not (members >= 0).any():
            members = torch.zeros_like(members)
        return cls(field, torch.stack([features[members == i].mean(0) for i in range(int(members.max()) + 1)]))

    @property
    def slots(self) -> int:
        """Number of centroids."""
        return len(self.centroids)

    @torch.no_grad()
    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n slots"]:
        """One-hot rows for contracted positions in [0, 1]^3."""
        nearest = torch.cdist(self.field(positions), self.centroids).argmin(1)
        return nn.functional.one_hot(nearest, self.slots).float()


def render(field: nn.Module, surface: SurfaceSamples) -> Float[Tensor, "rays features"]:
    """F = A / k sum_j f(x_j): features rendered along rays as slots are; there may be no ray."""
    positions = surface.positions
    features = field(positions.flatten(0, 1)).unflatten(0, positions.shape[:2])
    return features.mean(1) * surface.accumulation.float()[:, None]


def random_points(surfaces: list[SurfaceSamples], count: int) -> Float[Tensor, "points 3"]:
    """Contracted positions of `count` random surface points, or of all, on rays that see something (A >= 1/2)."""
    solid = [surface[surface.accumulation >= 0.5] for surface in surfaces]
    positions = SurfaceSamples.cat(solid).positions.flatten(0, 1)
    return positions[torch.randperm(len(positions))[:count].to(positions.device)]


def density_clusters(
    features: Float[Tensor, "points features"], min_share: float, min_samples: int = 10
) -> Int[Tensor, "points"]:
    """HDBSCAN's cluster of each point, -1 for noise.

    Args:
        features: features of the points.
        min_share: smallest part of the points that is a cluster.
        min_samples: points around a point by which its density is told.
    """
    smallest = max(int(min_share * len(features)), 2)
    return torch.from_numpy(HDBSCAN(smallest, min_samples, copy=True).fit_predict(features.cpu().numpy()))


class Rescaled(nn.Module):
    """Features of another field, moved and stretched to [0, 1] along each axis by those of some points.

    Points that lie more than three standard deviations from the mean along an axis take no part.
    """

    def __init__(self, field: nn.Module, points: Float[Tensor, "points 3"]):
        super().__init__()
        self.field = field
        with torch.no_grad():
            features = field(points)
        near = ((features - features.mean(0)).abs() < 3 * features.std(0)).all(1)
        kept = features[near] if near.any() else features
        self.register_buffer("low", kept.amin(0))
        self.register_buffer("extent", (kept.amax(0) - kept.amin(0)).clamp(min=1e-9))

    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n features"]:
        """Rescaled features of contracted positions in [0, 1]^3."""
        return (self.field(positions) - self.low) / self.extent


def mean_clusters(features: Float[Tensor, "points features"], count: int) -> Int[Tensor, "points"]:
    """The cluster of each point among `count` of k-means."""
    return torch.from_numpy(KMeans(count, n_init=4, random_state=0).fit_predict(features.cpu().numpy()))
