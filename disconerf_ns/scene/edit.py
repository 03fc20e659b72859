"""A person's changes of a scene's objects, as one value that outputs, viewer and commands share.

Objects go by an id: the node of the tree of objects, or for the second and further connected parts of an object that
was split an id above all nodes. Removing, isolating, moving and copying are one operation: an object stands in no
place, in one or in several.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from disconerf_ns.errors import UserError
from disconerf_ns.files import write_whole
from disconerf_ns.scene.edit_entries import MAPPINGS, MOST_IDS, MOST_PLACES, SETS, id_of
from disconerf_ns.scene.names import name_fault
from disconerf_ns.scene.recolor import Recolor, recolor_fault
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.tree import DEFAULT, ObjectTree
from disconerf_ns.small_json import Value, small_json

HERE = Similarity()
"""The place in which an object was photographed."""
MOST = 16
"""Parts of an object, at most."""
EDIT = "edit.json"
"""Name of the file of a run's edit, beside its config.yml."""


@dataclass(frozen=True)
class Edit:
    """Changes of a scene: objects hidden, recoloured, moved, copied, named, merged, split and opened, by id.

    It never changes: every method gives another edit.

    >>> edit = Edit().hide(3).recolor(1, (1.0, 0.5, 0.0)).rename(1, "teapot").merge([4], 2)
    >>> sorted(edit.hidden), edit.names, edit.merged
    ([3], {1: 'teapot'}, {4: 2})
    >>> Edit().repaints, edit.repaints
    (False, True)
    """

    hidden: frozenset[int] = frozenset()
    colors: Mapping[int, Recolor] = field(default_factory=dict)
    """New colours; shading is kept."""
    places: Mapping[int, tuple[Similarity, ...]] = field(default_factory=dict)
    """Where an object stands, once or several times, said of where it was photographed, in scene coordinates."""
    hidden_copies: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """The places of an object that are hidden alone, never all: 0 for the object itself, others for its copies."""
    names: Mapping[int, str] = field(default_factory=dict)
    merged: Mapping[int, int] = field(default_factory=dict)
    """Objects that are part of another one now; those are part of none."""
    split: Mapping[int, int] = field(default_factory=dict)
    """Objects in connected parts, and the number of parts, at least 2; the largest part keeps the object's id."""
    granularity: float = DEFAULT
    """How fine objects are: 0 for the coarsest cut through the tree of objects, 1 for the finest."""
    opened: frozenset[int] = frozenset()
    """Objects that are shown as their parts in the tree, however coarse the others are."""

    @property
    def paint(self) -> tuple[frozenset[int], Mapping[int, Recolor], Mapping[int, tuple[Similarity, ...]]]:
        """Everything that the edited scene's looks depend on, besides which point belongs to which object."""
        return self.hidden, self.colors, self.standing

    @property
    def absent(self) -> frozenset[int]:
        """Objects that are not where they were photographed: hidden ones, and those that stand elsewhere only."""
        return self.hidden | {id for id, places in self.standing.items() if HERE not in places}

    def places_of(self, id: int) -> tuple[Similarity, ...]:
        """All places of an object, by number: 0 for the object itself, others for copies; hidden ones too."""
        return self.places.get(id, (HERE,))

    def hidden_places(self, id: int) -> frozenset[int]:
        """Numbers of an object's places that are hidden alone."""
        return self.hidden_copies.get(id, frozenset())

    def seen_places(self, id: int) -> list[int]:
        """Numbers of an object's places that are not hidden alone."""
        away = self.hidden_places(id)
        return [which for which in range(len(self.places_of(id))) if which not in away]

    def standing_of(self, id: int) -> tuple[Similarity, ...]:
        """Places of an object that are not hidden alone, at least one; also given if the whole object is hidden."""
        places = self.places_of(id)
        return tuple(places[which] for which in self.seen_places(id))

    @property
    def standing(self) -> dict[int, tuple[Similarity, ...]]:
        """`standing_of` the objects that a person moved or copied."""
        return {id: self.standing_of(id) for id in self.places}

    @property
    def structure(self) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        """Which points belong to which object, for the same nodes of the tree."""
        return tuple(self.merged.items()), tuple(self.split.items())

    @property
    def repaints(self) -> bool:
        """Whether the edited scene looks different from the scene."""
        return any(self.paint)

    def hide(self, *ids: int) -> Edit:
        """The same edit with more objects removed, and all copies of them."""
        return replace(self.show(*ids), hidden=self.hidden | set(ids))

    def show(self, *ids: int) -> Edit:
        """The same edit with objects, and all copies of them, back in the scene."""
        away = {id: copies for id, copies in self.hidden_copies.items() if id not in ids}
        return replace(self, hidden=self.hidden - set(ids), hidden_copies=away)

    def show_all(self) -> Edit:
        """The same edit with nothing hidden."""
        return self.show(*self.hidden, *self.hidden_copies)

    def hide_copy(self, id: int, which: int) -> Edit:
        """The same edit without one of an object's places in sight; without the last one, the object is hidden.

        Args:
            id: the object.
            which: number of the copy; 0 for the object itself, whose copies stay.

        >>> both = Edit().copy(3, Similarity(translation=(1.0, 0.0, 0.0)))
        >>> both.hide_copy(3, 0).seen_places(3), both.hide_copy(3, 0).hide_copy(3, 1).hidden
        ([1], frozenset({3}))
        """
        return self._seen_at(id, {*self._seen(id)} - {which})

    def show_copy(self, id: int, which: int) -> Edit:
        """The same edit with one of an object's places in sight again; arguments as in `hide_copy`."""
        return self._seen_at(id, {*self._seen(id), which})

    def _seen(self, id: int) -> list[int]:
        return [] if id in self.hidden else self.seen_places(id)

    def _seen_at(self, id: int, seen: set[int]) -> Edit:
        away = frozenset(range(len(self.places_of(id)))) - seen
        shown = self.show(id)
        if not seen:
            return shown.hide(id)
        return replace(shown, hidden_copies={**shown.hidden_copies, id: away}) if away else shown

    def isolate(self, ids: Iterable[int], everything: Iterable[int]) -> Edit:
        """The same edit with these objects alone, of everything that there is."""
        return replace(self, hidden=frozenset(everything) - frozenset(ids))

    def recolor(self, id: int, recolor: Recolor) -> Edit:
        """The same edit with an object in other colours: a tint (red, green, blue), a `Hue` or `Channels`."""
        return replace(self, colors={**self.colors, id: recolor})

    def place(self, id: int, *places: Similarity) -> Edit:
        """The same edit with an object in other places; in the one where it was photographed if none is given.

        Places of the numbers of hidden copies stay hidden, unless they are all that there are.
        """
        places = places or (HERE,)
        others = {key: value for key, value in self.places.items() if key != id}
        placed = replace(self, places=others if places == (HERE,) else {**others, id: places})
        return placed.hide(id) if id in self.hidden else placed._seen_at(id, {*placed.seen_places(id)} or {0})

    def move(self, id: int, by: Similarity, which: int = 0) -> Edit:
        """The same edit with an object, or one of its copies, turned, scaled and moved on from where it stands.

        Args:
            id: the object.
            by: how it moves, in scene coordinates.
            which: number of the copy; 0 for the object itself.
        """
        places = list(self.places_of(id))
        places[which] = by @ places[which]
        return self.place(id, *places)

    def copy(self, id: int, by: Similarity, which: int = 0) -> Edit:
        """The same edit with one more copy of an object, moved on from where it, or one of its copies, stands.

        Args:
            id: the object.
            by: how the copy moves, in scene coordinates.
            which: number of the copy that is copied; 0 for the object itself.
        """
        places = self.places_of(id)
        return self.place(id, *places, by @ places[which])

    def drop(self, id: int, which: int) -> Edit:
        """The same edit without one of an object's places, of which there are several; later copies count one less.

        Args:
            id: the object.
            which: number of the copy; 0 for the object itself.
        """
        places = self.places_of(id)
        seen = {each - (each > which) for each in self._seen(id) if each != which}
        return self.place(id, *places[:which], *places[which + 1 :])._seen_at(id, seen)

    def rename(self, id: int, name: str) -> Edit:
        """The same edit with an object under a name of its own; under the old one where the name is empty."""
        others = {key: value for key, value in self.names.items() if key != id}
        return replace(self, names={**others, id: name} if name else others)

    def merge(self, ids: Iterable[int], target: int) -> Edit:
        """The same edit with objects, and what is part of them, as parts of another, with its looks."""
        moved = {id for id in ids if id != target}
        merged = {id: target if into in moved else into for id, into in self.merged.items() if id != target}
        return replace(self, merged={**merged, **dict.fromkeys(moved, target)}, hidden=self.hidden - moved)

    def take_apart(self, id: int) -> Edit:
        """The same edit with what was merged into an object as objects of their own again.

        They are hidden, coloured and placed as the whole was; if it had no colour or place, each has its own again.
        """
        parts = {part for part, into in self.merged.items() if into == id}
        merged = {part: into for part, into in self.merged.items() if part not in parts}
        return replace(self, merged=merged).alike(id, parts)

    def divide(self, id: int, parts: int) -> Edit:
        """The same edit with one more object in connected parts."""
        return replace(self, split={**self.split, id: parts})

    def at(self, granularity: float) -> Edit:
        """The same edit of finer or coarser objects.

        Args:
            granularity: 0 for the coarsest, 1 for the finest.
        """
        return replace(self, granularity=granularity)

    def open(self, *ids: int) -> Edit:
        """The same edit with objects shown as their parts in the tree."""
        return replace(self, opened=self.opened | set(ids))

    def close(self, *ids: int) -> Edit:
        """The same edit with objects no longer shown as their parts because a person opened them."""
        return replace(self, opened=self.opened - set(ids))

    def alike(self, id: int, others: Iterable[int]) -> Edit:
        """The same edit with other objects hidden as one is, and in its colour and places if a person gave it some."""
        others = set(others)
        hidden = self.hidden | others if id in self.hidden else self.hidden - others
        color = dict.fromkeys(others, self.colors[id]) if id in self.colors else {}
        edit = replace(self, hidden=hidden, colors={**self.colors, **color})
        if id not in self.places:
            return edit
        places = {**self.places, **dict.fromkeys(others, self.places[id])}
        away = {other: copies for other, copies in self.hidden_copies.items() if other not in others}
        away |= dict.fromkeys(others, self.hidden_copies[id]) if id in self.hidden_copies else {}
        return replace(edit, places=places, hidden_copies=away)

    def part_ids(self, node: int, nodes: int) -> list[int]:
        """The ids of a node's connected parts, largest first.

        Args:
            node: a node of the tree.
            nodes: number of all nodes.
        """
        start = nodes
        for other, parts in self.split.items():
            if other == node:
                return [node, *range(start, start + parts - 1)]
            start += parts - 1
        return [node]

    def ids(self, nodes: int) -> int:
        """Number of ids: nodes and further connected parts."""
        return nodes + sum(parts - 1 for parts in self.split.values())

    def kept(self, nodes: int) -> frozenset[int]:
        """Nodes, of so many, that a person merged or split: they stay as they are at every granularity."""
        return frozenset(id for id in (*self.merged, *self.merged.values(), *self.split) if id < nodes)

    def fault(self, tree: ObjectTree) -> str | None:
        """The reason why a scene with such a tree of objects cannot have this edit; None if it can."""
        named = {*self.hidden, *self.colors, *self.places, *self.hidden_copies, *self.names}
        named |= {*self.merged, *self.merged.values()}
        unknown = [id for id in named if not 0 <= id < self.ids(len(tree))]
        unknown += [node for node in (*self.split, *self.opened) if not 0 <= node < len(tree)]
        if unknown:
            return f"it is about object {unknown[0]}, which this scene does not have"
        if leaves := [node for node in self.opened if node not in tree.inner]:
            return f"it opens object {leaves[0]}, which has no parts"
        if not 0 <= self.granularity <= 1:
            return f"its granularity is {self.granularity}, which is not from 0 to 1"
        kept = self.kept(len(tree))
        if any(not kept.isdisjoint(tree.ancestors(node)) for node in kept):
            return "it merges or splits an object and a part of it"
        if any(into in self.merged for into in self.merged.values()):
            return "objects are merged in a chain"
        if min(self.split.values(), default=2) < 2:
            return "an object is split into less than 2 parts"
        if max(self.split.values(), default=2) > MOST:
            return f"an object is split into more than {MOST} parts"
        if any(not places for places in self.places.values()):
            return "an object has an empty list of places; hide it instead"
        if any(not copies <= {*range(len(self.places_of(id)))} for id, copies in self.hidden_copies.items()):
            return "it hides a copy that there is not"
        if any(not self.standing_of(id) for id in self.hidden_copies):
            return "it hides an object and each of its copies alone; hide the object instead"
        if len(many := max(self.places.values(), key=len, default=())) > MOST_PLACES:
            return f"an object stands in {len(many)} places, more than {MOST_PLACES}"
        stood = (place.fault for places in self.places.values() for place in places)
        faults = (*stood, *map(recolor_fault, self.colors.values()), *map(name_fault, self.names.values()))
        return next(filter(None, faults), None)

    def save(self, path: Path) -> None:
        """Write the edit as JSON."""
        write_whole(path, json.dumps(self.as_json(), indent=2))

    def as_json(self) -> dict[str, Any]:
        """Content of the edit's file."""
        return {
            "granularity": self.granularity,
            "hidden": sorted(self.hidden),
            "opened": sorted(self.opened),
            **{
                name: {str(id): write(value) for id, value in getattr(self, name).items()}
                for name, (_, write) in MAPPINGS.items()
            },
        }

    @classmethod
    def load(cls, path: Path, tree: ObjectTree) -> Edit:
        """Read an edit of a scene with a tree of objects from JSON.

        Raises:
            UserError: there is no such file, it is no edit, or it is about objects that the scene does not have.
        """
        with small_json(path, "an edit", "move it away, or save the edit anew.") as content:
            edit = cls.of_json(content)
        if fault := edit.fault(tree):
            raise UserError(f"{path}: the edit does not fit: {fault}; move it away, or load the edit of this run.")
        return edit

    @classmethod
    def of_json(cls, content: Value) -> Edit:
        """Read an edit, of whatever scene, from the content of its file.

        Raises:
            ValueError: it is no edit; the message says why.
        """
        content.object(("granularity", *SETS, *MAPPINGS))
        maps = {name: {id_of(id): read(each) for id, each in content.get(name, {}).items()}
                for name, (read, _) in MAPPINGS.items()}  # fmt: skip
        hidden, opened = (frozenset(each.whole(-MOST_IDS) for each in content.get(name, []).list()) for name in SETS)
        return cls(hidden, **maps, granularity=content.get("granularity", DEFAULT).number(), opened=opened)


def draft_of(file: Path) -> Path:
    """The file in which a viewer keeps changes until somebody saves them; it lies beside the saved edit's."""
    return file.with_stem(f"{file.stem}_unsaved")
