"""Greedy joining of sets by tables of what is known about each two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor


def joined(
    sets: Sequence[frozenset[int]],
    tables: Sequence[Float[Tensor, "sets sets"]],
    alike: Callable[..., Float[Tensor, "sets sets"]],
    least: float,
) -> list[tuple[frozenset[int], float]]:
    """Join the two sets that are most alike, again and again.

    Args:
        sets: sets, of which no two overlap.
        tables: symmetric tables of sums about each two of them; a union has the sums of its two sets.
        alike: gives how alike each two sets are, from the tables.
        least: how alike two sets have to be.
    Returns:
        The unions in the order in which they are made, and how alike the two sets of each were.
    """
    left, made = list(sets), []
    tables = [table.clone() for table in tables]
    while len(left) > 1:
        likeness = alike(*tables).fill_diagonal_(0)
        one, other = sorted(divmod(int(likeness.argmax()), len(left)))
        if (most := float(likeness[one, other])) < least:
            break
        for table in tables:
            table[one] += table[other]
            table[:, one] += table[:, other]
        left[one] |= left[other]
        made.append((left[one], most))
        kept = [index for index in range(len(left)) if index != other]
        left, tables = [left[index] for index in kept], [table[kept][:, kept] for table in tables]
    return made
