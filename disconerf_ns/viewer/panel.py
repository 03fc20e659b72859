"""The tab "Objects" of nerfstudio's viewer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import viser

from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.recolor import Hue
from disconerf_ns.viewer.boxes import Boxes
from disconerf_ns.viewer.editor import Editor
from disconerf_ns.viewer.gizmo import Gizmo
from disconerf_ns.viewer.rows import ORDERS, Family, Rows
from disconerf_ns.viewer.status import Status

SHOWN = {
    "the scene": "rgb",
    "objects over it": "objects_overlay",
    "objects": "objects",
    "confidence": "confidence",
    "the edited scene": "edited",
}
"""Quick choices of the drawn output, and the outputs' names."""
CLICKS = ("turn the camera", "select an object", "select several")
"""Effects of a click into the picture. The last one also lets clicks in the list add to the selection."""
MANY = 20
"""Least number of objects that brings a search field."""
SILENCE = 1.0
"""Seconds without a sentence after which it is said again."""
PRESSED_NONE = ""
"""Value of a group of buttons between two clicks: viser reports only a value that differs from the one before."""


@runtime_checkable
class Actions(Protocol):
    """Actions of the panel's buttons besides edits."""

    def show_output(self, name: str) -> None:
        """Draw another output."""

    def pick(self, active: bool) -> None:
        """Let a click into the picture select an object, or turn the camera again."""

    def fly(self, client: viser.ClientHandle) -> None:
        """Move a client's camera to the selection."""

    def film(self, client: viser.ClientHandle) -> None:
        """Film the selection from where a client's camera is."""

    def save(self) -> None:
        """Write the edit into the run's folder."""

    def load(self) -> None:
        """Take the edit from the run's folder."""


class Panel:
    """Buttons and fields; each asks the editor for a change, and all show what came out.

    Args:
        tab: where the elements go.
        editor: makes the changes.
        actions: what is no change of the edit.
    """

    def __init__(self, server: viser.ViserServer, tab: viser.GuiTabHandle, editor: Editor, actions: Actions):
        self.server, self.editor, self.actions = server, editor, actions
        self.boxes = Boxes(server, self._select)
        self.gizmo = Gizmo(server, lambda: editor.ask_latest("handles", self._put))
        self._told = "", 0.0
        gui = server.gui
        self.status = Status(server, tab)
        with tab:
            self.shown = gui.add_dropdown("Show", tuple(SHOWN), hint="What is drawn; the tab Control has all outputs")
            self.detail = gui.add_slider(
                "Detail", 0.0, 1.0, 0.05, editor.edit.granularity, visible=False, hint="Coarser or finer objects"
            )
            self.clicks = gui.add_dropdown("Clicks", CLICKS, hint="What a click into the picture does")
            with gui.add_folder("Selection"):
                self.name = gui.add_text("Name", "", hint="Name of the selected object; it also names its outputs")
                self.color = gui.add_rgb("Colour", (128, 128, 128), hint="Colour of the selected objects")
                self._edit(
                    "Visible",
                    {"hide": editor.toggle, "only": editor.isolate, "all": editor.show_all},
                    "Remove the selected objects or bring them back, show nothing else, show everything",
                )
                self._edit(
                    "Parts",
                    {"merge": editor.merge, "split": editor.split},
                    "Make the selected objects one, or open them into their parts, or else into connected ones",
                )
                self._edit(
                    "Place",
                    {"move": self._move, "copy": editor.copy, "put back": editor.put_back},
                    "Show handles that move and turn the selected object, copy it, put it back without copies",
                )
                self.size = gui.add_slider(
                    "Size", 0.1, 4.0, 0.05, 1.0, visible=False, hint="Size of the object that has the handles"
                )
                self._buttons(
                    "Camera",
                    {"fly to": actions.fly, "film": actions.film},
                    "Move the camera to the selection, or film it alone from here, on a circle",
                )
                self.film = gui.add_progress_bar(0.0, visible=False, animated=True)
            self._edit("Changes", {"undo": editor.undo, "redo": editor.redo}, "Take changes back, or make them again")
            with gui.add_folder("More", expand_by_default=False):
                self._buttons(
                    "Edit",
                    {
                        "save": lambda _: editor.ask_latest("save", actions.save),
                        "load": lambda _: editor.ask_latest("load", actions.load),
                    },
                    "All changes, as edit.json in the run's folder",
                )
                self._edit(
                    "Colours", {"reset": editor.reset_colors}, "Give the selected objects their own colours back"
                )
                self.hue = gui.add_slider(
                    "Hue", -180.0, 180.0, 5.0, 0.0, hint="Turn the hues of the selected objects, in degrees"
                )
                self.extraction = gui.add_dropdown(
                    "Extraction", ("hard", "soft"), editor.scene.options.extraction,
                    hint="hard: an object is where its slot rules. soft: everywhere, by its slot's probability",
                )  # fmt: skip
                self.threshold = gui.add_slider(
                    "Confidence", 0.0, 1.0, 0.05, editor.scene.options.min_confidence,
                    hint="Pixels whose object is less sure than this are drawn as nobody's",
                )  # fmt: skip
                self.show_boxes = gui.add_checkbox("Boxes", False, hint="Boxes of the objects in the 3D scene")
                self.show_names = gui.add_checkbox("Names", False, hint="Names of the objects in the 3D scene")
                self.order = gui.add_dropdown(
                    "Sort by", tuple(ORDERS), hint="Sorts the list now; new objects come last"
                )
            with (folder := gui.add_folder("Objects")):
                self.search = gui.add_text(
                    "Search", "", visible=False, hint="Only objects whose name holds this are listed"
                )
        self.rows = Rows(server, folder, self._select, lambda part: editor.ask(editor.enter, part))
        self._connect()

    def _buttons(self, label: str, actions: dict[str, Callable[[viser.ClientHandle], None]], hint: str) -> None:
        group = self.server.gui.add_button_group(label, tuple(actions), hint=hint)
        group.value = PRESSED_NONE

        @group.on_click
        def _(event: viser.GuiEvent) -> None:
            if event.client is not None:
                pressed, group.value = group.value, PRESSED_NONE
                if pressed in actions:  # another thread may have taken the same click
                    actions[pressed](event.client)

    def _edit(self, label: str, wishes: dict[str, Callable[[], None]], hint: str) -> None:
        self._buttons(label, {name: lambda _, wish=wish: self.editor.ask(wish) for name, wish in wishes.items()}, hint)

    def _connect(self) -> None:
        """A change that a program made, such as `refresh`, has no client and asks for nothing."""
        editor = self.editor

        def on(element, wish: Callable) -> None:
            element.on_update(
                lambda event: event.client_id is not None and editor.ask_latest(id(element), wish, event.target.value)
            )

        def boxes(_: bool) -> None:
            self.boxes.boxes, self.boxes.names = self.show_boxes.value, self.show_names.value

        on(self.detail, editor.refine)
        on(self.name, editor.rename)
        on(self.color, lambda rgb: editor.recolor(tuple(channel / 255 for channel in rgb)))
        on(self.hue, lambda degrees: editor.recolor(Hue(degrees)))
        on(self.size, editor.resize)
        on(self.extraction, lambda value: editor.look(extraction=value))
        on(self.threshold, lambda value: editor.look(min_confidence=value))
        on(self.shown, lambda name: self.actions.show_output(SHOWN[name]))
        on(self.search, lambda _: None)
        on(self.order, lambda by: self.rows.sort(editor.scene.objects, by))
        on(self.show_boxes, boxes)
        on(self.show_names, boxes)
        self.clicks.on_update(lambda event: self.actions.pick(event.target.value != CLICKS[0]))

    def _move(self) -> None:
        """Show or hide the handles."""
        if not self.gizmo.on:
            self.editor.selection()
        self.gizmo.on = not self.gizmo.on

    def _put(self) -> None:
        """Let the object stand where a person moved the handles to; of many small moves the last one counts."""
        if self.gizmo.id is not None and self.gizmo.id in self.editor.selected:
            last = self.editor.edit.places_of(self.gizmo.id)[-1]
            place = self.gizmo.place(last.scale)
            if place is not None:
                self.editor.put(place)

    def _select(self, id: ObjectId) -> None:
        self.editor.ask(lambda: self.editor.select([id], self.several))

    @property
    def several(self) -> bool:
        """Whether clicks select objects besides those that are selected."""
        return self.clicks.value == CLICKS[2]

    # ---------------------------------------------------------------- showing

    def refresh(self) -> None:
        """Show the objects and the edit as they are."""
        scene, selected = self.editor.scene, self.editor.selected
        chosen = [each for each in scene.objects if each.id in selected]
        self.search.visible = len(scene.objects) > MANY
        self.detail.visible = not scene.trained.tree.is_flat
        if self.detail.value != scene.edit.granularity and not self.editor.waiting:
            self.detail.value = scene.edit.granularity
        family = Family(scene.all_objects, scene.trained.tree)
        self.rows.update(scene.objects, scene.edit.hidden, selected, self.search.value, family)
        self.boxes.update(scene, frozenset(selected))
        self._show_selection(chosen)
        first = next(iter(selected), None)
        self.gizmo.update(scene, first)
        self.size.visible = self.gizmo.id is not None
        if first is not None and self.gizmo.id is not None and not self.editor.waiting:
            self.size.value = scene.edit.places_of(first)[-1].scale

    def _show_selection(self, chosen: list[SceneObject]) -> None:
        name = chosen[0].label if len(chosen) == 1 else f"{len(chosen)} objects" if chosen else ""
        if self.name.value != name:
            self.name.value = name
        self.name.disabled = len(chosen) != 1
        self.color.disabled = not chosen
        if chosen:
            red, green, blue = (round(255 * channel) for channel in chosen[0].color)
            if self.color.value != (red, green, blue):
                self.color.value = red, green, blue

    def show_as_drawn(self, output: str) -> None:
        """Show which output is drawn."""
        for label, name in SHOWN.items():
            if name == output and self.shown.value != label:
                self.shown.value = label

    def tell(self, sentence: str) -> None:
        """Show a sentence to everybody who looks, once where it is said over and over."""
        (last, when), now = self._told, time.monotonic()
        self._told = sentence, now
        if sentence == last and now - when < SILENCE:
            return
        for client in self.server.get_clients().values():
            client.add_notification("Objects", sentence, auto_close=6000)
