"""The list of objects: a coloured button for each, updated in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import viser

from disconerf_ns.scene.edit import LUMA
from disconerf_ns.scene.objects import ObjectId, SceneObject

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
LAST = 1e9
"""Order of the first row: below everything else in the folder."""


class Look(NamedTuple):
    """Looks of a row; it has no icon, which viser would unpack anew for each row, in a tenth of a second."""

    label: str
    color: str


class Rows:
    """Rows of objects in a folder; an object stays in its row until the list is sorted again."""

    def __init__(self, server: viser.ViserServer, folder: viser.GuiFolderHandle, select: Callable[[ObjectId], None]):
        self.server, self.folder, self.select = server, folder, select
        self._places: dict[ObjectId, int] = {}
        self._rows: dict[ObjectId, tuple[Look, viser.GuiButtonHandle]] = {}

    @property
    def ids(self) -> list[ObjectId]:
        """Objects that have a row."""
        return list(self._rows)

    def sort(self, objects: Sequence[SceneObject], by: str) -> None:
        """Put the objects in another order."""
        self._clear()
        self._places = {each.id: place for place, each in enumerate(sorted(objects, key=ORDERS[by]))}

    def update(
        self, objects: Sequence[SceneObject], hidden: frozenset[int], selected: Sequence[ObjectId], query: str
    ) -> None:
        """Show the objects whose name holds `query`; only rows that look different are touched.

        New objects come last, the largest first.
        """
        for each in sorted(objects, key=ORDERS["size"]):
            self._places.setdefault(each.id, len(self._places))
        wanted = {
            each.id: look(each, each.id in hidden, each.id in selected)
            for each in objects
            if query.lower() in f"{each.name} {each.title}".lower()
        }
        for id in list(self._rows):
            if self._rows[id][0] != wanted.get(id):
                self._rows.pop(id)[1].remove()
        with self.folder:
            for id in sorted(wanted.keys() - self._rows.keys(), key=self._places.__getitem__):
                self._add(id, wanted[id])

    def _add(self, id: ObjectId, shown: Look) -> None:
        button = self.server.gui.add_button(
            shown.label,
            color=cast("Any", shown.color),  # viser types named colours alone
            order=LAST + self._places[id],
            hint="Select this object: name, share of the visible surface, confidence",
        )
        button.on_click(lambda _: self.select(id))
        self._rows[id] = shown, button

    def _clear(self) -> None:
        for _, button in self._rows.values():
            button.remove()
        self._rows.clear()


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
