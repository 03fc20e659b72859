"""What the best grouping of cells lacks, taken over where the masks agree more with it.

No draw of cells is right about every object: one joins a table with a chair, another one cuts the sofa. The grouping
that agrees most with the masks is the stock. Groups that only another grouping has are grafted onto it one at a time,
and pairs of groups that were nearly merged are tried as one. Nothing else is tried: other changes that raise the
agreement, such as joining any two groups, fit the errors of the masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from disconerf_ns.discovery.consensus import LEAST_CELLS, LEAST_VIEWS, ViewAgreement, agreement, by_size
from disconerf_ns.discovery.grouping import Grouping, without_crumbs

ALIKE = 0.6
"""IoU of two groups, in cells, from which on they are the same object."""
LEAST_GAIN = 5e-4
"""Minimum gain of agreement for which a group is taken over; errors of a few masks can make a smaller one."""
NEARLY = 0.4
"""Mean similarity of two groups from which on they were nearly merged; LEAST_AGREEMENT merges them."""


def grafted(groupings: Sequence[Grouping]) -> Grouping:
    """The grouping that agrees most with the masks, where they agree still more with it after these changes."""
    stock, *others = sorted(groupings, key=lambda each: -each.agreement)
    agreements = [ViewAgreement.of(view, stock.groups) for view in stock.seen]
    for cells in chain(scions(stock, others), nearly_merged(stock)):
        groups = by_size(without_crumbs(torch.where(cells, len(cells), stock.groups)))
        changed = cells | ((groups < 0) & (stock.groups >= 0))
        trial = [
            ViewAgreement.of(view, groups) if changed[view.cells].any() else before
            for view, before in zip(stock.seen, agreements)
        ]
        if (found := agreement(trial)) >= stock.agreement + LEAST_GAIN:
            stock, agreements = stock._replace(agreement=found, groups=groups), trial
    return stock


def scions(stock: Grouping, others: Sequence[Grouping]) -> Iterator[Bool[Tensor, "coarse"]]:
    """The coarse cells of the groups that only other groupings have, each object once, as the first one has it."""
    known = members(stock.groups)
    for other in others:
        for cells in members(other.groups[other.coarse.at(stock.coarse.seeds)]):
            shared = (known & cells).sum(1)
            if cells.sum() >= LEAST_CELLS and (shared < ALIKE * (known | cells).sum(1)).all():
                known = torch.cat([known, cells[None]])
                yield cells


def nearly_merged(stock: Grouping) -> Iterator[Bool[Tensor, "coarse"]]:
    """The coarse cells of each pair of groups whose mean similarity is at least NEARLY."""
    member = members(stock.groups)
    similar, views = (member.float() @ table @ member.float().T for table in stock.evidence)
    near = (similar >= NEARLY * views) & (views >= LEAST_VIEWS)
    for one, other in near.triu(1).nonzero():
        yield member[one] | member[other]


def members(groups: Int[Tensor, "cells"]) -> Bool[Tensor, "groups cells"]:
    """The cells of each group."""
    return groups == torch.arange(int(groups.max()) + 1)[:, None]
