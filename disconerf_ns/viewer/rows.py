"""The list of objects: a coloured button for each, updated in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import viser

from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.recolor import LUMA
from disconerf_ns.scene.tree import ObjectTree

READABLE = 0.5
"""Luma of a button up to which white text can be read on it."""
ORDERS: dict[str, Callable[[SceneObject], float | str]] = {
    "size": lambda each: -each.share,
    "confidence": lambda each: each.confidence,
    "name": lambda each: each.label.lower(),
}
"""Orders of the list, by name."""


WIDEST = 20
"""Characters of a label in a row; a longer one would widen the panel."""
FIRST = 1e9
"""Order of the first row: below everything else in the folder."""
LAST = 1e6
"""Place of the rest: below all objects."""
BELOW = 1e-6
"""Distance from a row to the folder of its parts, less than from any row to the next."""


class Look(NamedTuple):
    """Looks of a row; it has no icon, which viser would unpack anew for each row, in a tenth of a second."""

    label: str
    color: str


Nested = tuple[tuple[ObjectId, Look, tuple], ...]
"""Rows of parts, each with such rows of its own parts."""


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

    def looks(self, each: SceneObject) -> Nested:
        """Rows of an object's parts and of theirs; none of an object that a person merged or split."""
        if each.id >= len(self.tree) or each.slots != self.tree.leaves(each.id) or not each.whole:
            return ()
        return tuple((part.id, look(part, False, False), self.looks(part)) for part in self._parts.get(each.id, ()))


FLAT = Family((), ObjectTree.flat(0))
"""No object has parts."""


class Place(NamedTuple):
    """Where a row is: parts of an object come in its room, not after all others."""

    order: float
    room: float


class Rows:
    """Rows of objects in a folder; an object stays in its row until the list is sorted again.

    Under the row of an object that has parts is a closed folder with a row for each of them, and so on.

    Args:
        select: called with the id of an object whose row is clicked.
        enter: called with the id of a part whose row is clicked.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        folder: viser.GuiFolderHandle,
        select: Callable[[ObjectId], None],
        enter: Callable[[ObjectId], None],
    ):
        self.server, self.folder, self.select, self.enter = server, folder, select, enter
        self._places: dict[int, Place] = {}
        self._rows: dict[ObjectId, tuple[Look, viser.GuiButtonHandle]] = {}
        self._folders: dict[ObjectId, tuple[tuple, viser.GuiFolderHandle]] = {}

    @property
    def ids(self) -> list[ObjectId]:
        """Objects that have a row."""
        return list(self._rows)

    def sort(self, objects: Sequence[SceneObject], by: str) -> None:
        """Put the objects in another order."""
        for id in self.ids:
            self._remove(self._rows, id)
            self._remove(self._folders, id)
        numbered = [each for each in objects if each.number is not None]
        self._places = {each.id: Place(place, 1) for place, each in enumerate(sorted(numbered, key=ORDERS[by]))}

    def update(
        self,
        objects: Sequence[SceneObject],
        hidden: frozenset[int],
        selected: Sequence[ObjectId],
        query: str,
        family: Family = FLAT,
    ) -> None:
        """Show the objects whose name, or a part's, holds `query`; only rows that look different are touched.

        New objects come last, the largest first; those that were parts of an object or hold some come in their place.
        The rest has the last row.
        """
        self._find_places(objects, family)
        found = [each for each in objects if not query or any(query.lower() in name for name in family.names(each))]
        rows = {each.id: look(each, each.id in hidden, each.id in selected) for each in found}
        parts = {each.id: nested for each in found if (nested := family.looks(each))}
        for shown, wanted in ((self._rows, rows), (self._folders, parts)):
            for id in list(shown):
                if shown[id][0] != wanted.get(id):
                    self._remove(shown, id)
        with self.folder:
            for id in sorted(rows.keys() - self._rows.keys(), key=self._places.__getitem__):
                order = FIRST + self._places[id].order
                self._rows[id] = rows[id], self._button(rows[id], order, lambda id=id: self.select(id))
            for id in parts.keys() - self._folders.keys():
                self._folders[id] = parts[id], self._add_parts(parts[id], FIRST + self._places[id].order + BELOW)

    def _find_places(self, objects: Sequence[SceneObject], family: Family) -> None:
        for each in sorted(objects, key=ORDERS["size"]):
            if each.id in self._places:
                continue
            if each.number is None:
                self._places[each.id] = Place(LAST, 1)
            elif around := next((id for id in family.around(each.id) if id in self._places), None):
                inside_it = [part.id for part in family.within(around)]
                order, room = self._places[around]
                room /= len(inside_it) + 1
                self._places[each.id] = Place(order + (inside_it.index(each.id) + 1) * room, room)
            elif inside := [self._places[part.id] for part in family.within(each.id) if part.id in self._places]:
                self._places[each.id] = min(inside)
            else:
                last = max((int(place.order) for place in self._places.values() if place.order < LAST), default=-1)
                self._places[each.id] = Place(last + 1, 1)

    def _button(self, shown: Look, order: float, clicked: Callable[[], None]) -> viser.GuiButtonHandle:
        button = self.server.gui.add_button(
            shown.label,
            color=cast("Any", shown.color),  # viser types named colours alone
            order=order,
            hint="Select this object: name, share of the visible surface, confidence",
        )
        button.on_click(lambda _: clicked())
        return button

    def _add_parts(self, parts: Nested, order: float) -> viser.GuiFolderHandle:
        title = "1 part" if len(parts) == 1 else f"{len(parts)} parts"
        with (folder := self.server.gui.add_folder(title, order=order, expand_by_default=False)):
            for number, (id, shown, nested) in enumerate(parts):
                self._button(shown, FIRST + number, lambda id=id: self.enter(id))
                if nested:
                    self._add_parts(nested, FIRST + number + BELOW)
        return folder

    @staticmethod
    def _remove(shown: dict, id: ObjectId) -> None:
        if id in shown:
            shown.pop(id)[1].remove()


def shortened(label: str) -> str:
    """A label that fits into a row beside share and confidence."""
    return label if len(label) <= WIDEST else label[: WIDEST - 1].rstrip() + "…"


def look(each: SceneObject, hidden: bool, selected: bool) -> Look:
    """The row of an object: name, share of the visible surface and confidence, on its colour or, if hidden, grey."""
    label = ("✓  " if selected else "") + shortened(each.label)
    if each.share > 0:
        label += f"  ·  {each.share:.1%}  ·  {each.confidence:.2f}"
    if hidden:
        return Look(f"{label}  ·  hidden", "#3a3a40")
    luma = sum(weight * channel for weight, channel in zip(LUMA, each.color))
    dark = [channel * min(READABLE / max(luma, 1e-6), 1.0) for channel in each.color]
    return Look(label, "#" + "".join(f"{round(255 * channel):02x}" for channel in dark))
