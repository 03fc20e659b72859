"""The tab "Objects" of nerfstudio's viewer, as one person has it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import viser

from disconerf_ns.compat.viser_panel import LentTab
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.recolor import Hue
from disconerf_ns.viewer.boxes import Boxes, Which
from disconerf_ns.viewer.family import Family
from disconerf_ns.viewer.film_fields import FilmFields, Films
from disconerf_ns.viewer.gizmo import Gizmo
from disconerf_ns.viewer.place_fields import PlaceFields
from disconerf_ns.viewer.rows import ORDERS, Clicks, Picture, Rows, Standing
from disconerf_ns.viewer.selection import Selection
from disconerf_ns.viewer.status import Head
from disconerf_ns.viewer.tools import Tool, Toolbar, edit_tools, history_tools, on_change

SHOWN = {
    "the scene": "rgb",
    "objects over it": "objects_overlay",
    "objects": "objects",
    "confidence": "confidence",
    "the edited scene": "edited",
}
"""Quick choices of the drawn output, and the outputs' names."""
MANY = 20
"""Least number of objects that brings a search field."""


@runtime_checkable
class Actions(Films, Protocol):
    """Actions of the panel besides edits."""

    def ask(self, wish: Callable[..., None], *arguments, what: object = None) -> None:
        """Put a wish into the queue; one that cannot be made is told to this person."""

    def show_output(self, name: str) -> None:
        """Draw another output."""

    def show_cameras(self, visible: bool) -> None:
        """Show where the photographs were taken."""

    def fly(self) -> None:
        """Move this person's camera to the selection."""

    def save(self) -> None:
        """Write the edit into the run's folder."""

    def load(self) -> None:
        """Take the edit from the run's folder."""


class Panel:
    """Buttons and fields; each asks for a change, and all show what came out.

    Args:
        client: who sees it.
        tab: where the elements go.
        selection: what the person has selected.
        actions: what is no change of the edit.
        picture: gives the small pictures of objects.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        tab: LentTab,
        selection: Selection,
        actions: Actions,
        picture: Picture,
    ):
        self.selection, self.actions, self.picture = selection, actions, picture
        self.editor = editor = selection.editor
        self.boxes = Boxes(client.scene)
        self.gizmo = Gizmo(client.scene, lambda: actions.ask(lambda: self.places.follow_handles(), what="handles"))
        gui = client.gui
        self.head = Head(gui, tab)
        with tab:
            self.shown = gui.add_dropdown("Show", tuple(SHOWN), hint="What is drawn; the tab Control has all outputs")
            self.detail = gui.add_slider(
                "Detail", 0.0, 1.0, 0.05, editor.edit.granularity, visible=False, hint="Coarser or finer objects"
            )
            self.search = gui.add_text(
                "Search", "", visible=False, hint="Only objects whose name holds this are listed"
            )
            folder = gui.add_folder("Objects")
            clicks = Clicks(
                self.select,
                lambda id: actions.ask(editor.toggle, id),
                lambda id, number: actions.ask(selection.toggle_one, id, number),
                lambda id, number: actions.ask(selection.take_away, id, number),
                lambda part: actions.ask(selection.enter, part),
            )
            self.rows = Rows(gui, folder, clicks)
            self._add_selection(gui)
            self.film = FilmFields(gui, actions, actions.ask, self._any_selected)
            self._add_more(gui)
        self._connect()

    def _add_selection(self, gui: viser.GuiApi) -> None:
        """Tools for the selection, and what can be changed of it."""
        with gui.add_folder("Selection"):
            move = Tool("move", "Show handles that move and turn the selected object, and numbers for them",
                        self._move, self._any_selected, is_on=lambda: self.gizmo.on)  # fmt: skip
            fly = Tool("fly to", "Move the camera to the selection", self.actions.fly, self._any_selected)
            tools = (*edit_tools(self.selection), move, fly, *history_tools(self.selection))
            self.tools = Toolbar(gui, tools, self.actions.ask)
            self.name = gui.add_text("Name", "", hint="Name of the selected object; it also names its outputs")
            self.color = gui.add_rgb("Colour", (128, 128, 128), hint="Colour of the selected objects")
            self.places = PlaceFields(gui, self.gizmo, self.selection, self.actions.ask)

    def _add_more(self, gui: viser.GuiApi) -> None:
        """Add the folder *More*, whose controls are needed less often than the others."""
        options = self.editor.scene.options
        with gui.add_folder("More", expand_by_default=False):
            self.order = gui.add_dropdown("Sort by", tuple(ORDERS), hint="Sort the list now; new objects come last")
            self.several = gui.add_checkbox(
                "Select several", False, hint="A click selects one more object, or lets it go"
            )
            self.in_3d = gui.add_dropdown(
                "Boxes", tuple(each.value for each in Which),
                hint="Boxes and names in the 3D scene; of a background its middle half",
            )  # fmt: skip
            self.cameras = gui.add_checkbox(
                "Cameras", False, hint="Show everybody where the photographs were taken; a click looks from there"
            )
            self.hue = gui.add_slider(
                "Hue", -180.0, 180.0, 5.0, 0.0, hint="Turn hues of the selected objects: by 120 from red to green"
            )
            self.extraction = gui.add_dropdown(
                "Borders", ("hard", "soft"), options.extraction,
                hint="hard: each point belongs to one object. soft: to several, by their probabilities",
            )  # fmt: skip
            self.threshold = gui.add_slider(
                "Least confidence", 0.0, 1.0, 0.05, options.min_confidence,
                hint="A pixel whose object is less certain than this, from 0 to 1, belongs to no object",
            )  # fmt: skip
            files = (
                Tool(
                    "save edit",
                    "Write all changes to edit.json in the run's folder",
                    self.actions.save,
                    lambda: True,
                    wide=True,
                ),
                Tool(
                    "load edit",
                    "Take the changes of edit.json in the run's folder",
                    self.actions.load,
                    lambda: True,
                    wide=True,
                ),
            )
            Toolbar(gui, files, self.actions.ask)

    def _any_selected(self) -> bool:
        return bool(self.selection.ids)

    def _connect(self) -> None:
        """Let every field ask for what it is about."""
        editor, selection = self.editor, self.selection
        on = partial(on_change, ask=self.actions.ask)

        def show_boxes(which: str) -> None:
            self.boxes.which = Which(which)

        on(self.detail, wish=editor.refine)
        on(self.name, wish=selection.rename)
        on(self.color, wish=lambda rgb: selection.recolor(tuple(channel / 255 for channel in rgb)))
        on(self.hue, wish=lambda degrees: selection.recolor(Hue(degrees)))
        on(self.extraction, wish=lambda value: editor.look(extraction=value))
        on(self.threshold, wish=lambda value: editor.look(min_confidence=value))
        on(self.shown, wish=lambda label: self.actions.show_output(SHOWN[label] if label in SHOWN else label))
        on(self.search, wish=lambda _: None)
        on(self.order, wish=lambda by: self.rows.sort(editor.scene.objects, by))
        on(self.in_3d, wish=show_boxes)
        on(self.cameras, wish=self.actions.show_cameras)

    def select(self, id: ObjectId, which: int = 0) -> None:
        """Select an object, or a copy of it by number, as a click does."""
        self.actions.ask(lambda: self.selection.pick(id, which, self.several.value))

    def _move(self) -> None:
        """Show or hide the handles."""
        if not self.gizmo.on:
            self.selection.there()
        self.gizmo.on = not self.gizmo.on

    # ---------------------------------------------------------------- showing

    def refresh(self) -> None:
        """Show the objects and the edit as they are."""
        scene, selected = self.editor.scene, self.selection.ids
        self.search.visible = len(scene.objects) > MANY
        self.detail.visible = not scene.trained.tree.is_flat
        self._set(self.detail, scene.edit.granularity)
        family = Family(scene.all_objects, scene.trained.tree)
        standing = Standing(
            {
                id: [number in scene.edit.seen_places(id) for number in range(len(places))]
                for id, places in scene.edit.places.items()
                if len(places) > 1
            },
            self.selection.which if selected else 0,
        )
        self.rows.update(scene.objects, scene.edit.hidden, selected, self.search.value, family, self.picture, standing)
        self.boxes.update(scene, frozenset(selected), self.selection.seen_place_of)
        self._show_selection([each for each in scene.objects if each.id in selected])
        self.places.refresh(self._set)
        self.tools.refresh()
        self.film.tools.refresh()
        self.show_films()

    def show_films(self) -> None:
        """Show how far films are; those who make them call this too."""
        own = self.actions.filming
        self.head.filming(own.part if own.running else None)
        self.film.show_progress()

    def _show_selection(self, chosen: list[SceneObject]) -> None:
        name = chosen[0].label if len(chosen) == 1 else f"{len(chosen)} objects" if chosen else ""
        self._set(self.name, name)
        self.name.disabled = len(chosen) != 1
        self.color.disabled = not chosen
        if chosen:
            red, green, blue = (round(255 * channel) for channel in chosen[0].color)
            self._set(self.color, (red, green, blue))

    def _set(self, field, value) -> None:
        """Show a value, unless a person may be changing it."""
        if field.value != value and not self.editor.waiting:
            field.value = value

    def show_as_drawn(self, output: str) -> None:
        """Show which output is drawn, also one that is no quick choice."""
        label = next((label for label, name in SHOWN.items() if name == output), output)
        options = tuple(SHOWN) if label in SHOWN else (*SHOWN, label)
        if tuple(self.shown.options) != options:
            self.shown.options = options
        if self.shown.value != label:
            self.shown.value = label
