"""The majority of several groupings: cells that at least half of them have in one group are in one group.

Whether an object is a group of its own can depend on the drawn cells and on the doubt, and the grouping that agrees
most with the masks is often wrong about one object or another. Most groupings are right about each of them. So they
vote on pairs of cells as views do in a grouping, and the same linkage merges cells by these votes (evidence
accumulation, Fred and Jain 2005).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from disconerf_ns.discovery.consensus import Evidence, ViewAgreement, agreement, by_size, linkage, prune, reassign
from disconerf_ns.discovery.grouping import GroupedCells, Grouping, members, without_crumbs


def majority(stock: Grouping, every: Sequence[GroupedCells]) -> Grouping:
    """The cells of a grouping, in the groups that at least half of the groupings have.

    Args:
        stock: the grouping whose cells and evidence are kept.
        every: the groupings that vote, the stock's own among them.
    """
    together = votes(stock, every)
    groups = linkage(Evidence(together, torch.full_like(together, len(every))), doubt=0.0)
    groups = reassign(stock.seen, prune(stock.seen, without_crumbs(by_size(groups))), rounds=3)
    return stock._replace(groups=groups, agreement=agreement(ViewAgreement.of(view, groups) for view in stock.seen))


def votes(stock: Grouping, every: Sequence[GroupedCells]) -> Float[Tensor, "coarse coarse"]:
    """Number of groupings that have both of two coarse cells of the stock in one group."""
    one_hot = torch.cat([members(each.at(stock.coarse.seeds)) for each in every]).float()
    return one_hot.T @ one_hot
