"""Which objects of all sizes hold which, for a list in which parts lie under their whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.tree import ObjectTree

Nested = tuple[tuple[SceneObject, tuple], ...]
"""Parts of an object, each with its own parts."""


class Family:
    """Which objects of all sizes hold which.

    Args:
        every: objects of all sizes, in the order of their names.
        tree: how they hold each other.
    """

    def __init__(self, every: Sequence[SceneObject], tree: ObjectTree):
        self.tree = tree
        self._parts: dict[int, list[SceneObject]] = {}
        for each in every:
            self._parts.setdefault(tree.parent[each.id], []).append(each)

    def within(self, id: int) -> list[SceneObject]:
        """All objects inside one."""
        return [each for part in self._parts.get(id, ()) for each in (part, *self.within(part.id))]

    def around(self, id: int) -> tuple[int, ...]:
        """The objects that hold one, from the smallest up."""
        return self.tree.ancestors(id) if id < len(self.tree) else ()

    def names(self, each: SceneObject) -> Iterator[str]:
        """The names of an object and of all inside it, in small letters."""
        for named in (each, *self.within(each.id)):
            yield f"{named.name} {named.title}".lower()

    def parts(self, each: SceneObject) -> Nested:
        """An object's parts and theirs; none of an object that a person merged or split."""
        if each.id >= len(self.tree) or each.slots != self.tree.leaves(each.id) or not each.whole:
            return ()
        return tuple((part, self.parts(part)) for part in self._parts.get(each.id, ()))


FLAT = Family((), ObjectTree.flat(0))
"""No object has parts."""


def ids_of(parts: Nested) -> tuple:
    """The ids of parts, nested as the parts are."""
    return tuple((part.id, ids_of(nested)) for part, nested in parts)


def flattened(parts: Nested) -> Iterator[tuple[ObjectId, SceneObject]]:
    """Parts of all sizes by their ids."""
    for part, nested in parts:
        yield part.id, part
        yield from flattened(nested)
