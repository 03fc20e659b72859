"""The part of the panel that says where the selected object or copy stands, and moves it by numbers."""

from __future__ import annotations

from collections.abc import Callable

import viser

from disconerf_ns.scene.similarity import Vector
from disconerf_ns.viewer.gizmo import Gizmo, numbers_of, place_of
from disconerf_ns.viewer.selection import Selection
from disconerf_ns.viewer.tools import on_change


class PlaceFields:
    """Fields that show where the selected object stands, and change it.

    Args:
        gui: they are added where the panel's elements are being added.
        gizmo: the handles.
        selection: what the person has selected.
        ask: puts a wish into the queue; a later one takes the place of one about the same, `what`.
    """

    def __init__(self, gui: viser.GuiApi, gizmo: Gizmo, selection: Selection, ask: Callable[..., None]):
        self.gizmo, self.selection = gizmo, selection
        self.size = gui.add_slider("Size", 0.1, 4.0, 0.05, 1.0, visible=False, hint="Size, as a multiple of its own")
        self.middle = gui.add_vector3(
            "Middle", (0.0, 0.0, 0.0), step=0.01, visible=False,
            hint="Middle of the object in the scene: x, y and z, which is up",
        )  # fmt: skip
        self.turns = gui.add_vector3(
            "Turns", (0.0, 0.0, 0.0), step=1.0, visible=False,
            hint="Turns about x, y and z in degrees, in this order",
        )  # fmt: skip
        for field, wish in (
            (self.size, selection.resize),
            (self.middle, lambda middle: self._put(middle, self.turns.value)),
            (self.turns, lambda turns: self._put(self.middle.value, turns)),
        ):
            on_change(field, ask, wish)

    def follow_handles(self) -> None:
        """Let the object stand where a person moved the handles to; of many small moves the last one counts."""
        if self._moves_selection():
            place = self.gizmo.place(self.size.value)
            if place is not None:
                self.selection.put(place)

    def _put(self, middle: Vector, turns: Vector) -> None:
        if self._moves_selection():
            self.selection.put(place_of(middle, turns, self.size.value, self.gizmo.centre))

    def _moves_selection(self) -> bool:
        return self.gizmo.id is not None and self.gizmo.id in self.selection.ids

    def refresh(self, show: Callable[[viser.GuiInputHandle, object], None]) -> None:
        """Show where the selected object or copy stands.

        Args:
            show: gives a field a value, unless a person may be changing it.
        """
        first = next(iter(self.selection.ids), None)
        self.gizmo.update(self.selection.scene, first, None if first is None else self.selection.seen_place_of(first))
        for field in (self.size, self.middle, self.turns):
            field.visible = self.gizmo.id is not None
        if self.gizmo.id is not None:
            place = self.selection.place_of(self.gizmo.id)
            middle, turns = numbers_of(place, self.gizmo.centre)
            show(self.size, place.scale)
            show(self.middle, tuple(round(x, 3) for x in middle))
            show(self.turns, tuple(round(x, 1) for x in turns))
