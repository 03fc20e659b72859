"""Mend a grouping of cells where the masks agree more with a change.

No draw of cells is right about every object: one joins a table with a chair, another one cuts the sofa. Neither is
their majority, which is the stock. Groups that only another grouping has are grafted onto it one at a time,
and pairs of groups that were nearly merged are tried as one. Nothing else is tried: other changes that raise the
agreement, such as joining any two groups, fit the errors of the masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from jaxtyping import Bool
from torch import Tensor

from disconerf_ns.discovery.consensus import LEAST_CELLS, LEAST_VIEWS, ViewAgreement, agreement, by_size
from disconerf_ns.discovery.grouping import GroupedCells, Grouping, fallen_apart, members, without_crumbs
from disconerf_ns.discovery.unions import agreements

ALIKE = 0.6
"""Minimum IoU, in cells, of two groups that are the same object."""
LEAST_GAIN = 5e-4
"""Minimum gain of agreement for which a group is taken over; errors of a few masks can make a smaller one."""
NEARLY = 0.4
"""Minimum mean similarity of two groups that are tried as one; from LEAST_AGREEMENT on they are merged anyway."""


def grafted(stock: Grouping, others: Sequence[GroupedCells]) -> Grouping:
    """The grouping after every change with which the masks agree more.

    Args:
        stock: the grouping that is mended.
        others: further groupings; the stock itself may be among them.
    """
    matched = [ViewAgreement.of(view, stock.groups) for view in stock.seen]
    for cells in chain(scions(stock, others), nearly_merged(stock)):
        groups = by_size(without_crumbs(torch.where(cells, len(cells), stock.groups)))
        changed = cells | ((groups < 0) & (stock.groups >= 0))
        trial = [
            ViewAgreement.of(view, groups) if changed[view.cells].any() else before
            for view, before in zip(stock.seen, matched)
        ]
        if (found := agreement(trial)) >= stock.agreement + LEAST_GAIN:
            stock, matched = stock._replace(agreement=found, groups=groups), trial
    return stock


def scions(stock: Grouping, others: Sequence[GroupedCells]) -> Iterator[Bool[Tensor, "coarse"]]:
    """The coarse cells of the groups that only other groupings have, each object once, as the best of them has it."""
    known = members(stock.groups)
    for other in sorted(others, key=lambda each: -each.agreement):
        for cells in members(other.at(stock.coarse.seeds)):
            shared = (known & cells).sum(1)
            if cells.sum() >= LEAST_CELLS and (shared < ALIKE * (known | cells).sum(1)).all():
                known = torch.cat([known, cells[None]])
                yield cells


def nearly_merged(stock: Grouping) -> Iterator[Bool[Tensor, "coarse"]]:
    """The coarse cells of each pair of groups whose mean similarity is at least NEARLY, if the pair hangs together.

    The masks agree more with a pair of things that no view shows together, too: views that show a few stray cells of
    both have fewer groups then.
    """
    member = members(stock.groups)
    similar, views = agreements(stock.evidence, stock.groups, len(member))
    near = (similar >= NEARLY * views) & (views >= LEAST_VIEWS)
    for one, other in near.triu(1).nonzero():
        pair = torch.where(member[one] | member[other], 0, -1)
        if int(fallen_apart(stock.seen, stock.coarse, pair).max()) == 0:
            yield pair == 0
