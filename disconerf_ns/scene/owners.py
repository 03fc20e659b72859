"""Whose a point is under an edit: the shown nodes', divided among connected parts, and summed where they are merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from disconerf_ns.scene.connected_parts import ConnectedParts
from disconerf_ns.scene.lazy import lazy
from disconerf_ns.scene.ownership import Ownership


class Divided(NamedTuple):
    """A node that is split into connected parts."""

    ids: list[int]
    """Ids of the parts, the first of which is the node's."""
    parts: ConnectedParts


@dataclass(frozen=True, eq=False)
class Owners:
    """The ids that may own points under an edit."""

    nodes: Ownership
    """The shown nodes."""
    divided: Mapping[int, Divided]
    """The nodes that are split, and their connected parts."""
    merged: Mapping[int, int]
    """Ids that are merged into others."""

    @lazy
    def ids(self) -> Int[Tensor, "columns"]:
        """The nodes, then the further parts of those that are split."""
        further = [id for each in self.divided.values() for id in each.ids[1:]]
        return torch.tensor([*self.nodes.nodes, *further], dtype=torch.long, device=self.nodes.trained.radiance.device)

    @lazy
    def _column(self) -> dict[int, int]:
        return {id: column for column, id in enumerate(self.ids.tolist())}

    def __call__(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n columns"]:
        """Probabilities of `ids` at contracted positions, times who may own them; rows sum to at most 1.

        A merged id has none of its own.
        """
        shares, column = self.nodes(positions), self._column
        for node, (ids, parts) in self.divided.items():
            part = parts.at(positions).clamp(max=len(ids) - 1)
            own = shares[:, column[node], None] * (part[:, None] == torch.arange(len(ids), device=part.device))
            shares[:, column[node]] = own[:, 0]
            shares = torch.cat([shares, own[:, 1:]], 1)
        for id, into in self.merged.items():
            if id in column:  # otherwise it rules too little to be an object
                shares[:, column[into]] += shares[:, column[id]]
                shares[:, column[id]] = 0
        return shares

    def of_ids(self, shares: Float[Tensor, "*n columns"], count: int) -> Float[Tensor, "*n count"]:
        """Values of `ids` as columns of so many ids; all others are 0."""
        return shares.new_zeros(*shares.shape[:-1], count).index_copy_(-1, self.ids, shares)
