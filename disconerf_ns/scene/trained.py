"""A scene as it was learned: the frozen radiance field, the object field over it, and the objects discovered in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.lazy import lazy
from disconerf_ns.scene.objects import DiscoveredObject
from disconerf_ns.scene.radiance import RadianceField, distance_of
from disconerf_ns.scene.seen_rays import SeenRays
from disconerf_ns.scene.seen_space import SeenSpace
from disconerf_ns.scene.seen_voxels import SeenVoxels
from disconerf_ns.scene.tree import ObjectTree

LAST = 0.75
"""Fraction of a ray's light that is lost where the ray counts as ended."""


@dataclass(frozen=True, eq=False)
class TrainedScene:
    """Everything that is learned; it does not change between two training steps."""

    radiance: RadianceField
    object_field: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n slots"]]
    """Slot probabilities at contracted positions, rows summing to 1."""
    tree: ObjectTree
    """How slots join to larger objects."""
    discovered: tuple[DiscoveredObject, ...] = ()
    """Nodes of the tree that are objects, in the order of their names."""
    agreed_points: Float[Tensor, "points 3"] | None = None
    """Contracted surface points that the masks of all views agree on; None where masks are matched view by view."""
    agreed_slots: Int[Tensor, "points"] | None = None
    """The slot of each."""
    training_rays: Callable[[], Iterable[RayBundle]] | None = None
    """Gives some rays of all training views, flat, a view at a time; None where the views are not known."""
    camera_positions: Callable[[], Float[Tensor, "views 3"]] | None = None
    """Gives the scene positions that the photographs were taken from, on the CPU; None where they are not known."""

    @property
    def contraction(self) -> Contraction:
        """Scene positions to the unit cube of both fields."""
        return self.radiance.contraction

    @property
    def slots(self) -> int:
        """Number N of object slots."""
        return self.tree.slots

    @lazy
    def by_node(self) -> dict[int, DiscoveredObject]:
        """The discovered objects by their nodes."""
        return {each.node: each for each in self.discovered}

    @lazy
    def seen_voxels(self) -> SeenVoxels | None:
        """Voxels in which the masks saw the objects that they agree on."""
        if self.agreed_points is None or self.agreed_slots is None:
            return None
        return SeenVoxels.of(self.agreed_points, self.agreed_slots, self.slots)

    @lazy
    def seen_rays(self) -> SeenRays | None:
        """Where rays of the training views end; None where the views are not known."""
        return None if self.training_rays is None else SeenRays.of(self.training_rays(), self._reach)

    @lazy
    def seen_space(self) -> SeenSpace | None:
        """Space that the training views saw into; None where they are not known."""
        return None if self.seen_rays is None else SeenSpace.of(self.seen_rays, self.contraction)

    def looked_into(self, positions: Float[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
        """Whether the training views look into scene positions; yes, where they are not known."""
        if self.seen_space is None:
            return torch.ones_like(positions[..., 0], dtype=torch.bool)
        return self.seen_space(positions)

    def _reach(self, rays: RayBundle) -> tuple[Float[Tensor, "rays"], Float[Tensor, "rays"]]:
        with self.radiance.still():
            samples = self.radiance.sample(rays)
            weights = samples.weights(self.radiance.densities(samples))
        shares = weights / weights.sum(-1, keepdim=True).clamp(min=1e-6)
        return self.radiance.depth(samples, weights)[:, 0], distance_of(samples.middles, shares, LAST)[:, 0]

    def agreed_on(self, slots: frozenset[int]) -> Float[Tensor, "points 3"] | None:
        """Contracted points that the masks agree belong to some slots; None where masks are matched view by view."""
        if self.agreed_points is None or self.agreed_slots is None:
            return None
        return self.agreed_points[torch.isin(self.agreed_slots, torch.tensor(sorted(slots)).to(self.agreed_slots))]
