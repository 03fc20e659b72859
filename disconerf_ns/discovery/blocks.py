"""Objects of a capture that was cut into blocks: an object that several blocks see gets one number.

A capture that is too large for one run is cut into blocks that overlap, and each block's run finds objects by itself.
Where two blocks overlap, both have seen the same surface. There an object of one block and an object of the other one
are compared like a mask and a slot, by their IoU over the voxels that both blocks saw, and matched one to one with the
largest total IoU. Matches with an IoU of at least LIKE are joined, the surest first. An object that reaches through
many blocks is joined from one to the next. Two objects of one block, which that block's masks told apart, never are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from disconerf_ns.discovery.consensus import LIKE

LEAST_VOXELS = 8
"""Minimum number of voxels that two objects fill together where both blocks look, for them to be compared."""
AXIS_BITS = 21
"""Bits of a voxel's place along an axis: two million voxels."""


class Block(NamedTuple):
    """Surface of a block, and its objects."""

    points: Float[Tensor, "n 3"]
    """Surface points in the frame that all blocks share, such as the capture's."""
    objects: Int[Tensor, "n"]
    """Object of each point, numbered from 0 in the block; -1 for none."""


class Match(NamedTuple):
    """Two objects of different blocks that are one."""

    iou: float
    """IoU over the voxels that both blocks saw, in [LIKE, 1]."""
    one: tuple[int, int]
    """Block and object."""
    other: tuple[int, int]
    """Another block and its object."""


@dataclass(frozen=True)
class BlockVoxels:
    """The voxels that hold a block's surface."""

    keys: Int[np.ndarray, "voxels"]
    """Place of each voxel as one number, increasing."""
    owner: Int[np.ndarray, "voxels"]
    """Object with most of the voxel's points, -1 for none."""
    low: Int[Tensor, "3"]
    """Lowest place along each axis."""
    high: Int[Tensor, "3"]
    """Highest place along each axis."""

    @classmethod
    def of(cls, block: Block, edge: float) -> BlockVoxels:
        """Voxels of a grid through the origin of the blocks' frame.

        Args:
            edge: length of a voxel's edge in units of that frame.
        Raises:
            ValueError: a point lies two million voxels or more from the origin.
        """
        cell = (block.points.double() / edge).floor().long() + 2 ** (AXIS_BITS - 1)
        if bool(((cell < 0) | (cell >= 2**AXIS_BITS)).any()):
            raise ValueError(f"a point lies more than {2 ** (AXIS_BITS - 1)} voxels of {edge} from the origin")
        key = (cell << torch.tensor([2 * AXIS_BITS, AXIS_BITS, 0])).sum(1)
        (keys, owner), count = np.unique(torch.stack([key, block.objects]).numpy(), axis=1, return_counts=True)
        order = np.lexsort((count, keys))
        last = np.append(keys[order][1:] != keys[order][:-1], True)[: len(order)]
        empty = cell.new_zeros(1, 3)
        low, high = torch.cat([cell, empty + 2**AXIS_BITS]).amin(0), torch.cat([cell, empty - 1]).amax(0)
        return cls(keys[order][last], owner[order][last], low, high)

    def meets(self, other: BlockVoxels) -> bool:
        """Whether the boxes around the voxels of two blocks overlap."""
        return bool(((self.low <= other.high) & (other.low <= self.high)).all())


def matches(one: BlockVoxels, other: BlockVoxels, at: tuple[int, int]) -> Iterator[Match]:
    """Objects of two blocks that are one.

    Args:
        one, other: voxels of the blocks.
        at: numbers of the blocks.
    """
    _, mine, theirs = np.intersect1d(one.keys, other.keys, assume_unique=True, return_indices=True)
    (a, row), (b, column) = (np.unique(each, return_inverse=True) for each in (one.owner[mine], other.owner[theirs]))
    shared = np.zeros((len(a), len(b)), np.int64)
    np.add.at(shared, (row, column), 1)
    union = shared.sum(1, keepdims=True) + shared.sum(0) - shared
    objects = (a[:, None] >= 0) & (b >= 0) & (union >= LEAST_VOXELS)
    iou = np.where(objects, shared / np.maximum(union, 1), 0.0)
    for i, j in zip(*linear_sum_assignment(iou, maximize=True)):
        if iou[i, j] >= LIKE:
            yield Match(float(iou[i, j]), (at[0], int(a[i])), (at[1], int(b[j])))


def merge(blocks: Sequence[Block], edge: float) -> list[Int[Tensor, "objects"]]:
    """The number in the whole capture of each object of each block.

    Args:
        blocks: surface and objects of each block.
        edge: length of a voxel's edge, in units of the blocks' frame: a few times the distance of neighbouring points.
    Returns:
        Of each block, a number for each of its objects, from 0 in the order in which they are first met.
    """
    voxels = [BlockVoxels.of(block, edge) for block in blocks]
    counts = [int(block.objects.max()) + 1 if len(block.objects) else 0 for block in blocks]
    whole = {(at, each): frozenset([(at, each)]) for at, count in enumerate(counts) for each in range(count)}
    near = (pair for pair in combinations(range(len(blocks)), 2) if voxels[pair[0]].meets(voxels[pair[1]]))
    found = chain.from_iterable(matches(voxels[i], voxels[j], (i, j)) for i, j in near)
    for match in sorted(found, reverse=True):
        one, other = whole[match.one], whole[match.other]
        if {block for block, _ in one}.isdisjoint(block for block, _ in other):
            whole |= dict.fromkeys(one | other, one | other)
    number = {members: number for number, members in enumerate(dict.fromkeys(whole.values()))}
    of_block = ([number[whole[at, each]] for each in range(count)] for at, count in enumerate(counts))
    return [torch.tensor(numbers, dtype=torch.long) for numbers in of_block]
