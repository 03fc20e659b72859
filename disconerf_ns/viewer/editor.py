"""The one that edits the current scene: any thread may ask, changes are made one by one and can be undone."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from nerfstudio.utils.rich_utils import CONSOLE

from disconerf_ns.errors import UserError
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.cut import shown_nodes
from disconerf_ns.scene.edit import Edit, name_fault
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.recolor import Recolor
from disconerf_ns.scene.similarity import Similarity, vector

_log = logging.getLogger(__name__)

STEPS = 100
"""Changes that can be undone."""
BESIDE = 1.2
"""Distance of a copy from the object, in widths of its box."""
TOGETHER = 1.0
"""Seconds within which changes of the same thing, such as a colour that is dragged, are undone together."""
SHOWN_EVERY = 0.1
"""Seconds between two looks at a flood of wishes."""


class Editor:
    """Edits of the current scene, the selected objects, and the changes before and after.

    Args:
        current: what is edited; each change makes another scene current.
        tell: shows a person a sentence.
    """

    def __init__(self, current: CurrentScene, tell: Callable[[str], None] = CONSOLE.log):
        self.current, self.tell = current, tell
        self.selected: tuple[ObjectId, ...] = ()
        """Ids of the selected objects, in the order in which they were chosen."""
        self.listeners: list[Callable[[], None]] = []
        """Called after changes."""
        self._wishes: deque[tuple[Hashable, Callable[[], None]]] = deque()
        self._asking, self._asked = threading.Lock(), threading.Event()
        self._turn = threading.Lock()
        self._past: list[Edit] = []
        self._future: list[Edit] = []
        self._last: tuple[Hashable, float] = None, 0.0

    # ---------------------------------------------------------------- the queue

    def ask(self, wish: Callable[..., None], *arguments) -> None:
        """Put a wish into the queue; returns at once."""
        self._put_in(None, lambda: wish(*arguments))

    def ask_latest(self, what: Hashable, wish: Callable[..., None], *arguments) -> None:
        """Put a wish into the queue that takes the place of the last one in it if that is about the same thing.

        A value that is dragged, or a click that replaces the one before, is made once however often it is asked for.
        """
        self._put_in(what, lambda: wish(*arguments))

    def _put_in(self, what: Hashable, wish: Callable[[], None]) -> None:
        with self._asking:
            if what is not None and self._wishes and self._wishes[-1][0] == what:
                self._wishes.pop()
            self._wishes.append((what, wish))
        self._asked.set()

    def wait(self) -> None:
        """Wait for the next wish."""
        self._asked.wait()

    @property
    def waiting(self) -> bool:
        """Whether there are wishes that are not made yet."""
        return bool(self._wishes)

    def drain(self) -> None:
        """Make all wishes. One that cannot be made is told to the person; nothing is raised.

        Of many wishes, those that are made are shown now and then, so that no picture waits for the last one.
        """
        with self._turn:
            self._asked.clear()
            shown, made = time.monotonic(), 0
            for _ in range(len(self._wishes)):  # later ones wait, so that a flood has an end
                with self._asking:
                    if not self._wishes:  # one took the place of another
                        break
                    _, wish = self._wishes.popleft()
                self._attempt(wish)
                made += 1
                if time.monotonic() - shown > SHOWN_EVERY:
                    self._show()
                    shown, made = time.monotonic(), 0
            if made:
                self._show()

    def _show(self) -> None:
        for listener in self.listeners:
            self._attempt(listener)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except UserError as error:
            self.tell(str(error))
        except Exception as error:
            _log.exception("a change failed")
            self.tell(f"That did not work ({type(error).__name__}: {error}); the log has the details.")

    # ---------------------------------------------------------------- wishes

    @property
    def scene(self) -> ArrangedScene:
        """The scene as it is now."""
        return self.current.value

    @property
    def edit(self) -> Edit:
        """The edit as it is now."""
        return self.scene.edit

    def look(self, **options) -> None:
        """Look at the scene in another way; `options` are fields of `SceneOptions`."""
        self.current.replace(lambda scene: scene.with_options(**options))

    def change(self, edit: Edit, what: Hashable = None) -> None:
        """Take a new edit; `what` names the thing that changes if its changes are undone together."""
        now = time.monotonic()
        if what is None or self._last[0] != what or now - self._last[1] > TOGETHER:
            self._past = [*self._past[-STEPS + 1 :], self.edit]
        self._last, self._future = (what, now), []
        self.current.replace(lambda scene: scene.with_edit(edit))

    def undo(self) -> None:
        """Take the last change back."""
        self._travel(self._past, self._future)

    def redo(self) -> None:
        """Make the change again that was taken back."""
        self._travel(self._future, self._past)

    def _travel(self, source: list[Edit], other: list[Edit]) -> None:
        if not source:
            raise UserError("There is nothing more to undo or redo.")
        other.append(self.edit)
        edit = source.pop()
        self.current.replace(lambda scene: scene.with_edit(edit))
        self._last = None, 0.0
        self._keep_selection()

    def select(self, ids: Iterable[ObjectId], add: bool = False) -> None:
        """Select objects instead of the others, or besides them; one that is selected already is let go with `add`."""
        chosen = list(self.selected) if add else []
        for id in ids:
            if id in chosen:
                chosen.remove(id)
            else:
                chosen.append(id)
        self.selected = tuple(chosen)

    def toggle(self) -> None:
        """Hide the selected objects, or show them if all of them are hidden."""
        ids, edit = self.selection(), self.edit
        self.change(edit.show(*ids) if edit.hidden.issuperset(ids) else edit.hide(*ids))

    def isolate(self) -> None:
        """Show the selected objects alone; everything again, if they are alone."""
        ids, edit = self.selection(), self.edit
        alone = edit.isolate(ids, self.scene.ids_in_use)
        self.change(replace(edit, hidden=frozenset()) if alone.hidden == edit.hidden else alone)

    def show_all(self) -> None:
        """Hide nothing."""
        self.change(replace(self.edit, hidden=frozenset()))

    def recolor(self, recolor: Recolor) -> None:
        """Give the selected objects new colours, such as a tint, RGB in [0, 1]."""
        edit, ids = self.edit, self.selection()
        for id in ids:
            edit = edit.recolor(id, recolor)
        self.change(edit, ("color", ids))

    def reset_colors(self) -> None:
        """Give the selected objects their own colours back."""
        edit, ids = self.edit, self.selection()
        self.change(replace(edit, colors={id: rgb for id, rgb in edit.colors.items() if id not in ids}))

    def put(self, place: Similarity) -> None:
        """Let the object that was selected first, or its newest copy, stand somewhere, in scene coordinates."""
        id = self.selection()[0]
        others = self.edit.places_of(id)[:-1]
        self.change(self.edit.place(id, *others, place), ("place", id))

    def resize(self, scale: float) -> None:
        """Scale the object that was selected first, or its newest copy, about its middle, to a multiple of its size."""
        id = self.selection()[0]
        last, box = self.edit.places_of(id)[-1], self.scene.solid(id).box
        if box is None:
            raise UserError("Nothing of the selected object is solid, so it has no middle to be scaled about.")
        now, by = torch.tensor(box.centre), scale / last.scale
        self.put(Similarity.about(vector(last.points(now)), scale=by) @ last)

    def copy(self) -> None:
        """Put a copy of the object that was selected first beside it, to the right of its newest copy."""
        id = self.selection()[0]
        low, high = self.scene.by_id[id].box
        last = self.edit.places_of(id)[-1]
        aside = Similarity(translation=(BESIDE * last.scale * (high[0] - low[0]), 0.0, 0.0))
        self.change(self.edit.place(id, *self.edit.places_of(id), aside @ last))

    def put_back(self) -> None:
        """Let the selected objects stand where they were photographed, without copies."""
        edit = self.edit
        for id in self.selection():
            edit = edit.place(id)
        self.change(edit)

    def rename(self, name: str) -> None:
        """Give the selected object a name; an empty one takes it away."""
        id, *others = self.selection()
        if others:
            raise UserError("Several objects are selected; select one to name it.")
        name = name.strip()
        if name and (fault := name_fault(name)):
            raise UserError(f"This cannot be a name: {fault}.")
        self.change(self.edit.rename(id, name), ("name", id))

    def refine(self, granularity: float) -> None:
        """Show finer or coarser objects, from 0, the coarsest, to 1."""
        self.change(self.edit.at(granularity), "granularity")
        self._keep_selection()

    def enter(self, part: ObjectId) -> None:
        """Show an object as its parts, and select one of them."""
        parent = self.scene.trained.tree.parent[part]
        if part not in self.scene.by_id and parent >= 0:
            self.change(self.edit.open(parent))
        self.selected = (part,)
        self._keep_selection()

    def merge(self) -> None:
        """Make the selected objects one; it is called as the one that was selected first.

        All parts of an object that was opened are that object again, under its own name.
        """
        first, *others = chosen = self.selection()
        if not others:
            raise UserError("Select two objects or more to merge them.")
        merged = self._closed(chosen) or self.edit.merge(others, first)
        self.change(merged)
        self.selected = (first,)
        self._keep_selection()

    def _closed(self, chosen: Sequence[ObjectId]) -> Edit | None:
        """The edit with an opened object closed, if objects are all of its parts."""
        tree, nodes = self.scene.trained.tree, set(chosen)
        opened = self.edit.opened
        inside = next((node for node in opened if {*self.scene.shown_for(node)} == nodes), None)
        if inside is None:
            return None
        closed = self.edit.close(*(node for node in opened if node == inside or inside in tree.ancestors(node)))
        return closed if inside in shown_nodes(closed, tree) else None

    def split(self) -> None:
        """Take merged objects apart again, open those that have parts, split others into their connected parts."""
        scene, edit, pieces = self.scene, self.edit, []
        tree = scene.trained.tree
        for id in self.selection():
            if id in edit.merged.values():
                apart = [id, *(part for part, into in edit.merged.items() if into == id)]
                edit = edit.take_apart(id)
                lost = {part for part in apart if part < len(tree)} - {*shown_nodes(edit, tree)}
                edit = edit.open(*({tree.parent[part] for part in lost} - {-1}))
                pieces += apart
            elif id in edit.split:
                continue
            elif id in tree.inner:
                edit = edit.open(id)
                pieces.append(id)
            elif id < len(tree) and len(scene.parts(id)) > 1:
                edit = edit.divide(id, len(scene.parts(id)))
                parts = edit.part_ids(id, len(tree))
                edit, pieces = edit.alike(id, parts[1:]), [*pieces, *parts]
        if not pieces:
            raise UserError("The selection is in one piece.")
        self.change(edit)
        self.selected = tuple(pieces)
        self._keep_selection()

    def save(self, path: Path) -> None:
        """Write the edit to a file."""
        self.edit.save(path)
        self.tell(f"The edit is in {path}; `ns-render` shows it as the output `edited`.")

    def load(self, path: Path) -> None:
        """Take the edit of a file, which can be undone."""
        if not path.exists():
            raise UserError(f"There is no {path} yet; save an edit first.")
        edit = Edit.load(path, self.scene.trained.tree)
        self.change(edit)
        self._keep_selection()

    def selection(self) -> tuple[ObjectId, ...]:
        """The selected objects.

        Raises:
            UserError: there is none.
        """
        self._keep_selection()
        if not self.selected:
            raise UserError("Select an object first: in the list, or in the picture with Clicks on “select an object”.")
        return self.selected

    def first_selected(self) -> SceneObject:
        """The object that was selected first.

        Raises:
            UserError: there is none.
        """
        return self.scene.by_id[self.selection()[0]]

    def _keep_selection(self) -> None:
        """Let go what is gone; of an object that another cut shows as its parts or in a whole, these are selected."""
        scene = self.scene
        there = (id for chosen in self.selected for id in scene.shown_for(chosen))
        self.selected = tuple(dict.fromkeys(there))
