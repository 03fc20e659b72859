"""`disconerf objects rename`, `merge`, `split`, `hide`, `show`, `granularity`, `reset`, `undo`, `redo`: edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from disconerf_ns.cli.history import History
from disconerf_ns.errors import UserError
from disconerf_ns.options import GRANULARITY, NONE_OR_MORE, check_options
from disconerf_ns.runs import EditedRun, edit_of, manifest_of, objects_of, other_objects_of
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.names import new_name_fault
from disconerf_ns.scene.objects import SceneObject, called, find_object, load_manifest
from disconerf_ns.scene.tree import ObjectTree

if TYPE_CHECKING:
    from disconerf_ns.viewer.selection import Selection

One = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="OBJECT")]
Some = Annotated[
    tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="OBJECT ...", help_behavior_hint="(required)")
]
SomeOrAll = Annotated[
    tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="OBJECT ...", help_behavior_hint="(default: all)")
]


CHANGES = {
    ("hidden", True): "hiding",
    ("hidden", False): "showing",
    ("opened", True): "opening",
    ("opened", False): "closing",
    ("colors", True): "colour",
    ("colors", False): "own colours",
    ("places", True): "place",
    ("places", False): "own place",
    ("hidden_copies", True): "hidden copies",
    ("hidden_copies", False): "showing of copies",
    ("names", True): "name",
    ("names", False): "loss of the name",
    ("merged", True): "merging",
    ("merged", False): "taking apart",
    ("split", True): "splitting",
    ("split", False): "joining",
    ("granularity", True): "granularity",
}
"""Words in which `undo` and `redo` name what was put into an entry of an edit, or taken out of it."""


@dataclass
class Change:
    """A change of a run's edit."""

    load_config: Path
    """config.yml of the run."""

    @cached_property
    def _run(self) -> EditedRun:
        """The run, which is loaded at most once."""
        return EditedRun(self.load_config)

    def _opened(self) -> tuple[Edit, ObjectTree]:
        tree = load_manifest(manifest_of(self.load_config)).tree
        return edit_of(self.load_config, tree), tree

    def _find(self, names: Sequence[str], least: int = 1) -> list[SceneObject]:
        """The objects of some names, each once.

        Raises:
            UserError: there is no such object, or they are too few.
        """
        found = self._run.find(names)
        if len(found) < least:
            some = "an object" if least == 1 else f"{least} different objects or more"
            raise UserError(f"objects: name {some}, such as 3, object_03 or a name that a person gave.")
        return found

    def _save(self, edit: Edit, tree: ObjectTree, *sentences: str) -> None:
        History(self.load_config, tree).change(edit)
        for sentence in sentences:
            print(f"objects: {sentence}.")

    def _travel(self, steps: int) -> str:
        """Go through the history of the edit; what the change was, in parentheses."""
        changed = History(self.load_config, self._opened()[1]).travel(steps)
        known = {each.id: called(each) for each in (*objects_of(self.load_config), *other_objects_of(self.load_config))}
        kinds = []
        for change, ids in changed.items():
            names = [name for id, name in known.items() if id in ids]
            kinds.append(f"{CHANGES[change]}{' of ' if names else ''}{', '.join(names)}")
        return f" ({'; '.join(kinds)})" if kinds else ""

    def _select(self, chosen: Sequence[SceneObject]) -> Selection:
        """Objects of the loaded run, selected."""
        from disconerf_ns.viewer.editor import Editor
        from disconerf_ns.viewer.selection import Selection

        selection = Selection(Editor(self._run.pipeline.model.current))
        selection.select([each.id for each in chosen])
        return selection


@dataclass
class Rename(Change):
    """Give an object of any size a name; an empty one takes it away."""

    object: One
    """Its number or name, such as 3, object_03 or teapot."""
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """The new name."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: there is no such object, the name is none, or another object has it.
        """
        edit, tree = self._opened()
        every = [*objects_of(self.load_config), *other_objects_of(self.load_config)]
        apart = [each for each in every if each.id not in edit.merged]
        each, name = find_object(apart, self.object, every, edit.merged), self.name.strip()
        if fault := new_name_fault(name, each.id, every):
            raise UserError(f"objects: {fault}; give another name.")
        if name == each.title:
            raise UserError(f"objects: {each.name} is called {each.label} already.")
        before = f" (it was {each.title})" if each.title else ""
        self._save(edit.rename(each.id, name), tree, f"{each.name} is called {name or each.name} now{before}")


@dataclass
class Hide(Change):
    """Take objects, or single copies of them, out of the edited scene; what was behind them appears."""

    objects: Some
    """Their numbers or names."""
    copy: int | None = None
    """Hide this copy alone: 1 is the one made first; 0 is the object itself, whose copies stay."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: there is no such object or copy, or it is hidden.
        """
        check_options("objects", self, copy=NONE_OR_MORE)
        edit, tree = self._opened()
        chosen = self._find(self.objects)
        check_copies(edit, chosen, self.copy or 0)
        hidden = [each for each in chosen if each.id in edit.hidden or self.copy in edit.hidden_places(each.id)]
        if hidden:
            raise UserError(f"objects: {one_place(hidden[0], self.copy)} is hidden already.")
        for each in chosen:
            edit = edit.hide(each.id) if self.copy is None else edit.hide_copy(each.id, self.copy)
        copies = any(len(edit.places_of(each.id)) > 1 for each in chosen)
        left = ", and its copies stay" if self.copy == 0 and copies else ""
        self._save(edit, tree, f"{listed_places(chosen, self.copy)} hidden now{left}")


@dataclass
class Show(Change):
    """Put hidden objects, or single copies of them, back into the edited scene."""

    objects: SomeOrAll = ()
    """Their numbers or names; by default all of which something is hidden."""
    copy: int | None = None
    """Show this copy alone: 1 is the one made first; 0 is the object itself. By default all copies are shown."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: there is no such object or copy, or nothing is hidden.
        """
        check_options("objects", self, copy=NONE_OR_MORE)
        edit, tree = self._opened()
        if self.copy is not None and not self.objects:
            raise UserError("objects: --copy says nothing without objects; name those whose copy to show.")
        chosen = self._find(self.objects) if self.objects else list(objects_of(self.load_config))
        if self.copy is not None:
            check_copies(edit, chosen, self.copy)
        hidden = [each for each in chosen if each.id in edit.hidden or self._hidden_alone(edit, each)]
        if self.objects and (there := [each for each in chosen if each not in hidden]):
            raise UserError(f"objects: {one_place(there[0], self.copy)} is not hidden.")
        if not hidden:
            raise UserError("objects: nothing is hidden.")
        for each in hidden:
            edit = edit.show(each.id) if self.copy is None else edit.show_copy(each.id, self.copy)
        self._save(edit, tree, f"{listed_places(hidden, self.copy)} shown again")

    def _hidden_alone(self, edit: Edit, each: SceneObject) -> bool:
        away = edit.hidden_places(each.id)
        return bool(away) if self.copy is None else self.copy in away


@dataclass
class Merge(Change):
    """Make objects one object, called as the first of them that has a name. This loads the run."""

    objects: Some
    """Numbers or names of two objects or more."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: there is no such object, or there are less than two.
        """
        _, tree = self._opened()
        chosen = self._find(self.objects, least=2)
        selection = self._select(chosen)
        selection.merge()
        edit, whole = selection.editor.edit, selection.first
        hidden = ", which is hidden" if whole.id in edit.hidden else ""
        self._save(edit, tree, f"{listed(chosen)} one object now, {called(whole)}{hidden}")


@dataclass
class Split(Change):
    """Take merged objects apart, show others as their parts, or as the pieces that do not touch. This loads the run."""

    objects: Some
    """Their numbers or names."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: there is no such object, or all of them are in one piece.
        """
        _, tree = self._opened()
        chosen = self._find(self.objects)
        selection = self._select(chosen)
        try:
            selection.split()
        except UserError as error:
            raise UserError(
                f"objects: {listed(chosen)} in one piece, was not merged and has no parts in `disconerf objects "
                "--tree`, so nothing can be split."
            ) from error
        pieces = [selection.scene.by_id[id] for id in selection.ids]
        self._save(selection.editor.edit, tree, f"{listed(chosen)} split now, into {' and '.join(map(called, pieces))}")


@dataclass
class Granularity(Change):
    """Show finer or coarser objects from now on, in every command and in the viewer."""

    granularity: Annotated[float, tyro.conf.Positional]
    """0 for the coarsest, 1 for the finest; 0.5 where nobody said anything."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: there is no such granularity, or it is the one that there is.
        """
        if not GRANULARITY.low <= self.granularity <= GRANULARITY.high:
            raise UserError(f"objects: the granularity is {self.granularity:g}; it has to be {GRANULARITY}.")
        edit, tree = self._opened()
        if self.granularity == edit.granularity:
            raise UserError(f"objects: the granularity is {self.granularity:g} already.")
        self._save(edit.at(self.granularity), tree, f"the granularity is {self.granularity:g} now")
        shown = objects_of(self.load_config)
        print(f"objects: these are {len(shown)}: {', '.join(map(called, shown))}.")


@dataclass
class Reset(Change):
    """Take all changes of a run's edit back: objects are as training found them, without names."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: nothing is changed.
        """
        edit, tree = self._opened()
        if edit == Edit():
            raise UserError("objects: nothing is changed; the objects are as training found them.")
        self._save(Edit(), tree, "all changes are taken back; `disconerf objects undo` brings them back again")


@dataclass
class Undo(Change):
    """Take the last change of a run's edit back."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: there is nothing to undo.
        """
        what = self._travel(-1)
        print(f"objects: the last change{what} is taken back; `disconerf objects redo` makes it again.")


@dataclass
class Redo(Change):
    """Make the change again that was taken back."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: there is nothing to redo.
        """
        print(f"objects: the change{self._travel(1)} is made again.")


def one_place(each: SceneObject, number: int | None) -> str:
    """An object, or one of its copies, as a sentence calls it; without a number all of them."""
    if number is None:
        return called(each)
    return f"copy {number} of {called(each)}" if number else f"{called(each)} itself"


def check_copies(edit: Edit, objects: Sequence[SceneObject], number: int) -> None:
    """Refuse the number of a copy that an object does not have.

    Raises:
        UserError: an object has fewer copies.
    """
    for each in objects:
        copies = len(edit.places_of(each.id)) - 1
        if number > copies:
            said = "no copies" if copies == 0 else "1 copy" if copies == 1 else f"{copies} copies"
            raise UserError(
                f"objects: {called(each)} has {said}, and --copy is {number}; leave it out, or pass a lower one."
            )


def listed(objects: Sequence[SceneObject]) -> str:
    """Objects as the subject of a sentence, with its verb."""
    return listed_places(objects, None)


def listed_places(objects: Sequence[SceneObject], number: int | None) -> str:
    """Objects, or one copy of each, as the subject of a sentence, with its verb."""
    said = " and ".join(one_place(each, number) for each in objects)
    return f"{said} {'is' if len(objects) == 1 else 'are'}"
