"""A person's changes of a scene's objects, as one value that outputs, viewer and commands share.

Objects go by an id: the node of the tree of objects, or for the second and further connected parts of an object that
was split an id above all nodes. Isolating, removing and recolouring are the same operation with other numbers: how much
of an object's density stays, and how far its colour moves towards another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from disconerf_ns.errors import UserError, reason
from disconerf_ns.files import write_whole
from disconerf_ns.scene.tree import DEFAULT, ObjectTree

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma of ITU-R BT.601."""

MIDDLE_LUMA = 0.6
"""Luma of a surface that takes on a new colour as it is."""


MOST = 16
"""Parts of an object, at most."""
LONGEST = 60
"""Characters of a name, at most."""
EDIT = "edit.json"
"""Name of the file of a run's edit, beside its config.yml."""


@dataclass(frozen=True)
class Edit:
    """Changes of a scene: objects hidden, recoloured, named, merged, split and opened, by id, and how fine they are.

    It never changes: every method gives another edit.

    >>> edit = Edit().hide(3).recolor(1, (1.0, 0.5, 0.0)).rename(1, "teapot").merge([4], 2)
    >>> sorted(edit.hidden), edit.names, edit.merged
    ([3], {1: 'teapot'}, {4: 2})
    >>> Edit().repaints, edit.repaints
    (False, True)
    """

    hidden: frozenset[int] = frozenset()
    colors: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    """RGB in [0, 1] that an object takes on, its shading kept."""
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
    def paint(self) -> tuple[frozenset[int], Mapping[int, tuple[float, float, float]]]:
        """Everything that the edited scene's looks depend on, besides which point belongs to which object."""
        return self.hidden, self.colors

    @property
    def structure(self) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        """Which points belong to which object, for the same nodes of the tree."""
        return tuple(self.merged.items()), tuple(self.split.items())

    @property
    def repaints(self) -> bool:
        """Whether the edited scene looks different from the scene."""
        return any(self.paint)

    def hide(self, *ids: int) -> Edit:
        """The same edit with more objects removed."""
        return replace(self, hidden=self.hidden | set(ids))

    def show(self, *ids: int) -> Edit:
        """The same edit with objects back in the scene."""
        return replace(self, hidden=self.hidden - set(ids))

    def isolate(self, ids: Iterable[int], everything: Iterable[int]) -> Edit:
        """The same edit with these objects alone, of everything that there is."""
        return replace(self, hidden=frozenset(everything) - frozenset(ids))

    def recolor(self, id: int, rgb: tuple[float, float, float]) -> Edit:
        """The same edit with an object in another colour."""
        return replace(self, colors={**self.colors, id: rgb})

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

        They are hidden and coloured as the whole was; if it had no colour, each has its own again.
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
        """The same edit with other objects hidden as one is, and in its colour if a person gave it one."""
        others = set(others)
        hidden = self.hidden | others if id in self.hidden else self.hidden - others
        color = dict.fromkeys(others, self.colors[id]) if id in self.colors else {}
        return replace(self, hidden=hidden, colors={**self.colors, **color})

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
        named = {*self.hidden, *self.colors, *self.names, *self.merged, *self.merged.values()}
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
        if not all(len(color) == 3 and all(0 <= channel <= 1 for channel in color) for color in self.colors.values()):
            return "a colour is not red, green and blue in [0, 1]"
        return next((fault for fault in map(name_fault, self.names.values()) if fault), None)

    def save(self, path: Path) -> None:
        """Write the edit as JSON."""
        content = {
            "granularity": self.granularity,
            "hidden": sorted(self.hidden),
            "opened": sorted(self.opened),
            **{name: {str(id): value for id, value in getattr(self, name).items()} for name in MAPPINGS},
        }
        write_whole(path, json.dumps(content, indent=2))

    @classmethod
    def load(cls, path: Path, tree: ObjectTree) -> Edit:
        """Read an edit of a scene with a tree of objects from JSON.

        Raises:
            UserError: there is no such file, it is no edit, or it is about objects that the scene does not have.
        """
        try:
            edit = cls._parsed(json.loads(path.read_text()))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path}: not an edit ({reason(error)}); move it away, or save the edit anew.") from error
        if fault := edit.fault(tree):
            raise UserError(f"{path}: the edit does not fit: {fault}; move it away, or load the edit of this run.")
        return edit

    @classmethod
    def _parsed(cls, content: Any) -> Edit:
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
        if unknown := content.keys() - {"granularity", *SETS, *MAPPINGS}:
            raise ValueError(f"it has an unknown entry {min(unknown)!r}")
        sets, maps = {name: content.get(name, []) for name in SETS}, {name: content.get(name, {}) for name in MAPPINGS}
        if not_sets := [name for name, entry in sets.items() if not isinstance(entry, list)]:
            raise ValueError(f"its entry {not_sets[0]!r} is not a list")
        if not_maps := [name for name, entry in maps.items() if not isinstance(entry, dict)]:
            raise ValueError(f"its entry {not_maps[0]!r} is not an object")
        parsed = {name: {_id(id): MAPPINGS[name](value) for id, value in entry.items()} for name, entry in maps.items()}
        hidden, opened = (frozenset(map(_whole, sets[name])) for name in SETS)
        return cls(hidden, **parsed, granularity=_number(content.get("granularity", DEFAULT)), opened=opened)

    def table(self, nodes: int, device: torch.device | str) -> EditTable:
        """The edit as tensors over the ids of so many nodes and their connected parts."""
        table = EditTable.identity(self.ids(nodes), device)
        for id in self.hidden:
            table.density[id] = 0.0
        for id, rgb in self.colors.items():
            table.color[id] = torch.tensor(rgb, device=device)
            table.mix[id] = 1.0
        return table


def name_fault(name: str) -> str | None:
    """The reason why an object cannot have a name; None if it can."""
    if not name.strip():
        return "a name is empty"
    if len(name) > LONGEST:
        return f"a name has {len(name)} characters, more than {LONGEST}"
    if not name.isprintable():
        return f"the name {name!r} has line breaks or other characters that cannot be shown"
    return None


def _id(text: str) -> int:
    if not text.isdecimal() or str(int(text)) != text:
        raise ValueError(f"{text!r} is not an object's number")
    return int(text)


def _rgb(value: Any) -> tuple[float, float, float]:
    if not isinstance(value, list) or len(value) != 3 or not all(type(channel) in (int, float) for channel in value):
        raise ValueError(f"{value!r} is not a colour [red, green, blue]")
    red, green, blue = map(float, value)
    return red, green, blue


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a name")
    return value


SETS = ("hidden", "opened")
"""Entries of an edit's file that list ids."""
MAPPINGS: dict[str, Callable[[Any], Any]] = {"colors": _rgb, "names": _text, "merged": _whole, "split": _whole}
"""Entries of an edit's file that map ids, and the readers of their values."""


@dataclass
class EditTable:
    """An edit as it conditions the radiance field."""

    density: Float[Tensor, "ids"]
    """Factor on the density where an object is, in [0, 1]."""
    color: Float[Tensor, "ids 3"]
    """Colour that an object moves towards."""
    mix: Float[Tensor, "ids"]
    """How far, in [0, 1]."""

    @classmethod
    def identity(cls, ids: int, device: torch.device | str) -> EditTable:
        """The edit that changes nothing."""
        zeros = torch.zeros(ids, device=device)
        return cls(zeros + 1, torch.zeros(ids, 3, device=device), zeros)

    def tint(self, rgb: Float[Tensor, "*n 3"], ids: Shaped[Tensor, "..."]) -> Float[Tensor, "*n 3"]:
        """Colours after the edit: the new colour, lighter or darker by the old one's luma; shading stays."""
        luma = rgb @ torch.tensor(LUMA, device=rgb.device)
        mix = weigh(self.mix[:, None], ids)
        color = weigh(self.mix[:, None] * self.color, ids) / mix.clamp(min=1e-6)
        return rgb + mix * ((color * (luma / MIDDLE_LUMA)[..., None]).clamp(0, 1) - rgb)


def weigh(values: Float[Tensor, "ids c"], ids: Shaped[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Values of the objects that own points, (*points, c): looked up for labels (*points), averaged for probabilities.

    Args:
        values: one row per id.
        ids: integer ids (*points), or probabilities (*points, ids) with rows summing to 1.
    """
    return ids @ values if ids.is_floating_point() else values[ids]


def belonging(ids: Shaped[Tensor, "..."], id: int) -> Float[Tensor, "*n"]:
    """How much of points belongs to one object, in [0, 1]; the owners as `weigh` takes them."""
    return ids[..., id] if ids.is_floating_point() else (ids == id).float()
