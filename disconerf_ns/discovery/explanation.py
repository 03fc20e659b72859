"""Explanations of masks: each mask is matched once with a set of the objects that all views agree on.

Matching with the current slots (DiscoNeRF, 3.1) gives every mask a slot, even a mask of half an object or of two
objects, and pulls the slot there. Here a mask stands for the set of objects that lie mostly inside it. If the set's
union looks like the mask, the union learns from the mask; otherwise nothing does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from disconerf_ns.discovery.cells import Cells, MaskedSurface, Observation, observe
from disconerf_ns.discovery.consensus import LIKE, Consensus, group_weights

MOSTLY = 0.5
"""Fraction of an object's picture inside a mask, above which the mask is about the object."""
HARDLY = 0.2
"""Fraction of the masks that are explained, below which the objects are hardly what the masks show. Of noisy masks of
four path-traced scenes 72 to 76 % are explained, and of random ones next to none."""


class Explanation(NamedTuple):
    """The set of slots that each mask of a view is about, and how well it explains the mask."""

    sets: Float[Tensor, "masks slots"]
    """1 for the slots whose union explains the mask."""
    affinity: Float[Tensor, "masks"]
    """Affinity (Eq. 4) of mask and union, in [0, 1]."""

    @property
    def explained(self) -> Bool[Tensor, "masks"]:
        """True for masks that resemble the union of their slots."""
        return self.affinity >= LIKE

    def to(self, device: torch.device | str) -> Explanation:
        """The same explanation on another device."""
        return Explanation(self.sets.to(device), self.affinity.to(device))


def explain(view: Observation, groups: Int[Tensor, "cells"], slots: int) -> Explanation:
    """Explain a view's masks by groups of cells.

    Args:
        view: the cells that the view sees, and the masks that hold them.
        groups: slot of every cell of the surface, -1 for none.
        slots: number N of slots, more than the largest index in `groups`.
    """
    image = group_weights(view, groups, slots)
    shared, area, size = view.inside.T @ image, view.inside.T @ view.weight, image.sum(0)
    sets = (shared > MOSTLY * size).float()
    inside = (shared * sets).sum(1)
    union = area + sets @ size - inside
    return Explanation(sets, inside / union.clamp(min=1e-9))


def explain_all(views: Iterable[MaskedSurface], consensus: Consensus, slots: int) -> list[Explanation]:
    """Explain the masks of every view by the objects of a consensus; object i has slot i of `slots` slots.

    The rest, which no mask is about, explains nothing.
    """
    rest = -1 if consensus.tree is None or consensus.tree.rest is None else consensus.tree.rest
    groups = consensus.groups.masked_fill(consensus.groups == rest, -1)
    cells = Cells(consensus.points)
    return [explain(seen, groups, slots) for view in views for seen in observe(cells, [view])]


def count_explained(explanations: Sequence[Explanation]) -> tuple[int, int]:
    """Number of masks of all views that objects explain, and of all masks."""
    return sum(int(view.explained.sum()) for view in explanations), sum(len(view.affinity) for view in explanations)


def said_of_explained(explained: int, masks: int, why: Callable[[], str | None] = lambda: None) -> str:
    """A sentence about how many masks the objects explain, and what it means where hardly any is.

    Args:
        why: asked where hardly any is: a reason that is not the masks; None if there is none.
    """
    sentence = f"the objects explain {explained:,} of {masks:,} masks"
    if explained >= HARDLY * masks:
        return sentence + "."
    if other := why():
        return f"{sentence}, hardly any, because {other}."
    return (
        f"{sentence}, hardly any, so the objects are not what the masks show: do the masks belong to these images? "
        "`disconerf masks check` and `disconerf masks show` tell."
    )
