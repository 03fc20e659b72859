"""The objects that the masks of all views agree on, found without training.

Masks of one view are often wrong: an object is missed, cut in two, joined with its neighbour. Over many views the
errors differ, so surface cells that the masks of most views put together belong to one object. Cells are merged while
the masks agree on average (linkage), groups that no mask shows are dropped (prune), and cells go to the group whose
cells they are seen with (reassign).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import track
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from torch import Tensor

from disconerf_ns.discovery.cells import Cells, MaskedSurface, Observation, observe

VIEWS_AT_ONCE = 32
"""Views whose evidence is summed up by one product."""
COARSE, FINE = 4000, 30_000
"""Most cells that are merged pair by pair, and most cells that get a group in the end."""
POINTS_PER_CELL = 16
"""Surface points in a cell: so many that several views see it."""
DRAWS = 4
"""Most draws of cells, each grouped with every doubt, of which the best is kept."""
CLEAR = 0.999
"""Part of a draw's cells with the same group under every doubt from which on no further draw is made."""
DOUBTS = (0.0, 3.0)
"""Pairs of cells kept apart that the evidence of two groups has to outweigh. Doubt keeps a few stray cells from joining
objects that are never seen together; without it large surfaces that are seen piece by piece stay whole more easily."""
LEAST_AGREEMENT = 0.5
"""Mean similarity from which on two groups are one object: the masks put them together more often than not."""
LEAST_VIEWS = 2
"""Pairs of cells with fewer views in common tell nothing."""
LEAST_SUPPORT = 0.25
"""Mean affinity of a group with the masks matched to it, below which it is no object."""
LEAST_CELLS = 4
"""Cells in the smallest group."""
NEAR = 8
"""Neighbours of a cell between which it has space."""
FEW_CELLS = 2
"""Cells of a group in one view that halve that view's vote."""


@dataclass
class Consensus:
    """Surface points and the object that each belongs to."""

    points: Float[Tensor, "cells 3"]
    """Contracted positions in [0, 1]^3."""
    groups: Int[Tensor, "cells"]
    """Objects from 0, the largest first."""

    neighbours: Int[Tensor, "cells near"]
    """The nearest other points of each, at most NEAR of them."""

    @classmethod
    def of(cls, points: Float[Tensor, "cells 3"], groups: Int[Tensor, "cells"]) -> Consensus:
        """With the neighbours found."""
        near = min(NEAR, len(points) - 1)
        if near < 1:
            return cls(points, groups, torch.arange(len(points))[:, None])
        return cls(points, groups, torch.from_numpy(cKDTree(points.numpy()).query(points.numpy(), near + 1)[1][:, 1:]))

    def __len__(self) -> int:
        return int(self.groups.max()) + 1 if len(self.groups) else 0

    def cpu(self) -> Consensus:
        """The same in main memory."""
        return Consensus(self.points.cpu(), self.groups.cpu(), self.neighbours.cpu())

    def draw_points(self, count: int) -> tuple[Float[Tensor, "count 3"], Int[Tensor, "count"]]:
        """Random points between cells, and the object of both, -1 between cells of two objects.

        Each is up to half-way from a random cell's own point to a neighbour. So the space between the surface points
        has an object too, which held-out views see where surfaces are fuzzy. Between objects it is left to the masks.
        """
        device = self.points.device
        cell = torch.randint(len(self.points), (count,), device=device)
        neighbour = self.neighbours[cell, torch.randint(self.neighbours.shape[1], (count,), device=device)]
        part = torch.rand(count, 1, device=device) / 2
        group = torch.where(self.groups[cell] == self.groups[neighbour], self.groups[cell], -1)
        return torch.lerp(self.points[cell], self.points[neighbour], part), group


def find_consensus(views: Sequence[MaskedSurface], most: int | None = None) -> Consensus:
    """Group the surface by the masks of all views.

    Which cells are drawn, and how much evidence joins them, decides what is close to a threshold, such as whether an
    object merges with its neighbour. So several draws are grouped, each with every doubt, and what agrees most with the
    masks is kept. Where doubt makes no difference nothing is close, and that draw is the last.

    Args:
        views: surface samples and binary masks of each view, pixel by pixel.
        most: the number of objects kept, the largest ones; None keeps all.
    """
    best, fine, groups = -1.0, None, None
    draws = track(range(DRAWS), "Finding what the masks agree on", console=CONSOLE)
    for seed in draws:
        draw = draw_cells(views, seed)
        coarse = draw[:COARSE]
        seen = list(observe(coarse, views))
        evidence = collect(seen, len(coarse))
        candidates = [group(seen, evidence, doubt, most) for doubt in DOUBTS]
        for found in candidates:
            agrees = agreement(seen, found)
            if agrees > best:
                best, fine, groups = agrees, draw, found[coarse.at(draw.seeds)]
        if likeness(*candidates) >= CLEAR:
            list(draws)  # the rest is as good as done
    groups = reassign(observe(fine, views), groups)
    known = groups >= 0
    return Consensus.of(fine.seeds[known], by_size(groups[known]))


def draw_cells(views: Sequence[MaskedSurface], seed: int) -> Cells:
    """The fine cells of a draw; the first COARSE of them are those that are merged."""
    points = sum(surface.packed[..., 0].numel() for surface, _ in views)
    return Cells.draw((surface for surface, _ in views), min(FINE, points // POINTS_PER_CELL), seed)


def group(seen: Sequence[Observation], evidence: Evidence, doubt: float, most: int | None) -> Int[Tensor, "cells"]:
    """The group of each cell, -1 for none; at most `most` groups."""
    groups = by_size(linkage(evidence, doubt))
    groups = prune(seen, torch.where(torch.bincount(groups)[groups] >= LEAST_CELLS, groups, -1))
    groups = prune(seen, reassign(seen, groups))
    if most is not None:
        groups = torch.where(groups < most, groups, -1)
    return reassign(seen, groups, rounds=3)


def by_size(groups: Int[Tensor, "cells"]) -> Int[Tensor, "cells"]:
    """The same groups numbered from 0, the largest first; -1, no group, stays."""
    found, where, count = groups.unique(return_inverse=True, return_counts=True)
    count = torch.where(found < 0, len(groups) + 1, count)
    rank = count.argsort(descending=True, stable=True).argsort() - int((found < 0).any())
    return rank[where]


class Evidence(NamedTuple):
    """What all views say of every two cells."""

    similar: Float[Tensor, "cells cells"]
    """Similarity of the two, summed over the views that see both of them inside of masks."""
    views: Float[Tensor, "cells cells"]
    """Those views."""


def collect(seen: Sequence[Observation], cells: int) -> Evidence:
    """Sum up the views.

    With Z the one-hot kinds of all cells in a view and S the similarity of kinds, a view says Z S Z^T; the products of
    many views side by side are one.
    """
    evidence = Evidence(torch.zeros(cells, cells), torch.zeros(cells, cells))
    for some in (seen[i : i + VIEWS_AT_ONCE] for i in range(0, len(seen), VIEWS_AT_ONCE)):
        kinds = sum(len(view.similarity[2]) for view in some)
        one_hot, similar = torch.zeros(2, cells, kinds)
        masked = torch.zeros(cells, len(some))
        first = 0
        for column, view in enumerate(some):
            kind, of_kinds, in_masks = view.similarity
            own = slice(first, first + len(in_masks))
            masked[view.cells, column] = in_masks[kind].float()
            one_hot[view.cells, first + kind] = in_masks[kind].float()
            similar[view.cells, own] = of_kinds[kind]
            first = own.stop
        evidence.similar.addmm_(similar, one_hot.T)
        evidence.views.addmm_(masked, masked.T)
    return evidence


def linkage(evidence: Evidence, doubt: float) -> Int[Tensor, "cells"]:
    """Merge cells, the most similar pair of groups first, while the masks agree on it in the mean over views and cells.

    Groups are as similar as the mean over all evidence between their cells (average linkage where pairs weigh as much
    as they are seen together), and over as much evidence against it as there is doubt.
    """
    return torch.from_numpy(_merge(evidence.similar.numpy().copy(), evidence.views.numpy().copy(), doubt))


def _merge(agreement: np.ndarray, views: np.ndarray, doubt: float) -> np.ndarray:
    """Agglomerate; `best` is the similarity of each row with its partner, or a bound of it until the row is searched.

    A bound is what stays where the partner is gone or less similar than before: most rows are never searched again.
    """
    count = len(views)
    group, row_group, partner = np.arange(count), np.arange(count), np.zeros(count, int)
    best, searched = np.ones(count, np.float32), np.zeros(count, bool)
    gone, doubt = np.zeros(count, np.float32), np.float32(doubt)

    def similar(row: int) -> np.ndarray:
        mean = agreement[row] / np.maximum(views[row] + doubt, 1)
        mean[views[row] < LEAST_VIEWS] = -1
        mean[row] = -1
        return mean - gone

    while best.max(initial=-1) >= LEAST_AGREEMENT:
        i = int(best.argmax())
        if not searched[i]:
            now = similar(i)
            partner[i], searched[i] = now.argmax(), True
            best[i] = now[partner[i]]
            continue
        j = int(partner[i])
        for table in (agreement, views):
            table[i] += table[j]
            table[:, i] = table[i]
        group[group == row_group[j]], row_group[j], gone[j] = row_group[i], -1, 2
        now = similar(i)
        searched &= (partner != i) & (partner != j)
        closer = now >= np.maximum(best, 0)
        partner[closer], best[closer], searched[closer] = i, now[closer], True
        best[i], searched[i], best[j] = 1, False, -1
        alive = gone == 0
        if 2 * np.count_nonzero(alive) < len(alive):
            agreement, views = (table[np.ix_(alive, alive)] for table in (agreement, views))
            row_group, gone, best, searched = row_group[alive], gone[alive], best[alive], searched[alive]
            partner = (np.cumsum(alive) - 1)[partner[alive]]
    return group


def group_weights(view: Observation, groups: Int[Tensor, "cells"], count: int) -> Float[Tensor, "seen count"]:
    """The groups as they appear in a view: the weight of each seen cell in the column of its group."""
    return torch.nn.functional.one_hot(groups[view.cells] + 1, count + 1)[:, 1:] * view.weight[:, None]


class ViewMatch(NamedTuple):
    """A view's masks matched one to one with the groups that it shows (Hungarian matching, 3.1)."""

    group: Int[Tensor, "matched"]
    affinity: Float[Tensor, "matched"]
    """Affinity (Eq. 4) of mask and group, in [0, 1]."""
    image: Float[Tensor, "seen groups"]
    """The groups as they appear in the view."""


def match_groups(view: Observation, groups: Int[Tensor, "cells"], count: int) -> ViewMatch:
    """Match a view's masks with the groups."""
    image = group_weights(view, groups, count)
    shared, area = view.inside.T @ image, view.inside.T @ view.weight
    alpha = shared / (area[:, None] + image.sum(0) - shared).clamp(min=1e-9)
    mask, group = linear_sum_assignment(alpha.numpy(), maximize=True)
    return ViewMatch(torch.from_numpy(group), alpha[mask, group], image)


def agreement(seen: Sequence[Observation], groups: Int[Tensor, "cells"]) -> float:
    """How alike the masks and the groups are: 2 sum alpha / (masks + groups in view), over all views, in [0, 1].

    Masks without a group and groups without a mask both count against it, so neither merged nor cut objects pay.
    """
    count = int(groups.max()) + 1
    total = both = 0.0
    for view in seen:
        found = match_groups(view, groups, count)
        total += float(found.affinity.sum())
        both += view.inside.shape[1] + int((found.image.sum(0) > 0).sum())
    return 2 * total / max(both, 1.0)


def likeness(one: Int[Tensor, "cells"], other: Int[Tensor, "cells"]) -> float:
    """Part of the cells in which two groupings are the same, in [0, 1]; their groups are matched one to one."""
    shared = torch.zeros(int(one.max()) + 2, int(other.max()) + 2)
    shared.index_put_((one + 1, other + 1), torch.ones(()), accumulate=True)
    return float(shared[linear_sum_assignment(shared.numpy(), maximize=True)].sum()) / len(one)


def support(seen: Sequence[Observation], groups: Int[Tensor, "cells"]) -> Float[Tensor, "groups"]:
    """How well masks show each group: affinity with the mask matched to it in a view, as a mean over views.

    Views weigh as much as they show of the group inside of masks.
    """
    count = int(groups.max()) + 1
    total, shown = torch.zeros(2, count)
    for view in seen:
        found = match_groups(view, groups, count)
        masked = (view.inside > 0.5).any(1).float() @ found.image
        shown += masked
        total[found.group] += masked[found.group] * found.affinity
    return total / shown.clamp(min=1e-9)


def prune(seen: Sequence[Observation], groups: Int[Tensor, "cells"]) -> Int[Tensor, "cells"]:
    """Drop groups without support, the worse half of them first, because what is dropped frees masks for the others."""
    while int(groups.max()) >= 0:
        found = support(seen, groups)
        weak = int((found < LEAST_SUPPORT).sum())
        if weak == 0:
            break
        dropped = found.argsort()[: -(-weak // 2)]
        groups = by_size(torch.where(torch.isin(groups, dropped), -1, groups))
    return groups


def reassign(seen: Iterable[Observation], groups: Int[Tensor, "cells"], rounds: int = 1) -> Int[Tensor, "cells"]:
    """Give each cell to the group whose cells the masks put it together with most, -1 where no mask says anything.

    Every view that sees a cell has one vote, the mean similarity of the cell with the group's cells there; it shrinks
    towards 0 where the view sees hardly any of the group.
    """
    seen = [(view.cells, *view.similarity) for view in seen]
    count = int(groups.max()) + 1
    for _ in range(rounds if count else 0):
        votes = torch.zeros(len(groups), count)
        for cells, kind, similar, masked in seen:
            known = (groups[cells] >= 0) & masked[kind]
            number = torch.zeros(count, len(similar))
            number.index_put_((groups[cells][known], kind[known]), torch.ones(()), accumulate=True)
            vote = similar @ number.T / (number.sum(1) + FEW_CELLS)
            votes[cells] += vote[kind]
        best, group = votes.max(1)
        groups = torch.where(best > 0, group, -1)
    return groups
