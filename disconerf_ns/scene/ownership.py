"""Whose a point is: probabilities of the nodes of a cut, each the sum of its slots', times who may own the point."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from disconerf_ns.scene.lazy import lazy
from disconerf_ns.scene.trained import TrainedScene

OUTSIDE = 1e-6
"""Weight of an object outside of its box, and where the masks saw nothing of it around."""


@dataclass(frozen=True, eq=False)
class Ownership:
    """The nodes of a cut that may own points: objects, and the rest even where it is too small to be listed."""

    trained: TrainedScene
    nodes: tuple[int, ...]

    @classmethod
    def of(cls, trained: TrainedScene, cut: Iterable[int]) -> Ownership:
        """The owners among the nodes of a cut, which have no slot in common."""
        return cls(trained, tuple(node for node in cut if node in trained.by_node or node == trained.tree.rest))

    @lazy
    def index(self) -> Int[Tensor, "nodes"]:
        """The nodes as a tensor."""
        return torch.tensor(self.nodes, dtype=torch.long, device=self.trained.radiance.device)

    @lazy
    def boxes(self) -> Float[Tensor, "nodes 2 3"]:
        """Boxes of the nodes, in scene coordinates; a rest that is not listed may be anywhere."""
        anywhere = (-math.inf,) * 3, (math.inf,) * 3
        known = self.trained.by_node
        boxes = [known[node].box if node in known else anywhere for node in self.nodes]
        return torch.tensor(boxes, device=self.trained.radiance.device).view(-1, 2, 3)

    @lazy
    def unions(self) -> Float[Tensor, "slots nodes"] | None:
        """1 where a node holds a slot; None where every node is a slot."""
        tree = self.trained.tree
        if all(node < tree.slots for node in self.nodes):
            return None
        unions = torch.zeros(tree.slots, len(self.nodes))
        for column, node in enumerate(self.nodes):
            unions[sorted(tree.leaves(node)), column] = 1
        return unions.to(self.trained.radiance.device)

    def joined(self, slots: Float[Tensor, "n slots"]) -> Float[Tensor, "n nodes"]:
        """Values of the slots, summed for each node."""
        return slots.index_select(1, self.index) if self.unions is None else slots @ self.unions

    def inside(self, positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n nodes"]:
        """Whether scene positions lie in the nodes' boxes."""
        low, high = self.boxes.unbind(1)
        of_axes = ((low[:, k] <= x[:, None]) & (x[:, None] <= high[:, k]) for k, x in enumerate(positions.unbind(1)))
        return reduce(torch.logical_and, of_axes)

    def __call__(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n nodes"]:
        """Probabilities of the nodes at contracted positions times who may own them; rows sum to at most 1.

        A node may own a position inside its box and, where masks are matched by scene, where the masks saw one of its
        slots around. At positions that nobody may own, such as fog that no training view looked into, all nodes weigh
        next to nothing, but one of them is still the largest. Slots of nodes that are no objects own nothing.
        """
        trained = self.trained
        probabilities = self.joined(trained.object_field(positions) + 1e-9)
        owned = self.inside(trained.contraction.inverse(positions)).to(probabilities).clamp(min=OUTSIDE)
        if trained.seen_voxels is not None:
            seen = self.joined(trained.seen_voxels(positions).to(probabilities))
            owned *= seen.clamp(OUTSIDE, 1)
        return probabilities * owned
