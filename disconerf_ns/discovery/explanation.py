"""Masks explained by the objects that all views agree on: a matching that is made once and knows the other views.

Matching by what the slots look like now (DiscoNeRF, 3.1) gives every mask a slot, also a mask of half an object or of
two objects at once, and pulls the slot there. Here a mask stands for the set of objects that lie mostly inside it. If
the set's union looks like the mask, the union learns from the mask; if not, nothing does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from disconerf_ns.discovery.cells import Cells, MaskedSurface, Observation, observe
from disconerf_ns.discovery.consensus import Consensus, group_weights

MOSTLY = 0.5
"""Part of an object's picture that lies inside a mask from which on the mask is about it."""
LIKE = 0.5
"""Affinity of a mask with its objects' union from which on they explain it."""


class Explanation(NamedTuple):
    """What each mask of a view is about."""

    sets: Float[Tensor, "masks slots"]
    """1 for the slots whose union explains the mask."""
    affinity: Float[Tensor, "masks"]
    """Affinity (Eq. 4) of mask and union, in [0, 1]."""

    @property
    def explained(self) -> Bool[Tensor, "masks"]:
        """Masks that are like their union."""
        return self.affinity >= LIKE

    def to(self, device: torch.device | str) -> Explanation:
        """The same explanation on another device."""
        return Explanation(self.sets.to(device), self.affinity.to(device))


def explain(view: Observation, groups: Int[Tensor, "cells"], slots: int) -> Explanation:
    """Explain a view's masks by groups of cells.

    Args:
        view: the cells that the view sees, and the masks that they lie in.
        groups: slot of every cell of the surface.
        slots: number N of slots, more than the largest group.
    """
    image = group_weights(view, groups, slots)
    shared, area, size = view.inside.T @ image, view.inside.T @ view.weight, image.sum(0)
    sets = (shared > MOSTLY * size).float()
    inside = (shared * sets).sum(1)
    union = area + sets @ size - inside
    return Explanation(sets, inside / union.clamp(min=1e-9))


def explain_all(views: Sequence[MaskedSurface], consensus: Consensus, slots: int) -> list[Explanation]:
    """Explain the masks of every view by the objects of a consensus, which are the first of `slots` slots."""
    return [explain(seen, consensus.groups, slots) for seen in observe(Cells(consensus.points), views)]
