"""The list of objects: a row for each, and under it one for each of its copies, updated in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import viser

from disconerf_ns.compat.viser_panel import HtmlButton
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.viewer.family import FLAT, Family, Nested, flattened, ids_of
from disconerf_ns.viewer.row_look import RowLook, look, look_of_copy

ORDERS: dict[str, Callable[[SceneObject], float | str]] = {
    "size": lambda each: -each.share,
    "confidence": lambda each: each.confidence,
    "name": lambda each: each.label.lower(),
}
"""Orders of the list, by name."""
LAST = 1e6
"""Place of the rest: below all objects."""
END, COPY, BELOW = 1e-9, 1e-8, 1e-6
"""Distance from a row to the first button at its end, to the next copy's row, and to the folder of the object's parts,
less than from any object's row to the next."""

Picture = Callable[[SceneObject], str | None]
"""Gives the data URI of an object's small picture, or None."""


def no_picture(_: SceneObject) -> None:
    """There are no pictures."""


class Clicks(NamedTuple):
    """What clicks into the list do."""

    select: Callable[[ObjectId, int], None]
    """Select an object, or one of its copies by number; 0 for the object itself."""
    toggle: Callable[[ObjectId], None]
    """Hide an object with all copies, or show them."""
    toggle_one: Callable[[ObjectId, int], None]
    """Hide one of its copies alone, or show it; 0 for the object itself."""
    take_away: Callable[[ObjectId, int], None]
    """Take a copy away; 0 for the object itself."""
    enter: Callable[[ObjectId], None]
    """Show an object as its parts, one of which is selected."""


class Standing(NamedTuple):
    """Where objects stand more than once."""

    seen: Mapping[int, Sequence[bool]]
    """Whether the object itself, and each copy, is seen, of objects that have copies."""
    meant: int = 0
    """The copy that is selected, of the object that was selected first; 0 for the object itself."""


ALONE = Standing({})
"""Every object stands once."""


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
    ends: tuple[HtmlButton, ...]

    @property
    def buttons(self) -> tuple[HtmlButton, ...]:
        return self.button, *self.ends

    def show(self, look: RowLook) -> None:
        self.button.update(look.row, look.name)
        for button, end in zip(self.ends, look.ends):
            button.update(end.html, end.label)

    def remove(self) -> None:
        for button in self.buttons:
            button.remove()


class Rows:
    """Rows of objects in a folder; an object stays in its row until the list is sorted again.

    Under the row of an object that has copies are those of itself and of each copy, and, where it has parts, a closed
    folder with a row for each of them, and so on.

    Args:
        folder: where they are.
        clicks: what clicks do.
    """

    def __init__(self, gui: viser.GuiApi, folder: viser.GuiFolderHandle, clicks: Clicks):
        self.gui, self.folder, self.clicks = gui, folder, clicks
        self.revealed: ObjectId | None = None
        """The object that a person selected elsewhere, whose row is to be seen."""
        self._places: dict[int, Place] = {}
        self._rows: dict[ObjectId, _Row] = {}
        self._copies: dict[tuple[ObjectId, int], _Row] = {}
        self._folders: dict[ObjectId, _Parts] = {}

    @property
    def ids(self) -> list[ObjectId]:
        """Objects that have a row."""
        return list(self._rows)

    def sort(self, objects: Sequence[SceneObject], by: str) -> None:
        """Put the objects in another order."""
        for row in (*self._rows.values(), *self._copies.values()):
            row.remove()
        for parts in self._folders.values():
            parts.folder.remove()
        self._rows, self._copies, self._folders = {}, {}, {}
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
        standing: Standing = ALONE,
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
        copies = {
            (each.id, number): look_of_copy(
                each,
                number,
                looks[each.id].picture,
                each.id in hidden or not seen,
                (each.id, number) == (*selected[:1], standing.meant),
            )
            for each in found
            for number, seen in enumerate(standing.seen.get(each.id, ()))
        }
        for id in self._rows.keys() - looks.keys():
            self._rows.pop(id).remove()
        for copy in self._copies.keys() - copies.keys():
            self._copies.pop(copy).remove()
        for id in [id for id, shown in self._folders.items() if shown.ids != ids_of(parts.get(id, ()))]:
            self._folders.pop(id).folder.remove()
        with self.folder:
            for id in sorted(looks.keys() - self._rows.keys(), key=self._places.__getitem__):
                self._rows[id] = self._add_row(id, looks[id], self._places[id].order)
            for id, number in sorted(copies.keys() - self._copies.keys()):
                self._copies[id, number] = self._add_copy(id, number, copies[id, number])
            for id in parts.keys() - self._folders.keys():
                within: list[tuple[ObjectId, HtmlButton]] = []
                folder = self._add_parts(parts[id], self._places[id].order + BELOW, within)
                self._folders[id] = _Parts(ids_of(parts[id]), folder, within)
        for id, row in self._rows.items():
            row.show(looks[id])
        for copy, row in self._copies.items():
            row.show(copies[copy])
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
        row = self._button(look, order, lambda: self.clicks.select(id, 0))
        return _Row(row, self._ends(look, order, lambda: self.clicks.toggle(id)))

    def _add_copy(self, id: ObjectId, number: int, look: RowLook) -> _Row:
        order = self._places[id].order + (number + 1) * COPY
        row = self._button(look, order, lambda: self.clicks.select(id, number))
        toggle, take_away = self.clicks.toggle_one, self.clicks.take_away
        return _Row(row, self._ends(look, order, lambda: toggle(id, number), lambda: take_away(id, number)))

    def _ends(self, look: RowLook, order: float, *clicked: Callable[[], None]) -> tuple[HtmlButton, ...]:
        buttons = []
        for number, (end, click) in enumerate(zip(look.ends, clicked), 1):
            buttons.append(HtmlButton(self.gui, end.html, end.label, order + number * END))
            buttons[-1].handle.on_click(lambda _, click=click: click())
        return tuple(buttons)

    def _button(self, look: RowLook, order: float, clicked: Callable[[], None]) -> HtmlButton:
        button = HtmlButton(self.gui, look.row, look.name, order)
        button.handle.on_click(lambda _: clicked())
        return button

    def _add_parts(self, parts: Nested, order: float, rows: list[tuple[ObjectId, HtmlButton]]) -> viser.GuiFolderHandle:
        """A folder of parts, whose rows are added to `rows`."""
        title = "1 part" if len(parts) == 1 else f"{len(parts)} parts"
        with (folder := self.gui.add_folder(title, order=order, expand_by_default=False)):
            for number, (part, nested) in enumerate(parts):
                rows.append(
                    (part.id, self._button(look(part), float(number), lambda id=part.id: self.clicks.enter(id)))
                )
                if nested:
                    self._add_parts(nested, number + BELOW, rows)
        return folder
