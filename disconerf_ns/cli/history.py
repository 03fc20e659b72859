"""Earlier contents of a run's edit.json, so that nothing that a person did by hand is lost by a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from disconerf_ns.errors import UserError
from disconerf_ns.files import write_whole
from disconerf_ns.scene.edit import EDIT, Edit
from disconerf_ns.scene.tree import DEFAULT, ObjectTree
from disconerf_ns.small_json import Value, small_json

HISTORY = "edit_history.json"
"""Name of the file, beside edit.json."""
Differences = dict[tuple[str, bool], list[int]]
"""Ids by the entry of an edit that was changed, and whether they are in it now, or were taken out."""
STEPS = 100
"""Contents that are kept, at most."""


class History:
    """The states that a run's edit went through, and which of them it is in.

    What the viewer saved between two commands is a state like any other.

    Args:
        config: config.yml of the run.
        tree: the run's tree of objects.
    Raises:
        UserError: the file of the history cannot be read.
    """

    def __init__(self, config: Path, tree: ObjectTree):
        self.edit_file, self.file, self.tree = config.parent / EDIT, config.parent / HISTORY, tree
        self.states: list[Any] = []
        """Contents of edit.json; None where there was no such file."""
        self.now = -1
        if self.file.exists():
            with small_json(self.file, "a history of edits", "move it away.") as content:
                states = content["states"].list(most=STEPS)
                if not states:
                    raise content["states"].wrong("a list of edits")
                for state in states:
                    if state.content is not None:
                        Edit.of_json(state)
                self.states = [state.content for state in states]
                self.now = content["now"].whole(0, len(states) - 1)
        current = self._content()
        if not self.states or self.states[self.now] != current:
            self._append(current)

    def change(self, edit: Edit) -> None:
        """Save another edit; the one before can be taken back.

        Raises:
            UserError: it does not fit the run's objects.
        """
        if fault := edit.fault(self.tree):
            raise UserError(f"objects: {fault}.")
        self._write()  # first, so that a stop in between loses nothing
        edit.save(self.edit_file)
        self._append(self._content())
        self._write()

    def travel(self, steps: int) -> Differences:
        """Go back or forth by a number of changes; what these changed, see `differences`.

        Raises:
            UserError: there is no such state, or it is about other objects than the run's.
        """
        if not 0 <= self.now + steps < len(self.states):
            raise UserError(f"objects: there is nothing to {'undo' if steps < 0 else 'redo'}.")
        left, state = self.states[self.now], self.states[self.now + steps]
        if state is not None and (fault := Edit.of_json(Value(state)).fault(self.tree)):
            raise UserError(f"objects: the change that this would go to fits these objects no longer: {fault}.")
        self._write()
        self.now += steps
        if state is None:
            self.edit_file.unlink(missing_ok=True)
        else:
            write_whole(self.edit_file, json.dumps(state, indent=2))
        self._write()
        earlier, later = (state, left) if steps < 0 else (left, state)
        return differences(earlier or {}, later or {})

    def _content(self) -> Any:
        return json.loads(self.edit_file.read_text(encoding="utf-8")) if self.edit_file.exists() else None

    def _append(self, state: Any) -> None:
        self.states = [*self.states[: self.now + 1], state][-STEPS:]
        self.now = len(self.states) - 1

    def _write(self) -> None:
        write_whole(self.file, json.dumps({"states": self.states, "now": self.now}))


def differences(earlier: dict[str, Any], later: dict[str, Any]) -> Differences:
    """The changes that lead from one edit to a later one, both as JSON; a change of the granularity has no ids."""
    found: Differences = {}
    for entry in {**earlier, **later}:
        before, after = (_by_id(each.get(entry)) for each in (earlier, later))
        for id in sorted({*before, *after}, key=int):
            if before.get(id) != after.get(id):
                found.setdefault((entry, id in after), []).append(int(id))
        if entry == "granularity" and earlier.get(entry, DEFAULT) != later.get(entry, DEFAULT):
            found[entry, True] = []
    return found


def _by_id(entry: Any) -> dict[str, Any]:
    """An entry of ids as a mapping from each of them; empty for a number."""
    if isinstance(entry, list):
        return dict.fromkeys(map(str, entry), True)
    return entry if isinstance(entry, dict) else {}
