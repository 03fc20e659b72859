"""What one person has selected, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch

from disconerf_ns.errors import UserError
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.cut import shown_nodes
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.names import new_name_fault, numbered
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.recolor import Recolor
from disconerf_ns.scene.similarity import Similarity, Vector, vector
from disconerf_ns.viewer.boxes import middle_of
from disconerf_ns.viewer.editor import Editor

BESIDE = 1.2
"""Distance of a copy from the object, in widths of its box as the person sees it."""


class Selection:
    """Selected objects of the current scene; changes of them go through the editor, and all who look see them.

    Args:
        editor: makes the changes.
        right: gives the level unit vector, in scene coordinates, to the right of the person's picture.
    """

    def __init__(self, editor: Editor, right: Callable[[], Vector] = lambda: (1.0, 0.0, 0.0)):
        self.editor, self._right = editor, right
        self._chosen: tuple[ObjectId, ...] = ()
        self._which = 0

    @property
    def scene(self) -> ArrangedScene:
        """The scene as it is now."""
        return self.editor.scene

    @property
    def ids(self) -> tuple[ObjectId, ...]:
        """Ids of the selected objects, in the order in which they were chosen.

        Of an object that another cut shows as its parts, or in a whole, these are selected; what is gone is not.
        """
        scene = self.scene
        return tuple(dict.fromkeys(id for chosen in self._chosen for id in scene.shown_for(chosen)))

    def there(self) -> tuple[ObjectId, ...]:
        """The selected objects.

        Raises:
            UserError: there is none.
        """
        if not (ids := self.ids):
            raise UserError("Select an object first: click it in the list or in the picture.")
        return ids

    @property
    def first(self) -> SceneObject:
        """The object that was selected first.

        Raises:
            UserError: there is none.
        """
        return self.scene.by_id[self.there()[0]]

    @property
    def which(self) -> int:
        """Which of its places is meant of the object that was selected first: 0 for its own, others for its copies.

        Raises:
            UserError: nothing is selected.
        """
        return min(self._which, len(self.editor.edit.places_of(self.there()[0])) - 1)

    def place_of(self, id: ObjectId) -> Similarity:
        """One place of an object: of the object that was selected first the one that is meant, of others the first that
        is seen."""
        return self.editor.edit.places_of(id)[self._place_number(id)]

    def seen_place_of(self, id: ObjectId) -> Similarity | None:
        """The same; None where it is hidden."""
        edit, number = self.editor.edit, self._place_number(id)
        return edit.places_of(id)[number] if id not in edit.hidden and number in edit.seen_places(id) else None

    def _place_number(self, id: ObjectId) -> int:
        return self.which if id in self.ids[:1] else self.editor.edit.seen_places(id)[0]

    def _take(self, ids: Iterable[ObjectId], which: int = 0) -> None:
        self._chosen, self._which = tuple(ids), which

    def select(self, ids: Iterable[ObjectId], add: bool = False) -> None:
        """Select objects instead of the others, or besides them; one that is selected already is let go with `add`."""
        chosen = list(self.ids) if add else []
        for id in ids:
            if id in chosen:
                chosen.remove(id)
            else:
                chosen.append(id)
        self._take(chosen)

    def pick(self, id: ObjectId, which: int, add: bool = False) -> None:
        """Select an object, or one of its copies, by the number of its place."""
        self.select([id], add)
        if self.ids[:1] == (id,):
            self._which = which

    def toggle(self) -> None:
        """Hide the selected objects, or show them if all of them are hidden."""
        self.editor.toggle(*self.there())

    def isolate(self) -> None:
        """Show the selected objects alone; everything again, if they are alone."""
        ids, edit = self.there(), self.editor.edit
        alone = edit.isolate(ids, self.scene.ids_in_use)
        self.editor.change(edit.show_all() if alone.hidden == edit.hidden else alone)

    def recolor(self, recolor: Recolor) -> None:
        """Give the selected objects new colours, such as a tint, RGB in [0, 1]."""
        edit, ids = self.editor.edit, self.there()
        for id in ids:
            edit = edit.recolor(id, recolor)
        self.editor.change(edit, ("color", ids))

    def reset_colors(self) -> None:
        """Give the selected objects their own colours back."""
        edit, ids = self.editor.edit, self.there()
        self.editor.change(replace(edit, colors={id: rgb for id, rgb in edit.colors.items() if id not in ids}))

    def put(self, place: Similarity) -> None:
        """Let the object that was selected first, or the copy that is meant, stand somewhere, in scene coordinates."""
        id, which = self.there()[0], self.which
        places = list(self.editor.edit.places_of(id))
        places[which] = place
        self.editor.change(self.editor.edit.place(id, *places), ("place", id, which))

    def resize(self, scale: float) -> None:
        """Scale the object that was selected first, or the copy that is meant, about its middle.

        Args:
            scale: multiple of the object's own size.
        """
        id = self.there()[0]
        place = self.place_of(id)
        middle = vector(place.points(torch.tensor(middle_of(self.scene, id))))
        self.put(Similarity.about(middle, scale=scale / place.scale) @ place)

    def copy(self) -> None:
        """Put a copy of the object that was selected first to the right of its newest copy, as the person sees it."""
        id = self.there()[0]
        places, right = self.editor.edit.places_of(id), torch.tensor(self._right())
        low, high = torch.tensor(self.scene.by_id[id].box)
        width = (places[-1].inverse().directions(right).abs() * (high - low)).sum() * places[-1].scale
        aside = Similarity(translation=vector(BESIDE * width * right))
        self.editor.change(self.editor.edit.place(id, *places, aside @ places[-1]))
        self._which = len(places)

    def toggle_one(self, id: ObjectId, which: int) -> None:
        """Hide one place of an object, by its number, or show it."""
        edit, seen = self._having(id, which), self.editor.edit.seen_places(id)
        is_seen = id not in edit.hidden and which in seen
        self.editor.change(edit.hide_copy(id, which) if is_seen else edit.show_copy(id, which))

    def take_away(self, id: ObjectId, which: int) -> None:
        """Take a copy of an object away, by the number of its place, or the object itself while copies stay."""
        self.editor.change(self._having(id, which).drop(id, which))
        if id in self.ids[:1] and which <= self._which:
            self._which = max(self._which - 1, 0)

    def _having(self, id: ObjectId, which: int) -> Edit:
        """The edit, if an object has copies and such a place."""
        edit = self.editor.edit
        if not which < len(edit.places_of(id)) > 1:
            raise UserError("This copy is gone already.")
        return edit

    def put_back(self) -> None:
        """Let the selected objects stand where they were photographed, without copies."""
        edit = self.editor.edit
        for id in self.there():
            edit = edit.place(id)
        self.editor.change(edit)

    def rename(self, name: str) -> None:
        """Give the selected object a name; an empty one takes it away."""
        id, *others = self.there()
        if others:
            raise UserError("Several objects are selected; select one to name it.")
        name = name.strip()
        if fault := new_name_fault(name, id, self.scene.all_objects + self.scene.objects):
            raise UserError(f"This cannot be its name: {fault}; give another.")
        self.editor.change(self.editor.edit.rename(id, name), ("name", id))

    def enter(self, part: ObjectId) -> None:
        """Show an object as its parts, and select one of them."""
        parent = self.scene.trained.tree.parent[part]
        if part not in self.scene.by_id and parent >= 0:
            self.editor.change(self.editor.edit.open(parent))
        self._take([part])

    def merge(self) -> None:
        """Make the selected objects one, with name and looks of the first that has a name, or of the first.

        All parts of an object that was opened are that object again, under its own name.
        """
        chosen, names = self.there(), self.editor.edit.names
        if len(chosen) < 2:
            raise UserError("Select two objects or more to merge them.")
        first = next((id for id in chosen if id in names), chosen[0])
        merged = self._closed(chosen) or self.editor.edit.merge(chosen, first)
        self.editor.change(merged)
        self._take([first])

    def _closed(self, chosen: Sequence[ObjectId]) -> Edit | None:
        """The edit with an opened object closed, if objects are all of its parts."""
        tree, nodes = self.scene.trained.tree, set(chosen)
        opened = self.editor.edit.opened
        inside = next((node for node in opened if {*self.scene.shown_for(node)} == nodes), None)
        if inside is None:
            return None
        closed = self.editor.edit.close(*(node for node in opened if node == inside or inside in tree.ancestors(node)))
        return closed if inside in shown_nodes(closed, tree) else None

    def _named(self, edit: Edit, parts: Sequence[int]) -> Edit:
        """The edit with the connected parts of a named object named after it, each with a number."""
        if (name := edit.names.get(parts[0])) is None:
            return edit
        taken = {each.title for each in self.scene.all_objects + self.scene.objects} | {*edit.names.values()}
        for part, own in zip(parts, numbered(name, taken)):
            edit = edit.rename(part, own)
        return edit

    def split(self) -> None:
        """Take merged objects apart again, open those that have parts, split others into their connected parts."""
        scene, edit, pieces = self.scene, self.editor.edit, []
        tree = scene.trained.tree
        for id in self.there():
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
                edit, pieces = self._named(edit.alike(id, parts[1:]), parts), [*pieces, *parts]
        if not pieces:
            raise UserError("The selection is in one piece.")
        self.editor.change(edit)
        self._take(pieces)
