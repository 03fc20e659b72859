"""The consensus: groups of cells that the masks of all views agree on.

Masks of one view are often wrong: they miss an object, cut it in two or join it with its neighbour. The errors differ
between views, so surface cells that the masks of most views put together belong to one object. Cells are merged while
the masks agree on average (`linkage`), groups that no mask shows are dropped (`prune`), and each cell moves to the
group whose cells it is seen with (`reassign`). `grouping.py` takes these steps in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array, hstack
from torch import Tensor

from disconerf_ns.discovery.cells import NEAR, Cells, Observation
from disconerf_ns.scene.tree import ObjectTree

VIEWS_AT_ONCE = 32
"""Number of views whose evidence is summed by one sparse matrix product."""
DOUBTS = (0.0, 3.0)
"""Pseudo-counts of disagreeing cell pairs, added before two groups may merge. Doubt keeps a few stray cells from
joining objects that are never seen together; without doubt, large surfaces that are seen piece by piece stay whole more
easily."""
LEAST_AGREEMENT = 0.5
"""Minimum mean similarity of two groups that merge: the masks put them together more often than not."""
LEAST_VIEWS = 2
"""Minimum number of common views, summed over the cell pairs of two groups, for the groups to merge."""
LEAST_POINTS = 8
"""Minimum number of a group's surface points in a view that sees it."""
LIKE = 0.5
"""Minimum affinity of a mask with objects that it shows."""
LEAST_LIKE = 3
"""Minimum number of views with a mask of a group, where that is not most of the views that see it; other groups are
dropped. Of the groups of a room that has noisy masks, true objects have it and most others have not."""
LEAST_CELLS = 4
"""Minimum number of cells in a group."""
FEW_CELLS = 2
"""Number of a group's cells in a view at which the view's vote for the group has half its weight."""


@dataclass
class Consensus:
    """Surface points, and the object that each point belongs to."""

    points: Float[Tensor, "cells 3"]
    """Contracted positions in [0, 1]^3."""
    groups: Int[Tensor, "cells"]
    """Object of each point, numbered from 0, the largest first."""

    neighbours: Int[Tensor, "cells near"]
    """Indices of the nearest other points of each point, at most NEAR of them."""
    tree: ObjectTree | None = None
    """How the objects join to larger ones; None where they do not."""

    @classmethod
    def of(cls, points: Float[Tensor, "cells 3"], groups: Int[Tensor, "cells"]) -> Consensus:
        """Build a consensus and find the neighbours of its points."""
        return cls(points, groups, Cells(points).neighbours(NEAR))

    def __len__(self) -> int:
        return int(self.groups.max()) + 1 if len(self.groups) else 0

    def cpu(self) -> Consensus:
        """The same consensus in main memory."""
        return Consensus(self.points.cpu(), self.groups.cpu(), self.neighbours.cpu(), self.tree)

    def draw_points(self, count: int) -> tuple[Float[Tensor, "count 3"], Int[Tensor, "count"]]:
        """Random points between two cells, and the object of both cells, or -1 if the cells' objects differ.

        Each point lies up to half-way from a random cell's own point to one of its neighbours. So the space between
        surface points has an object too, because held-out views see into it where surfaces are fuzzy. The space between
        two objects is left to the masks.
        """
        device = self.points.device
        cell = torch.randint(len(self.points), (count,), device=device)
        neighbour = self.neighbours[cell, torch.randint(self.neighbours.shape[1], (count,), device=device)]
        fraction = torch.rand(count, 1, device=device) / 2
        group = self.groups[cell]
        group = group.masked_fill(group != self.groups[neighbour], -1)
        return torch.lerp(self.points[cell], self.points[neighbour], fraction), group


def by_size(groups: Int[Tensor, "cells"]) -> Int[Tensor, "cells"]:
    """The same groups, numbered from 0 by decreasing size; -1 (no group) stays."""
    labels, index, count = groups.unique(return_inverse=True, return_counts=True)
    count = torch.where(labels < 0, len(groups) + 1, count)
    rank = count.argsort(descending=True, stable=True).argsort() - int((labels < 0).any())
    return rank[index]


class Evidence(NamedTuple):
    """Evidence of all views about every pair of cells."""

    similar: Float[Tensor, "cells cells"]
    """Similarity of the two cells, summed over the views that see both inside masks."""
    views: Float[Tensor, "cells cells"]
    """Number of these views."""


def collect(seen: Sequence[Observation], cells: int) -> Evidence:
    """Sum the evidence of all views.

    With Z the one-hot kinds of all cells in a view, of those that lie in masks, and S the similarity of kinds, the
    evidence of a view is Z S Z^T. The factors of many views are concatenated, so that one product sums their evidence.
    It is sparse, because a view sees few of all cells, and cells that share no mask are not similar.
    """
    similar, masked = torch.zeros(cells, cells), torch.zeros(cells, len(seen))
    for start in range(0, len(seen), VIEWS_AT_ONCE):
        left, right = [], []
        for column, view in enumerate(seen[start : start + VIEWS_AT_ONCE], start):
            kind, kind_similarity, in_masks = view.similarity
            known = in_masks[kind]
            masked[view.cells[known], column] = 1
            one_hot = _one_hot(view.cells[known], kind[known], (cells, len(in_masks)))
            left.append(one_hot @ csr_array(kind_similarity.numpy()))
            right.append(one_hot)
        similar += torch.from_numpy((hstack(left, "csr") @ hstack(right, "csr").T).toarray())
    return Evidence(similar, masked @ masked.T)


def _one_hot(row: Int[Tensor, "n"], column: Int[Tensor, "n"], shape: tuple[int, int]) -> csr_array:
    return csr_array((np.ones(len(row), np.float32), (row.numpy(), column.numpy())), shape)


def linkage(evidence: Evidence, doubt: float) -> Int[Tensor, "cells"]:
    """Merge cells, the most similar pair of groups first, while its similarity is at least LEAST_AGREEMENT.

    The similarity of two groups is the mean over all evidence between their cells: average linkage, in which a pair of
    cells weighs as much as the number of views that see both. The doubt is added to the total weight.

    Returns:
        A group for each cell, not numbered consecutively.
    """
    return torch.from_numpy(_merge(evidence.similar.numpy().copy(), evidence.views.numpy().copy(), doubt))


def _merge(evidence: np.ndarray, views: np.ndarray, doubt: float) -> np.ndarray:
    """Agglomerate; `best` is the similarity of each row with its partner, or an upper bound until the row is searched.

    A row whose partner is gone or less similar than before keeps its value as a bound: most rows are never searched
    again.
    """
    count = len(views)
    group, row_group, partner = np.arange(count), np.arange(count), np.zeros(count, int)
    best, searched = np.ones(count, np.float32), np.zeros(count, bool)
    gone = np.zeros(count, np.float32)

    def similarity_to(row: int) -> np.ndarray:
        mean = evidence[row] / np.maximum(views[row] + doubt, 1)
        mean[views[row] < LEAST_VIEWS] = -1
        mean[row] = -1
        return mean - gone

    while best.max(initial=-1) >= LEAST_AGREEMENT:
        i = int(best.argmax())
        if not searched[i]:
            similarity = similarity_to(i)
            partner[i], searched[i] = similarity.argmax(), True
            best[i] = similarity[partner[i]]
            continue
        j = int(partner[i])
        for table in (evidence, views):
            table[i] += table[j]
            table[:, i] = table[i]
        group[group == row_group[j]], row_group[j], gone[j] = row_group[i], -1, 2
        similarity = similarity_to(i)
        searched &= (partner != i) & (partner != j)
        closer = similarity >= np.maximum(best, 0)
        partner[closer], best[closer], searched[closer] = i, similarity[closer], True
        best[i], searched[i], best[j] = 1, False, -1
        alive = gone == 0
        if 2 * np.count_nonzero(alive) < len(alive):
            evidence, views = (table[np.ix_(alive, alive)] for table in (evidence, views))
            row_group, gone, best, searched = row_group[alive], gone[alive], best[alive], searched[alive]
            partner = (np.cumsum(alive) - 1)[partner[alive]]
    return group


def group_weights(view: Observation, groups: Int[Tensor, "cells"], count: int) -> Float[Tensor, "seen count"]:
    """Picture of the groups in a view: the weight of each seen cell, in the column of its group."""
    group, image = groups[view.cells], torch.zeros(len(view.cells), count)
    grouped = (group >= 0).nonzero()[:, 0]
    image[grouped, group[grouped]] = view.weight[grouped]
    return image


def affinities(view: Observation, image: Float[Tensor, "seen unions"]) -> Float[Tensor, "masks unions"]:
    """Affinity (Eq. 4) of a view's masks with pictures of groups or of unions of them, see `group_weights`."""
    shared, area = view.inside.T @ image, view.inside.T @ view.weight
    return shared / (area[:, None] + image.sum(0) - shared).clamp(min=1e-9)


class ViewMatch(NamedTuple):
    """A view's masks matched one to one with the groups that it shows (Hungarian matching, 3.1)."""

    group: Int[Tensor, "matched"]
    """Group of each matched pair."""
    affinity: Float[Tensor, "matched"]
    """Affinity (Eq. 4) of mask and group of each matched pair, in [0, 1]."""
    image: Float[Tensor, "seen groups"]
    """Picture of the groups in the view, see `group_weights`."""


def match_groups(view: Observation, groups: Int[Tensor, "cells"], count: int) -> ViewMatch:
    """Match a view's masks with `count` groups, one to one with the largest total affinity."""
    image = group_weights(view, groups, count)
    alpha = affinities(view, image)
    mask, group = linear_sum_assignment(alpha.numpy(), maximize=True)
    return ViewMatch(torch.from_numpy(group), alpha[mask, group], image)


class ViewAgreement(NamedTuple):
    """How well one view's masks and the groups that it shows agree."""

    affinity: float
    """Sum over masks matched one to one with groups."""
    things: int
    """Number of masks and of groups in view."""

    @classmethod
    def of(cls, view: Observation, groups: Int[Tensor, "cells"]) -> ViewAgreement:
        """Match a view's masks with the groups of its cells."""
        match = match_groups(view, groups, int(groups.max()) + 1)
        return cls(float(match.affinity.sum()), view.inside.shape[1] + int((match.image.sum(0) > 0).sum()))


def agreement(views: Iterable[ViewAgreement]) -> float:
    """Agreement of masks and groups: 2 sum alpha / (masks + groups in view), summed over all views, in [0, 1].

    Masks without a group and groups without a mask both lower it, so merged objects and cut objects both cost.
    """
    views = list(views)
    return 2 * sum(view.affinity for view in views) / max(sum(view.things for view in views), 1)


def likeness(one: Int[Tensor, "cells"], other: Int[Tensor, "cells"]) -> float:
    """Fraction of cells that two groupings group alike, in [0, 1]; the groups of both are matched one to one."""
    shared = torch.zeros(int(one.max()) + 2, int(other.max()) + 2)
    shared.index_put_((one + 1, other + 1), torch.ones(()), accumulate=True)
    return float(shared[linear_sum_assignment(shared.numpy(), maximize=True)].sum()) / len(one)


class Sightings(NamedTuple):
    """How the masks of all views show groups."""

    views: Float[Tensor, "groups"]
    """Number of views in which masks hold at least LEAST_POINTS surface points of the group."""
    like: Float[Tensor, "groups"]
    """Number of views in which the mask that is matched with the group has an affinity of at least LIKE."""
    affinity: Float[Tensor, "groups"]
    """Affinity of the group with the mask that is matched with it, summed over all views."""

    @classmethod
    def of(cls, seen: Sequence[Observation], groups: Int[Tensor, "cells"]) -> Sightings:
        """Match each view's masks with the groups, of which there is at least one."""
        count = int(groups.max()) + 1
        views, like, affinity = torch.zeros(3, count)
        for view in seen:
            match = match_groups(view, groups, count)
            views += (view.inside > 0.5).any(1).float() @ match.image >= LEAST_POINTS
            like[match.group] += match.affinity >= LIKE
            affinity[match.group] += match.affinity
        return cls(views, like, affinity)

    @property
    def few(self) -> Bool[Tensor, "groups"]:
        """True for groups that less than LEAST_LIKE views show, and less than half of the views that see them."""
        return (self.like < LEAST_LIKE) & (self.like < self.views.clamp(min=1) / 2)


def prune(seen: Sequence[Observation], groups: Int[Tensor, "cells"]) -> Int[Tensor, "cells"]:
    """Drop groups that few views show, the worse half of them at a time: each dropped group frees masks for the others.

    Views count, and how alike mask and group are hardly does: the masks of an object that stands among others are often
    missing or joined with theirs. So its mean affinity is low, but that of a few views is not.
    """
    while int(groups.max()) >= 0:
        sightings = Sightings.of(seen, groups)
        weak = sightings.few.nonzero()[:, 0]
        if len(weak) == 0:
            break
        worst_first = (sightings.like + sightings.affinity / len(seen))[weak].argsort(stable=True)
        dropped = weak[worst_first[: -(-len(weak) // 2)]]
        groups = by_size(torch.where(torch.isin(groups, dropped), -1, groups))
    return groups


def reassign(seen: Iterable[Observation], groups: Int[Tensor, "cells"], rounds: int = 1) -> Int[Tensor, "cells"]:
    """Give each cell to the group whose cells the masks put it together with most; -1 if no mask puts it with any.

    Every view that sees a cell has one vote per group: the mean similarity of the cell with the group's cells in that
    view, which shrinks towards 0 if the view sees few of them.
    """
    views = [(view.cells, *view.similarity) for view in seen]
    count = int(groups.max()) + 1
    for _ in range(rounds if count else 0):
        votes = torch.zeros(len(groups), count)
        for cells, kind, similar, masked in views:
            known = (groups[cells] >= 0) & masked[kind]
            members = torch.zeros(count, len(similar))
            members.index_put_((groups[cells][known], kind[known]), torch.ones(()), accumulate=True)
            vote = similar @ members.T / (members.sum(1) + FEW_CELLS)
            votes.index_add_(0, cells, vote[kind])
        best_vote, best_group = votes.max(1)
        groups = torch.where(best_vote > 0, best_group, -1)
    return groups
