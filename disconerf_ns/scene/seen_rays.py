"""What the photographs show: the surface points at which rays of the training views end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

AT_ONCE = 2**13
"""Rays that are followed together."""


@dataclass(frozen=True, eq=False)
class SeenRays:
    """Rays of the training views, and how far each of them is seen along."""

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    """Unit vectors."""
    distances: Float[Tensor, "rays"]
    """Distance to the surface, where half of the light is lost, in scene units."""
    ends: Float[Tensor, "rays"]
    """Distance at which most of the light is lost."""

    @classmethod
    def of(
        cls,
        views: Iterable[RayBundle],
        reach: Callable[[RayBundle], tuple[Float[Tensor, "rays"], Float[Tensor, "rays"]]],
    ) -> SeenRays:
        """Follow rays to the surface and into it.

        Args:
            views: flat rays, some at a time.
            reach: distances along each ray at which its surface is, and at which it ends.
        """
        some = (rays[start : start + AT_ONCE] for rays in views for start in range(0, len(rays), AT_ONCE))
        parts = [(rays.origins, rays.directions, *reach(rays)) for rays in some]
        return cls(*(torch.cat(column) for column in zip(*parts)))

    @property
    def points(self) -> Float[Tensor, "rays 3"]:
        """The surface points."""
        return self.origins + self.directions * self.distances[:, None]

    def __len__(self) -> int:
        return len(self.distances)

    def __getitem__(self, rays: Tensor) -> SeenRays:
        """Some of the rays, by index or by a mask."""
        return SeenRays(self.origins[rays], self.directions[rays], self.distances[rays], self.ends[rays])
