"""A scene as it was learned: the frozen radiance field, the object field over it, and the objects discovered in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.lazy import lazy
from disconerf_ns.scene.objects import DiscoveredObject
from disconerf_ns.scene.radiance import RadianceField
from disconerf_ns.scene.seen_voxels import SeenVoxels

OUTSIDE = 1e-6
"""Weight of an object's slot outside of the object's box, and where the masks saw nothing of the object around."""


@dataclass(frozen=True, eq=False)
class TrainedScene:
    """Everything that is learned; it does not change between two training steps."""

    radiance: RadianceField
    object_field: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n slots"]]
    """Slot probabilities at contracted positions, rows summing to 1."""
    slots: int
    """Number N of object slots."""
    discovered: tuple[DiscoveredObject, ...] = ()
    """Slots that are objects, in the order of their names."""
    agreed_points: Float[Tensor, "points 3"] | None = None
    """Contracted surface points that the masks of all views agree on; None where masks are matched view by view."""
    agreed_slots: Int[Tensor, "points"] | None = None
    """The slot of each."""

    @property
    def contraction(self) -> Contraction:
        """Scene positions to the unit cube of both fields."""
        return self.radiance.contraction

    @lazy
    def boxes(self) -> Float[Tensor, "objects 2 3"]:
        """Boxes of the discovered objects, in scene coordinates."""
        return torch.tensor([each.box for each in self.discovered], device=self.radiance.device).view(-1, 2, 3)

    @lazy
    def seen_voxels(self) -> SeenVoxels | None:
        """Voxels in which the masks saw the objects that they agree on."""
        if self.agreed_points is None or self.agreed_slots is None:
            return None
        return SeenVoxels.of(self.agreed_points, self.agreed_slots, self.slots)

    def agreed_on(self, slots: frozenset[int]) -> Float[Tensor, "points 3"] | None:
        """Contracted points that the masks agree belong to some slots; None where masks are matched view by view."""
        if self.agreed_points is None or self.agreed_slots is None:
            return None
        return self.agreed_points[torch.isin(self.agreed_slots, torch.tensor(sorted(slots)).to(self.agreed_slots))]

    def slot_probabilities(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n slots"]:
        """Slot probabilities at contracted positions times who may own them; rows sum to at most 1.

        An object may own a position inside its box and, where masks are matched by scene, where the masks saw it
        around. At positions that nobody may own, such as fog that no training view looked into, all slots weigh next to
        nothing, but one of them is still the largest. Slots that are no objects own nothing.
        """
        low, high = self.boxes.unbind(1)
        scene = self.contraction.inverse(positions)[:, None]
        inside = ((low <= scene) & (scene <= high)).all(-1)
        probabilities = self.object_field(positions) + 1e-9
        owned = torch.zeros_like(probabilities)
        slots = torch.tensor([each.slot for each in self.discovered], dtype=torch.long, device=owned.device)
        owned.index_copy_(1, slots, inside.to(owned).clamp(min=OUTSIDE))
        if self.seen_voxels is not None:
            owned *= self.seen_voxels(positions).to(owned).clamp(min=OUTSIDE)
        return probabilities * owned
