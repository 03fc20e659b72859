"""The list of objects: a coloured button for each, updated in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import viser

from disconerf_ns.edit import LUMA
from disconerf_ns.objects import SceneObject

READABLE = 0.5
"""Luma of a button up to which white text can be read on it."""
ORDERS: dict[str, Callable[[SceneObject], object]] = {
    "size": lambda one: -one.share,
    "confidence": lambda one: one.confidence,
    "name": lambda one: (one.title or one.name).lower(),
}
"""What the list can be sorted by."""


LAST = 1e9
"""Order of the first row: below everything else in the folder."""


class Look(NamedTuple):
    """What a row looks like; it has no icon, which viser would unpack anew for each row, in a tenth of a second."""

    label: str
    color: str


class Rows:
    """Rows of objects in a folder; an object stays in its row until the list is sorted again."""

    def __init__(self, server: viser.ViserServer, folder: viser.GuiFolderHandle, select: Callable[[int], None]):
        self.server, self.folder, self.select = server, folder, select
        self._places: dict[int, int] = {}
        self._rows: dict[int, tuple[Look, viser.GuiButtonHandle]] = {}

    def sort(self, objects: Sequence[SceneObject], by: str) -> None:
        """Put the objects in another order."""
        self._clear()
        self._places = {one.slot: place for place, one in enumerate(sorted(objects, key=ORDERS[by]))}

    def update(
        self, objects: Sequence[SceneObject], hidden: frozenset[int], selected: Sequence[int], query: str
    ) -> None:
        """Show the objects whose name holds `query`; only rows that look different are touched.

        New objects come last, the largest first.
        """
        for one in sorted(objects, key=ORDERS["size"]):
            self._places.setdefault(one.slot, len(self._places))
        wanted = {
            one.slot: look(one, one.slot in hidden, one.slot in selected)
            for one in objects
            if query.lower() in f"{one.name} {one.title}".lower()
        }
        for id in list(self._rows):
            if self._rows[id][0] != wanted.get(id):
                self._rows.pop(id)[1].remove()
        with self.folder:
            for id in sorted(wanted.keys() - self._rows.keys(), key=self._places.get):
                self._add(id, wanted[id])

    def _add(self, id: int, shown: Look) -> None:
        button = self.server.gui.add_button(
            shown.label,
            color=shown.color,
            order=LAST + self._places[id],
            hint="Select this object: name, share of the visible surface, confidence",
        )
        button.on_click(lambda _: self.select(id))
        self._rows[id] = shown, button

    def _clear(self) -> None:
        for _, button in self._rows.values():
            button.remove()
        self._rows.clear()


def look(one: SceneObject, hidden: bool, selected: bool) -> Look:
    """The row of an object: name, share of the visible surface and confidence, on its colour or, if hidden, grey."""
    label = ("✓  " if selected else "") + (one.title or one.name)
    if one.share > 0:
        label += f"  ·  {one.share:.1%}  ·  {one.confidence:.2f}"
    if hidden:
        return Look(f"{label}  ·  hidden", "#3a3a40")
    luma = sum(weight * channel for weight, channel in zip(LUMA, one.color))
    dark = [channel * min(READABLE / max(luma, 1e-6), 1.0) for channel in one.color]
    return Look(label, "#" + "".join(f"{round(255 * channel):02x}" for channel in dark))
