"""The objects of a scene: as they were discovered, node by node, and as a person sees them, by an id of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NewType

from disconerf_ns.errors import UserError
from disconerf_ns.files import write_whole
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.tree import COLUMNS, ObjectTree
from disconerf_ns.small_json import Value, small_json

ObjectId = NewType("ObjectId", int)
"""An object of an arranged scene: a node of the tree, or above all nodes for further connected parts of a split one."""

Box = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Lower and upper corner of an axis-aligned box in scene coordinates."""


def box_between(corners: Iterable[Iterable[float]]) -> Box:
    """The box between two corners, each of three coordinates."""
    (x, y, z), (right, back, top) = corners
    return (x, y, z), (right, back, top)


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes have a point in common."""
    return all(max(low) <= min(high) for low, high in zip(zip(a[0], b[0]), zip(a[1], b[1])))


REST = "rest"
"""Name of the surface that masks could have covered and never did."""


def around(boxes: Sequence[Box]) -> Box:
    """Smallest box that holds all of some boxes."""
    lows, highs = zip(*boxes)
    return tuple(map(min, zip(*lows))), tuple(map(max, zip(*highs)))


MOST_SLOTS = 100_000
"""Object slots of a run, at most."""
LONGEST_TITLE, LONGEST_NAME = 60, 200
"""Characters of a person's name for an object that get into a file's name, and bytes of that without a suffix, at most;
file systems take 255 with it."""


@dataclass(frozen=True)
class DiscoveredObject:
    """A node of the tree of objects that rules part of the visible surface."""

    node: int
    """The node: an object slot of the field, or the union of several."""
    share: float
    """Fraction of the visible surface of all training views that it covers, in [0, 1]."""
    confidence: float
    """Mean probability of its slots, summed, where it is seen, in [0, 1]."""
    views: int
    """Training views that see it."""
    box: Box
    """Box of it as most photographs show it: of what is seen of it without strays, along rays whose light ends in one
    place."""
    reach: Box
    """Box outside of which it owns nothing: of all that is seen of it without strays. The radiance field lets some
    light pass, which may end far behind the object and make this box as large as the scene."""


@dataclass(frozen=True)
class SceneObject:
    """An object of an arranged scene."""

    id: ObjectId
    number: int | None
    """0 for the largest discovered object of the default cut; None for the rest, which is no object."""
    title: str
    """Name that a person gave it; empty without one."""
    color: tuple[float, float, float]
    """RGB in [0, 1] in which the outputs draw it."""
    share: float
    """Fraction of the visible surface of all training views that it covers, in [0, 1]."""
    confidence: float
    """Mean probability of its slots where they are seen, in [0, 1]."""
    views: int
    """Training views that see it."""
    box: Box
    """Box of it as most photographs show it."""
    reach: Box
    """Box outside of which it owns nothing."""
    slots: frozenset[int]
    """Slots of the object field that it is made of."""
    whole: bool
    """False if it is, or holds, only a part of a slot."""

    @property
    def name(self) -> str:
        """Output name, such as `object_00`; `rest` for the rest."""
        return REST if self.number is None else f"object_{self.number:02d}"

    @property
    def label_number(self) -> int:
        """Its number in label maps: 1 for `object_00` and so on; 0, as for nobody, for the rest."""
        return 0 if self.number is None else self.number + 1

    @property
    def label(self) -> str:
        """How people know it: by the name that a person gave it, or its output name."""
        return self.title or self.name

    @property
    def file_name(self) -> str:
        """A name for its files: unique in the scene, without a suffix, and one that every file system takes."""
        title = re.sub(r"[^\w-]+", "_", self.title).strip("_")[:LONGEST_TITLE]
        whole = f"{self.name}_{title}" if title else self.name
        return whole.encode()[:LONGEST_NAME].decode(errors="ignore")


def called(each: SceneObject) -> str:
    """An object's output name, and the name that a person gave it."""
    return f"{each.name} ({each.title})" if each.title else each.name


def find_object(
    objects: Sequence[SceneObject], name: str, others: Sequence[SceneObject] = (), merged: Mapping[int, int] = {}
) -> SceneObject:
    """The object of an output name, of a name that a person gave, or of a number.

    Args:
        objects: the objects that are shown.
        name: `object_03`, `3` or `teapot`.
        others: objects that are not shown: another granularity shows them, or they are merged into others.
        merged: the object that another one is part of, by id.
    Raises:
        UserError: no object, or more than one, has that name.
    """
    found = next(filter(None, _by_name(objects, name)), [])
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"objects: {_why_none(objects, name, others, merged)}.")
    several = " and ".join(each.name for each in found)
    raise UserError(f"objects: {several} are both called {name}; use the output name of one of them.")


def _why_none(
    objects: Sequence[SceneObject], name: str, others: Sequence[SceneObject], merged: Mapping[int, int]
) -> str:
    """Why no object that is shown has a name, and what to name in its place."""
    elsewhere = next(filter(None, _by_name(others, name)), [])
    into = {merged[each.id] for each in elsewhere if each.id in merged}
    if wholes := [each for each in objects if each.id in into]:
        return f"{name} is merged into {called(wholes[0])}; name that one, or split it first"
    if elsewhere:
        return (
            f"{name} is shown as its parts, or in a larger object; `disconerf objects --tree` shows which, and "
            "`disconerf objects granularity` or `undo` changes it"
        )
    known = ", ".join(map(called, objects)) or "no objects yet"
    return f"there is no {name or 'object without a name'}; the scene has {known}"


def _by_name(objects: Sequence[SceneObject], name: str) -> tuple[list[SceneObject], ...]:
    """The objects that have a name, by the three kinds of names that there are."""
    return (
        [each for each in objects if name == each.name],
        [each for each in objects if name and name == each.title],
        [each for each in objects if name.isdecimal() and each.number == int(name)],
    )


class Manifest(NamedTuple):
    """The discovered objects of a run, as `objects.json` lists them."""

    discovered: tuple[DiscoveredObject, ...]
    tree: ObjectTree


def save_manifest(
    objects: Sequence[SceneObject], tree: ObjectTree, step: int, path: Path, to_capture: Similarity | None = None
) -> None:
    """Write `objects.json`, whole or not at all.

    Args:
        objects: the discovered objects of all cuts, as they are without an edit.
        tree: how they hold each other.
        step: training step at which they were discovered.
        to_capture: scene coordinates, in which boxes are, to those of the capture, where they are known.
    """
    rows = [
        {
            "name": each.name,
            "id": each.id,
            "slot": each.id,
            "slots": sorted(each.slots),
            "color": each.color,
            "share": each.share,
            "confidence": each.confidence,
            "views": each.views,
            "box": each.box,
            "reach": each.reach,
        }
        for each in objects
    ]
    frame = {"boxes": "scene", "scene_to_capture": to_capture and to_capture.as_json()}
    content = {"version": 2, "step": step, "slots": tree.slots, "frame": frame, "objects": rows, "tree": tree.as_json()}
    write_whole(path, json.dumps(content, indent=2))


def load_manifest(path: Path) -> Manifest:
    """Read `objects.json`; a run without a tree has objects of one size.

    Raises:
        UserError: the file is no manifest.
    """
    with small_json(path, "a list of objects", "a run of ns-train writes it.") as content:
        slots = content["slots"].whole(1, MOST_SLOTS)
        tree = ObjectTree.flat(slots)
        if "tree" in content.object().content:
            tree = ObjectTree.from_json(_columns(content["tree"]), slots)
        return Manifest(tuple(_discovered(row, len(tree)) for row in content["objects"].list()), tree)


def _columns(tree: Value) -> dict[str, Any]:
    """The columns of a tree, each of numbers of its type, and its rest."""
    columns = {
        name: [each.whole(-1) if kind is int else each.number() for each in tree[name].list()]
        for name, kind in COLUMNS.items()
    }
    return {**columns, "rest": None if tree["rest"].content is None else tree["rest"].whole()}


def _discovered(row: Value, nodes: int) -> DiscoveredObject:
    box = _box(row["box"])
    return DiscoveredObject(
        row["slot"].whole(0, nodes - 1),
        row["share"].number(0, 1),
        row["confidence"].number(0, 1.001),
        row["views"].whole(),
        box,
        _box(row["reach"]) if "reach" in row.object().content else box,
    )


def _box(corners: Value) -> Box:
    return box_between(corner.vector() for corner in corners.list(2))
