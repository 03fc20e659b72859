"""How the masks of every view show unions of groups of cells."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from disconerf_ns.discovery.cells import Observation
from disconerf_ns.discovery.consensus import LEAST_POINTS, LIKE, affinities, group_weights

PROPER = 0.8
"""Largest fraction of an object's picture that a part may fill, for masks of the part to differ from the whole's."""
NEARLY = 0.95
"""Largest fraction of an object's picture that its largest part may fill, for a mask to show whether the others, such
as a mug's handle, are in it."""
LEAST_SHOWN = 3
"""Minimum number of views that can tell an object from its parts, for their masks to count."""
TIE = 0.02
"""Difference of affinities that makes no difference, as where a view sees one part of an object alone."""


class UnionAffinities:
    """Unions of groups compared with the masks of every view.

    Args:
        seen: the cells that each view sees, and its masks.
        groups: group of each cell, -1 for none.
        unions: True for the groups (rows) that a union (column) is made of.
    """

    def __init__(
        self, seen: Sequence[Observation], groups: Int[Tensor, "cells"], unions: Bool[Tensor, "groups unions"]
    ):
        members, sizes, affinity = unions.float(), [], []
        for view in seen:
            image = group_weights(view, groups, len(members)) @ members
            affinity.append(affinities(view, image))
            sizes.append(image.sum(0))
        self.size: Float[Tensor, "views unions"] = torch.stack(sizes)
        """Surface points of each union in each view."""
        self.affinity: list[Float[Tensor, "masks unions"]] = affinity
        """Affinity (Eq. 4) of each view's masks with each union."""
        empty = torch.zeros(1, len(members.T))
        self.best: Float[Tensor, "views unions"] = torch.stack([torch.cat([each, empty]).amax(0) for each in affinity])
        """Affinity of each union with the most similar mask of each view; 0 without masks."""
        self.exact: Int[Tensor, "views unions"] = torch.stack([_closest(each).sum(0) for each in affinity])
        """Number of masks of each view that show exactly this union: none that they resemble more."""

    def discernible(self, whole: int, parts: Sequence[int], most: float) -> Bool[Tensor, "views"]:
        """Views that see a union, of which no part fills more than a fraction `most`."""
        size = self.size[:, whole]
        return (size >= LEAST_POINTS) & (self.size[:, list(parts)].amax(1) <= most * size)

    def apart(self, part: int, whole: int) -> float:
        """Fraction of the views that can tell a part from its whole in which a mask shows the part, not the whole.

        It is 0 if fewer than LEAST_SHOWN views can tell them apart.
        """
        able = self.discernible(whole, [part], PROPER) & (self.size[:, part] >= LEAST_POINTS)
        shown = [bool(((a[:, part] >= LIKE) & (a[:, part] > a[:, whole])).any()) for a in self.affinity]
        return _rate(torch.tensor(shown), able)

    def together(self, whole: int, parts: Sequence[int]) -> float:
        """Fraction of the views that can tell a union from its parts in which a mask shows exactly the union.

        Views in which a part fills nearly all of the union count only where there are too few others. It is 0 if fewer
        than LEAST_SHOWN views can tell them apart.
        """
        able = self.discernible(whole, parts, PROPER)
        if int(able.sum()) < LEAST_SHOWN:
            able = self.discernible(whole, parts, NEARLY)
        return _rate(self.exact[:, whole] > 0, able)


def _closest(affinity: Float[Tensor, "masks unions"]) -> Bool[Tensor, "masks unions"]:
    if len(affinity) == 0:
        return torch.zeros(affinity.shape, dtype=torch.bool)
    return (affinity >= LIKE) & (affinity >= affinity.amax(1, keepdim=True) - TIE)


def _rate(shown: Bool[Tensor, "views"], able: Bool[Tensor, "views"]) -> float:
    if int(able.sum()) < LEAST_SHOWN:
        return 0.0
    return float(shown[able].float().mean())
