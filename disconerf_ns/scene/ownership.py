"""Whose a point is: probabilities of the nodes of a cut, each the sum of its slots', times who may own the point."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from disconerf_ns.scene.lazy import lazy
from disconerf_ns.scene.trained import TrainedScene

OUTSIDE = 1e-6
"""Weight of an object outside of its reach, and where the masks saw nothing of it around."""


@dataclass(frozen=True, eq=False)
class Ownership:
    """The nodes of a cut that may own points: objects, and the rest even where it is too small to be listed."""

    trained: TrainedScene
    nodes: tuple[int, ...]
    """Slots first, then unions of several slots."""

    @classmethod
    def of(cls, trained: TrainedScene, cut: Iterable[int]) -> Ownership:
        """The owners among the nodes of a cut, which have no slot in common."""
        return cls(trained, tuple(sorted(each for each in cut if each in trained.by_node or each == trained.tree.rest)))

    @lazy
    def reaches(self) -> Float[Tensor, "nodes 2 3"]:
        """Boxes outside of which nodes own nothing, in scene coordinates; a rest that is not listed may be anywhere."""
        anywhere = (-math.inf,) * 3, (math.inf,) * 3
        known = self.trained.by_node
        boxes = [known[node].reach if node in known else anywhere for node in self.nodes]
        return torch.tensor(boxes, device=self.trained.radiance.device).view(-1, 2, 3)

    @lazy
    def alone(self) -> Int[Tensor, "alone"]:
        """The nodes that are slots."""
        return self._index(node for node in self.nodes if node < self.trained.tree.slots)

    @lazy
    def united(self) -> Int[Tensor, "united"]:
        """The slots of the other nodes."""
        return self._index(sorted(slot for leaves in self._unions for slot in leaves))

    @lazy
    def unions(self) -> Float[Tensor, "united unions"]:
        """1 where a node holds a slot."""
        held = [[float(slot in leaves) for leaves in self._unions] for slot in self.united.tolist()]
        return torch.tensor(held, device=self.united.device).view(len(self.united), len(self._unions))

    @property
    def _unions(self) -> list[frozenset[int]]:
        return [self.trained.tree.leaves(node) for node in self.nodes if node >= self.trained.tree.slots]

    def _index(self, columns: Iterable[int]) -> Int[Tensor, "columns"]:
        return torch.tensor(list(columns), dtype=torch.long, device=self.trained.radiance.device)

    def joined(self, slots: Shaped[Tensor, "n slots"]) -> Float[Tensor, "n nodes"]:
        """Values of the slots, numbers or truth values, summed for each node."""
        alone, united = slots.index_select(1, self.alone), slots.index_select(1, self.united).to(self.unions)
        return torch.cat([alone, united @ self.unions], 1)

    def inside(self, positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n nodes"]:
        """Whether scene positions lie in the nodes' reaches."""
        low, high = self.reaches.unbind(1)
        of_axes = ((low[:, k] <= x[:, None]) & (x[:, None] <= high[:, k]) for k, x in enumerate(positions.unbind(1)))
        return reduce(torch.logical_and, of_axes)

    def __call__(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n nodes"]:
        """Probabilities of the nodes at contracted positions times who may own them; rows sum to at most 1.

        A node may own a position inside its reach and, where masks are matched by scene, where the masks saw one of its
        slots around. At positions that nobody may own, such as fog that no training view looked into, all nodes weigh
        next to nothing, but one of them is still the largest. Slots of nodes that are no objects own nothing.
        """
        trained = self.trained
        shares = self.joined(trained.object_field(positions) + 1e-9)
        shares = torch.where(self.inside(trained.contraction.inverse(positions)), shares, OUTSIDE * shares)
        if trained.seen_voxels is not None:
            shares *= self.joined(trained.seen_voxels(positions)).clamp(OUTSIDE, 1)
        return shares
