"""`disconerf objects move | copy | put-back | recolor`: where objects stand and how they look, in a run's edit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from disconerf_ns.cli.edits import Change, One, Some, check_copies, listed
from disconerf_ns.cli.measured import measured_objects
from disconerf_ns.errors import UserError
from disconerf_ns.options import ANY, FRACTION, NONE_OR_MORE, Range, check_options
from disconerf_ns.runs import capture_frame
from disconerf_ns.scene.edit import HERE
from disconerf_ns.scene.edit_entries import MOST_PLACES
from disconerf_ns.scene.objects import called

if TYPE_CHECKING:
    from disconerf_ns.facts.measure import Measured
    from disconerf_ns.scene.edit import Edit
    from disconerf_ns.scene.objects import ObjectId, SceneObject
    from disconerf_ns.scene.similarity import Similarity


@dataclass
class Move(Change):
    """Move, turn and scale objects, each about the middle of its underside, on from where it stands."""

    objects: Some
    """Their numbers or names."""
    by: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """X Y Z in the capture's coordinates and units."""
    turn: float = 0.0
    """Degrees about the vertical, counterclockwise seen from above."""
    scale: float = 1.0
    """Factor on the size."""
    copy: int = 0
    """Move this copy, or start the new one from it: 1 is the one made first; 0 is the object itself."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: there is no such object or copy, nothing would move, or a number cannot be.
        """
        check_options("objects", self, by=ANY, turn=ANY, scale=Range(1e-6, 1e6), copy=NONE_OR_MORE)
        edit, tree = self._opened()
        chosen = self._find(self.objects)
        check_copies(edit, chosen, self.copy)
        if (*self.by, self.turn, self.scale) == (0.0, 0.0, 0.0, 0.0, 1.0):
            raise UserError("objects: nothing would move; pass --by X Y Z, --turn DEGREES or --scale FACTOR.")
        for each in chosen:
            edit = self._moved(edit, each)
        self._save(edit, tree, f"{listed(chosen)} {self._done(edit, chosen)}")

    def _done(self, edit: Edit, chosen: Sequence[SceneObject]) -> str:
        return "moved now"

    def _moved(self, edit: Edit, each: SceneObject) -> Edit:
        return edit.move(each.id, self._step(edit, each, self.copy), self.copy)

    def _step(self, edit: Edit, each: SceneObject, which: int) -> Similarity:
        """How one of an object's places moves, in scene coordinates."""
        import torch

        from disconerf_ns.scene.similarity import Similarity, vector

        underside = edit.places_of(each.id)[which].points(torch.tensor(self._underside(each)))
        to_scene, half = capture_frame(self.load_config).inverse(), math.radians(self.turn) / 2
        way = to_scene.scale * to_scene.directions(torch.tensor(self.by))
        return Similarity.about(vector(underside), (math.cos(half), 0.0, 0.0, math.sin(half)), self.scale, vector(way))

    def _underside(self, each: SceneObject) -> tuple[float, float, float]:
        """The point about which an object is turned and scaled, in scene coordinates where it was photographed.

        It is that of the object's solid voxels: a few stray points make the box in which it was discovered wider, often
        on one side. What is moved alone needs no such point, and is not measured for it.
        """
        measured = self._measured.get(each.id) if (self.turn, self.scale) != (0.0, 1.0) else None
        if measured is not None and measured.extent is not None:
            return measured.extent.box.underside
        (left, front, bottom), (right, back, _) = each.box
        return (left + right) / 2, (front + back) / 2, bottom

    @cached_property
    def _measured(self) -> Mapping[ObjectId, Measured]:
        return measured_objects(self.load_config).measured


@dataclass
class Copy(Move):
    """Put copies of each object somewhere: moved, turned and scaled on from where the object stands."""

    times: int = 1
    """Number of copies; each is moved, turned and scaled on from the one before."""

    def __call__(self) -> None:
        """Change the edit; raises as moving does."""
        check_options("objects", self, times=Range(1, MOST_PLACES - 1))
        super().__call__()

    def _done(self, edit: Edit, chosen: Sequence[SceneObject]) -> str:
        last = [len(edit.places_of(each.id)) - 1 for each in chosen]
        said = [str(number) if self.times == 1 else f"{number - self.times + 1} to {number}" for number in last]
        return f"copied now, as {'copy' if self.times * len(last) == 1 else 'copies'} {', '.join(said)}"

    def _moved(self, edit: Edit, each: SceneObject) -> Edit:
        which = self.copy
        for _ in range(self.times):
            edit = edit.copy(each.id, self._step(edit, each, which), which)
            which = len(edit.places_of(each.id)) - 1
        return edit


@dataclass
class PutBack(Change):
    """Let objects stand where they were photographed again, without copies."""

    objects: Some
    """Their numbers or names."""
    copy: int | None = None
    """Take this copy alone away, counted from 1 as they were made; 0 puts the object itself back and keeps its
    copies."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: there is no such object or copy, or it stands where it was photographed.
        """
        check_options("objects", self, copy=NONE_OR_MORE)
        edit, tree = self._opened()
        chosen = self._find(self.objects)
        if there := [each for each in chosen if each.id not in edit.places]:
            raise UserError(f"objects: {called(there[0])} stands where it was photographed.")
        check_copies(edit, chosen, self.copy or 0)
        before = sum(len(edit.places_of(each.id)) for each in chosen)
        for each in chosen:
            edit = self._put_back(edit, each.id)
        gone = before - sum(len(edit.places_of(each.id)) for each in chosen)
        said = "where photographed again" if not self.copy else f"without copy {self.copy} now"
        if self.copy is None and gone:
            said += f", and {gone} {'copy is' if gone == 1 else 'copies are'} gone"
        self._save(edit, tree, f"{listed(chosen)} {said}")

    def _put_back(self, edit: Edit, id: int) -> Edit:
        if self.copy is None:
            return edit.place(id)
        if self.copy == 0:
            return edit.place(id, HERE, *edit.places_of(id)[1:])
        return edit.drop(id, self.copy)


@dataclass
class Recolor(Change):
    """Give an object other colours; its shading stays."""

    object: One
    """Its number or name."""
    tint: tuple[float, float, float] | None = None
    """R G B in [0, 1] that it takes on, lighter or darker as it is itself."""
    hue: float | None = None
    """Degrees by which all of its hues are turned: 120 from red to green, -120 from red to blue."""
    channels: Literal["rbg", "grb", "gbr", "brg", "bgr"] | None = None
    """Order of the channels: "gbr" shows its green as red, its blue as green and its red as blue."""
    own: bool = False
    """Give its own colours back."""

    def __call__(self) -> None:
        """Change the edit.

        Raises:
            UserError: there is no such object, or not exactly one change is asked for.
        """
        from dataclasses import replace

        from disconerf_ns.scene.recolor import Channels, Hue

        check_options("objects", self, tint=FRACTION, hue=ANY)
        edit, tree = self._opened()
        (each,) = self._find([self.object])
        wanted = [
            self.tint,
            None if self.hue is None else Hue(self.hue),
            self.channels and Channels(self.channels),
            self.own or None,
        ]
        wishes = [wish for wish in wanted if wish is not None]
        if len(wishes) != 1:
            raise UserError("objects: pass one of --tint R G B, --hue DEGREES, --channels ORDER and --own.")
        if self.own:
            others = {id: recolor for id, recolor in edit.colors.items() if id != each.id}
            self._save(replace(edit, colors=others), tree, f"{called(each)} has its own colours again")
            return
        (recolor,) = wishes
        self._save(edit.recolor(each.id, recolor), tree, f"{called(each)} has other colours now")
