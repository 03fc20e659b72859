"""An export's folder: what its manifest says of each object, and which of its files are about an object."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from disconerf_ns.errors import UserError
from disconerf_ns.export.exporter import MANIFEST
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.small_json import small_json


class ExportedObject(NamedTuple):
    """An object as it was when it was exported."""

    slots: frozenset[int]
    title: str
    color: tuple[float, float, float]
    """RGB in [0, 1], rounded."""

    def is_as(self, each: SceneObject) -> bool:
        """Whether an object has the same slots, name and colour."""
        return (each.slots, each.title) == (self.slots, self.title) and np.allclose(each.color, self.color, atol=1e-3)


@dataclass(frozen=True)
class Export:
    """What `disconerf export` wrote into a folder."""

    folder: Path
    objects: Mapping[str, ExportedObject]
    """The objects, by their names in it."""
    edit: Edit = field(default_factory=Edit)
    """The edit under which they were exported."""

    @classmethod
    def read(cls, folder: Path) -> Export:
        """Read the manifest of an export.

        Raises:
            UserError: the folder has none, or one of something else.
        """
        file = folder / MANIFEST
        if not file.is_file():
            raise UserError(
                f"report: {folder} holds no finished export: it has no {MANIFEST}; "
                "name a folder that `disconerf export` wrote."
            )
        with small_json(file, "the manifest of an export", "run `disconerf export` again.") as content:
            return cls(
                folder,
                {
                    row["name"].text(): ExportedObject(
                        frozenset(slot.whole() for slot in row["slots"].list()),
                        row["title"].text(),
                        row["color"].vector(),
                    )
                    for row in content["objects"].list()
                },
                Edit.of_json(content["source"]["edit"]),
            )

    def unchanged(self, objects: Sequence[SceneObject], edit: Edit) -> list[SceneObject]:
        """The objects that still are as they were exported, under the edit of now."""
        named = [each for each in objects if each.name in self.objects and self.objects[each.name].is_as(each)]
        return [each for each in named if _made(each, edit) == _made(each, self.edit)]

    def files_of(self, objects: Sequence[SceneObject]) -> dict[ObjectId, list[Path]]:
        """The files about each object: those in the folder, or one below, that begin with its name."""
        every = sorted(file for pattern in ("*", "*/*") for file in self.folder.glob(pattern) if file.is_file())
        return {each.id: [file for file in every if re.match(rf"{each.name}[._]", file.name)] for each in objects}


def _made(each: SceneObject, edit: Edit) -> Hashable:
    """The parts of an edit that change the files of an object: its place, its colours and its pieces."""
    pieces = edit.split.get(each.id) if each.whole else tuple(edit.split.items())
    merged = frozenset(id for id, into in edit.merged.items() if into == each.id)
    return edit.standing_of(each.id)[0], edit.colors.get(each.id), merged, pieces
