"""The list of objects: a row with picture, name and figures for each, and an eye that hides it, updated in place."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import viser

from disconerf_ns.compat.viser_panel import HtmlButton
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.tree import ObjectTree

ORDERS: dict[str, Callable[[SceneObject], float | str]] = {
    "size": lambda each: -each.share,
    "confidence": lambda each: each.confidence,
    "name": lambda each: each.label.lower(),
}
"""Orders of the list, by name."""
LAST = 1e6
"""Place of the rest: below all objects."""
EYE, BELOW = 1e-7, 1e-6
"""Distance from a row to its eye, and to the folder of its parts, less than from any row to the next."""

LIDS = '<path d="M2 12C6 4.5 18 4.5 22 12C18 19.5 6 19.5 2 12Z"/>'
ICON = '<svg viewBox="0 0 24 24" width="1em" fill="none" stroke="currentColor" stroke-width="2">{}</svg>'
OPEN = ICON.format(f'{LIDS}<circle cx="12" cy="12" r="3" fill="currentColor"/>')
SHUT = ICON.format(f'{LIDS}<path d="M4 21L20 3"/>')
REVEAL = """<img alt="" hidden src="data:," onerror="
const row = this.closest('button').parentElement.getBoundingClientRect();
const list = this.closest('button').parentElement.parentElement, seen = list.getBoundingClientRect();
if (row.top < seen.top || row.bottom > seen.bottom) list.scrollTop += row.top - (seen.top + seen.bottom) / 2;">"""
"""Scrolls the list to a row when the page receives it, for which viser has no function. It is a picture that fails to
load, because a browser runs no other script in a button's HTML than a picture's error handler."""


class RowLook(NamedTuple):
    """Looks of a row."""

    name: str
    facts: str
    """Share of the visible surface, and confidence."""
    color: str
    picture: str | None
    """Data URI of a small picture; None while there is none."""
    hidden: bool
    selected: bool
    revealed: bool = False
    """Whether the list is scrolled to it."""

    @property
    def row(self) -> str:
        """The row's HTML, before the name."""
        state = " dn-on" * self.selected + " dn-off" * self.hidden
        image = f'<img alt="" src="{self.picture}">' if self.picture else ""
        said = html.escape(f"{self.name}: {self.facts}. Click to select it.", quote=True)
        return (
            f'<div class="dn-row{state}" style="--dn-color:{self.color}" title="{said}">{image}</div>'
            f'<i class="dn-facts">{self.facts}</i>'
        )

    @property
    def eye_label(self) -> str:
        """The eye in words, for those who do not see it."""
        return f"{'show' if self.hidden else 'hide'} {self.name}"

    @property
    def eye(self) -> str:
        """The eye's HTML."""
        said = "Show it again" if self.hidden else "Hide it"
        return f'<div class="dn-eye" title="{said}">{SHUT if self.hidden else OPEN}</div>' + REVEAL * self.revealed


Nested = tuple[tuple[SceneObject, tuple], ...]
"""Parts of an object, each with its own parts."""
Picture = Callable[[SceneObject], str | None]
"""Gives the data URI of an object's small picture, or None."""


def no_picture(_: SceneObject) -> None:
    """There are no pictures."""


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


class Place(NamedTuple):
    """Where a row is: parts of an object come in its room, not after all others."""

    order: float
    room: float


class _Parts(NamedTuple):
    ids: tuple
    """What the folder holds: ids, each with those of its own parts."""
    folder: viser.GuiFolderHandle
    rows: list[tuple[ObjectId, HtmlButton]]


class _Row(NamedTuple):
    button: HtmlButton
    eye: HtmlButton

    def show(self, look: RowLook) -> None:
        self.button.update(look.row, look.name)
        self.eye.update(look.eye, look.eye_label)

    def remove(self) -> None:
        self.button.remove()
        self.eye.remove()


class Rows:
    """Rows of objects in a folder; an object stays in its row until the list is sorted again.

    Under the row of an object that has parts is a closed folder with a row for each of them, and so on.

    Args:
        folder: where they are.
        select: called with the id of an object whose row is clicked.
        toggle: called with the id of an object whose eye is clicked.
        enter: called with the id of a part whose row is clicked.
    """

    def __init__(
        self,
        gui: viser.GuiApi,
        folder: viser.GuiFolderHandle,
        select: Callable[[ObjectId], None],
        toggle: Callable[[ObjectId], None],
        enter: Callable[[ObjectId], None],
    ):
        self.gui, self.folder, self.select, self.toggle, self.enter = gui, folder, select, toggle, enter
        self.revealed: ObjectId | None = None
        """The object that a person selected elsewhere, whose row is to be seen."""
        self._places: dict[int, Place] = {}
        self._rows: dict[ObjectId, _Row] = {}
        self._folders: dict[ObjectId, _Parts] = {}

    @property
    def ids(self) -> list[ObjectId]:
        """Objects that have a row."""
        return list(self._rows)

    def sort(self, objects: Sequence[SceneObject], by: str) -> None:
        """Put the objects in another order."""
        for row in self._rows.values():
            row.remove()
        for parts in self._folders.values():
            parts.folder.remove()
        self._rows, self._folders = {}, {}
        numbered = [each for each in objects if each.number is not None]
        self._places = {
            each.id: Place(float(place), 1.0) for place, each in enumerate(sorted(numbered, key=ORDERS[by]))
        }

    def update(
        self,
        objects: Sequence[SceneObject],
        hidden: frozenset[int],
        selected: Sequence[ObjectId],
        query: str,
        family: Family = FLAT,
        picture: Picture = no_picture,
    ) -> None:
        """Show the objects whose name, or a part's, holds `query`; only rows that look different are touched.

        New objects come last, the largest first; those that were parts of an object or hold some come in their place.
        The rest has the last row.
        """
        self._find_places(objects, family)
        found = [each for each in objects if not query or any(query.lower() in name for name in family.names(each))]
        if self.revealed not in selected:
            self.revealed = None
        looks = {
            each.id: look(each, picture(each), each.id in hidden, each.id in selected, each.id == self.revealed)
            for each in found
        }
        parts = {each.id: nested for each in found if (nested := family.parts(each))}
        for id in self._rows.keys() - looks.keys():
            self._rows.pop(id).remove()
        for id in [id for id, shown in self._folders.items() if shown.ids != ids_of(parts.get(id, ()))]:
            self._folders.pop(id).folder.remove()
        with self.folder:
            for id in sorted(looks.keys() - self._rows.keys(), key=self._places.__getitem__):
                self._rows[id] = self._add_row(id, looks[id], self._places[id].order)
            for id in parts.keys() - self._folders.keys():
                rows: list[tuple[ObjectId, HtmlButton]] = []
                folder = self._add_parts(parts[id], self._places[id].order + BELOW, rows)
                self._folders[id] = _Parts(ids_of(parts[id]), folder, rows)
        for id, row in self._rows.items():
            row.show(looks[id])
        for id, nested in parts.items():
            now = dict(flattened(nested))
            for part, row in self._folders[id].rows:
                row.update((shown := look(now[part], picture(now[part]))).row, shown.name)

    def _find_places(self, objects: Sequence[SceneObject], family: Family) -> None:
        for each in sorted(objects, key=ORDERS["size"]):
            if each.id in self._places:
                continue
            if each.number is None:
                self._places[each.id] = Place(LAST, 1.0)
            elif around := next((id for id in family.around(each.id) if id in self._places), None):
                inside_it = [part.id for part in family.within(around)]
                order, room = self._places[around]
                room /= len(inside_it) + 1
                self._places[each.id] = Place(order + (inside_it.index(each.id) + 1) * room, room)
            elif inside := [self._places[part.id] for part in family.within(each.id) if part.id in self._places]:
                self._places[each.id] = min(inside)
            else:
                last = max((int(place.order) for place in self._places.values() if place.order < LAST), default=-1)
                self._places[each.id] = Place(last + 1.0, 1.0)

    def _add_row(self, id: ObjectId, look: RowLook, order: float) -> _Row:
        row = self._button(look, order, lambda: self.select(id))
        eye = HtmlButton(self.gui, look.eye, look.eye_label, order + EYE)
        eye.handle.on_click(lambda _: self.toggle(id))
        return _Row(row, eye)

    def _button(self, look: RowLook, order: float, clicked: Callable[[], None]) -> HtmlButton:
        button = HtmlButton(self.gui, look.row, look.name, order)
        button.handle.on_click(lambda _: clicked())
        return button

    def _add_parts(self, parts: Nested, order: float, rows: list[tuple[ObjectId, HtmlButton]]) -> viser.GuiFolderHandle:
        """A folder of parts, whose rows are added to `rows`."""
        title = "1 part" if len(parts) == 1 else f"{len(parts)} parts"
        with (folder := self.gui.add_folder(title, order=order, expand_by_default=False)):
            for number, (part, nested) in enumerate(parts):
                rows.append((part.id, self._button(look(part), float(number), lambda id=part.id: self.enter(id))))
                if nested:
                    self._add_parts(nested, number + BELOW, rows)
        return folder


def ids_of(parts: Nested) -> tuple:
    """Ids of parts, each with those of its own parts."""
    return tuple((part.id, ids_of(nested)) for part, nested in parts)


def flattened(parts: Nested) -> Iterator[tuple[ObjectId, SceneObject]]:
    """Parts of all sizes by their ids."""
    for part, nested in parts:
        yield part.id, part
        yield from flattened(nested)


def look(
    each: SceneObject,
    picture: str | None = None,
    hidden: bool = False,
    selected: bool = False,
    revealed: bool = False,
) -> RowLook:
    """The row of an object: name, share of the visible surface and confidence, its colour, and a picture."""
    facts = f"{each.share:.1%}  {each.confidence:.2f}" if each.share > 0 else ""
    color = "#" + "".join(f"{round(255 * channel):02x}" for channel in each.color)
    return RowLook(each.label, facts, color, picture, hidden, selected, revealed)
