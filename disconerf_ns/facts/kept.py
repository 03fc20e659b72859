"""What was measured of a run's objects, kept beside its config.yml with the checkpoint and edit that it is true of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from disconerf_ns.errors import UserError
from disconerf_ns.facts.measure import Measured
from disconerf_ns.files import sha256_of, write_whole
from disconerf_ns.scene.cut import shown_nodes
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.small_json import Value, small_json

MEASURED = "measured.json"
"""Name of the file, beside config.yml."""
VERSION = 2
MOST = 8
"""Edits whose measurements are kept, the newest."""


class _Scene(NamedTuple):
    """Measurements of the objects that an edit shows."""

    structure: dict[str, Any]
    """All of the edit that says which points are whose."""
    measured: Mapping[ObjectId, Measured]

    def as_json(self) -> dict[str, Any]:
        objects = {str(id): each.as_json() for id, each in self.measured.items()}
        return {"structure": self.structure, "objects": objects}

    @classmethod
    def of_json(cls, content: Value) -> _Scene:
        """Read `as_json`.

        Raises:
            ValueError: it is something else.
        """
        measured = {ObjectId(int(id)): Measured.of_json(each) for id, each in content["objects"].items()}
        return cls(content["structure"].object().content, measured)


class KeptMeasurements:
    """The file of measurements of a run.

    Args:
        config: config.yml of the run.
        checkpoint: the run's newest checkpoint; measurements of any other one are forgotten.
    """

    def __init__(self, config: Path, checkpoint: Path):
        self.path = config.parent / MEASURED
        self._head = {"version": VERSION, "checkpoint": checkpoint.name, "sha256": sha256_of(checkpoint)}

    def find(self, edit: Edit, tree: ObjectTree) -> Mapping[ObjectId, Measured] | None:
        """Measurements of the objects that an edit shows; None if there are none yet."""
        wanted = _structure(edit, tree)
        return next((each.measured for each in self._scenes() if each.structure == wanted), None)

    def add(self, edit: Edit, tree: ObjectTree, measured: Mapping[ObjectId, Measured]) -> None:
        """Keep what was measured of the objects that an edit shows.

        Raises:
            OSError: the file cannot be written.
        """
        scenes = [*self._scenes(), _Scene(_structure(edit, tree), measured)][-MOST:]
        write_whole(self.path, json.dumps({**self._head, "scenes": [each.as_json() for each in scenes]}))

    def _scenes(self) -> list[_Scene]:
        """Stored measurements; none of a file that is missing, broken or of another version."""
        try:
            with small_json(self.path, "a file of measurements", "delete it.") as content:
                if any(content[name].content != self._head[name] for name in self._head):
                    return []
                return [_Scene.of_json(scene) for scene in content["scenes"].list(most=MOST)]
        except UserError:
            return []


def _structure(edit: Edit, tree: ObjectTree) -> dict[str, Any]:
    """All of an edit that says which points are whose, as JSON reads it back."""
    merged, split = edit.structure
    return {"nodes": list(shown_nodes(edit, tree)), "merged": list(map(list, merged)), "split": list(map(list, split))}
