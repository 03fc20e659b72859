"""Objects at every size: a tree whose leaves are object slots, and the cuts through it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

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
