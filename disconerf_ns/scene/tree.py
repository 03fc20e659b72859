"""Objects at every size: a tree whose leaves are object slots, and the cuts through it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from disconerf_ns.scene.lazy import lazy

DEFAULT = 0.5
"""Granularity of the default cut."""
NEVER = 2.0
"""Granularity at which a leaf opens: no granularity is as fine."""


@dataclass(frozen=True)
class ObjectTree:
    """A tree of objects; every node that is no leaf is the union of its children.

    Nodes 0 to N - 1 are leaves, and leaf i is object slot i. Other nodes follow, each after its children.

    >>> mug, table = 3, 2
    >>> tree = ObjectTree(3, parent=(mug, mug, -1, -1), opens=(NEVER, NEVER, NEVER, 0.7))
    >>> tree.cut(0.5), tree.cut(0.8)
    ((2, 3), (0, 1, 2))
    >>> sorted(tree.leaves(mug)), tree.children(mug)
    ([0, 1], (0, 1))
    """

    slots: int
    """Number N of object slots."""
    parent: tuple[int, ...]
    """Parent of each node, -1 for a root."""
    opens: tuple[float, ...]
    """Granularity in (0, 1] from which on a node is shown as its children, not below its parent's; NEVER for leaves."""
    support: tuple[float, ...] = ()
    """How well masks show exactly this node: its mean affinity with the best mask of a view, in [0, 1]."""
    masks: tuple[int, ...] = ()
    """Number of masks that show exactly this node."""
    rest: int | None = None
    """Slot of the surface that masks never cover, which is no object; None without one."""

    @classmethod
    def flat(cls, slots: int) -> ObjectTree:
        """A tree of leaves alone: every cut shows every slot."""
        return cls(slots, (-1,) * slots, (NEVER,) * slots, (0.0,) * slots, (0,) * slots)

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def is_flat(self) -> bool:
        """Whether all nodes are slots, so that every cut is the same."""
        return len(self) == self.slots

    @lazy
    def _children(self) -> dict[int, tuple[int, ...]]:
        below: dict[int, list[int]] = {node: [] for node in (-1, *range(len(self)))}
        for node, parent in enumerate(self.parent):
            below[parent].append(node)
        return {node: tuple(children) for node, children in below.items()}

    @lazy
    def _leaves(self) -> tuple[frozenset[int], ...]:
        leaves = [frozenset([node]) if node < self.slots else frozenset() for node in range(len(self))]
        for node, parent in enumerate(self.parent):
            if parent >= 0:
                leaves[parent] |= leaves[node]
        return tuple(leaves)

    @property
    def roots(self) -> tuple[int, ...]:
        """Nodes without a parent."""
        return self._children[-1]

    def children(self, node: int) -> tuple[int, ...]:
        """Nodes whose union a node is; none for a leaf."""
        return self._children[node]

    def leaves(self, node: int) -> frozenset[int]:
        """Slots that a node is made of."""
        return self._leaves[node]

    def ancestors(self, node: int) -> tuple[int, ...]:
        """Nodes that hold a node, from its parent up."""
        above = []
        while (node := self.parent[node]) >= 0:
            above.append(node)
        return tuple(above)

    def cut(
        self, granularity: float = DEFAULT, opened: Collection[int] = (), closed: Collection[int] = ()
    ) -> tuple[int, ...]:
        """Nodes that divide the slots among them, in the order of their numbers.

        Args:
            granularity: 0 for the coarsest objects, 1 for the finest.
            opened: nodes that are shown as their children at any granularity; they open their ancestors too.
            closed: nodes that are not, unless something below them is opened.
        """
        forced = {*opened, *(above for node in opened for above in self.ancestors(node))}
        waiting, cut = list(self.roots), []
        while waiting:
            node = waiting.pop()
            if node >= self.slots and (node in forced or (self.opens[node] <= granularity and node not in closed)):
                waiting += self._children[node]
            else:
                cut.append(node)
        return tuple(sorted(cut))

    def steps(self) -> tuple[float, ...]:
        """Granularities in [0, 1] from which on the cut is another one, in increasing order."""
        finest = [max(self.opens[each] for each in (node, *self.ancestors(node))) for node in self.inner]
        return tuple(sorted({step for step in finest if 0 < step <= 1}))

    @property
    def inner(self) -> range:
        """Nodes that are no leaves."""
        return range(self.slots, len(self))

    def widened(self, slots: int) -> ObjectTree:
        """The same tree over more slots, at least as many as now; those that are new are roots."""
        further = slots - self.slots
        moved = tuple(parent if parent < 0 else parent + further for parent in self.parent)

        def grown(values: tuple, new: Any) -> tuple:
            return (*values[: self.slots], *[new] * further, *values[self.slots :]) if values else ()

        opens, support, masks = grown(self.opens, NEVER), grown(self.support, 0.0), grown(self.masks, 0)
        return ObjectTree(slots, grown(moved, -1), opens, support, masks, self.rest)

    def with_rest(self) -> ObjectTree:
        """The same tree with one more slot, which is the rest."""
        return replace(self.widened(self.slots + 1), rest=self.slots)

    # ---------------------------------------------------------------- forms in files

    def as_json(self) -> dict[str, Any]:
        """The tree without its number of slots, as JSON knows it."""
        return {name: list(getattr(self, name)) for name in COLUMNS} | {"rest": self.rest}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], slots: int) -> ObjectTree:
        """Read what `as_json` gives.

        Raises:
            ValueError: it is no tree over that many slots.
        """
        columns = {name: tuple(map(kind, content[name])) for name, kind in COLUMNS.items()}
        rest = content["rest"]
        return cls(slots, **columns, rest=None if rest is None else int(rest))._checked()

    def as_tensors(self) -> dict[str, Tensor]:
        """The tree without its number of slots, as tensors of one axis; `rest` has no entry or one."""
        tensors = {name: torch.tensor(getattr(self, name), dtype=DTYPES[kind]) for name, kind in COLUMNS.items()}
        return tensors | {"rest": torch.tensor([] if self.rest is None else [self.rest], dtype=torch.long)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], slots: int) -> ObjectTree:
        """Read what `as_tensors` gives.

        Raises:
            ValueError: it is no tree over that many slots.
        """
        content = {name: tensor.tolist() for name, tensor in tensors.items()}
        return cls.from_json(content | {"rest": next(iter(content["rest"]), None)}, slots)

    def _checked(self) -> ObjectTree:
        nodes = len(self)
        columns, unsaid = (self.opens, self.support, self.masks), bool(self.inner) and not self.opens
        if nodes < self.slots or unsaid or any(len(each) not in (0, nodes) for each in columns):
            raise ValueError(f"a tree of {self.slots} slots has columns of {nodes} nodes and of other lengths")
        if not all(
            parent == -1 or max(node, self.slots - 1) < parent < nodes for node, parent in enumerate(self.parent)
        ):
            raise ValueError("a node's parent is no later inner node")
        if not {*self.inner} <= {*self.parent}:
            raise ValueError("an inner node has no child")
        if self.rest is not None and not (0 <= self.rest < self.slots and self.parent[self.rest] == -1):
            raise ValueError(f"the rest, {self.rest}, is no slot without a parent")
        return self


COLUMNS: dict[str, type] = {"parent": int, "opens": float, "support": float, "masks": int}
"""What a tree knows of each node, and its type."""
DTYPES = {int: torch.long, float: torch.float64}
"""Types of tensors that hold it exactly."""
