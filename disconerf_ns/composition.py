"""Scenes composed of several trained runs: one run is the place, objects of this and other runs stand in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from disconerf_ns.errors import UserError
from disconerf_ns.runs import EditedRun, TestMode, capture_frame
from disconerf_ns.scene.arranged import ArrangedScene, Guest
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.similarity import LARGEST, Similarity, vector
from disconerf_ns.small_json import Value, small_json

if TYPE_CHECKING:
    from disconerf_ns.pipeline import DiscoNerfPipeline

ENTRIES = ("run", "object", "name", "place", "at", "turn", "scale")
"""Entries of an object in a composition's file."""
MOST = 256
"""Objects of a composition, at most."""


@dataclass(frozen=True)
class Thing:
    """An object of a composition's file."""

    run: Path
    """config.yml of its run."""
    object: str
    """Its output name, or the name that a person gave it."""
    name: str | None
    """Name of the object in this composition; None for its own."""
    place: Similarity | None
    """Similarity from the capture of its run to the capture of the place; None where `at` is given."""
    at: tuple[float, float, float] | None
    """Point on which the middle of its underside stands, in the capture of the place."""
    turn: float
    """Degrees about the vertical, counterclockwise seen from above; only with `at`."""
    scale: float
    """Units of the place's capture for one unit of its run's capture; only with `at`."""


@dataclass(frozen=True)
class Composition:
    """What a composition's file says."""

    file: Path
    scene: Path
    """config.yml of the run that is the place."""
    keep: tuple[str, ...] | None
    """Objects of the place that stay; None for all that its edit shows."""
    things: tuple[Thing, ...]

    @property
    def edit_file(self) -> Path:
        """File of the edit of the place that a person saves in the composition's viewer; it outdoes `keep`."""
        return self.file.with_suffix(".edit.json")

    @classmethod
    def load(cls, file: Path) -> Composition:
        """Read a composition; paths in it are said of its own folder.

        Raises:
            UserError: the file cannot be read, an entry is missing, unknown or wrong, or a run does not exist.
        """
        if not file.is_file():
            raise UserError(f"there is no {file}; name the JSON file of a composition, which README describes.")
        with small_json(file, "a composition", "README has an example.") as content:
            content.object(("version", "scene", "keep", "objects"))
            things, keep = content.get("objects", []).list(most=MOST), content.get("keep", None)
            if not things and keep.content == []:
                raise ValueError("it keeps nothing and names no objects, so there is nothing to show")
            return cls(
                file,
                _run(file, content["scene"]),
                None if keep.content is None else tuple(_name(each) for each in keep.list()),
                tuple(_thing(file, thing) for thing in things),
            )


def _run(file: Path, value: Value) -> Path:
    path = (file.parent / value.text()).resolve()
    config = path / "config.yml" if path.is_dir() else path
    if not config.is_file():
        raise value.wrong("the config.yml of a run")
    return config


def _name(value: Value) -> str:
    """The name of an object, or its number."""
    return str(value.whole()) if type(value.content) is int else value.text()


def _thing(file: Path, value: Value) -> Thing:
    content, name = value.object(ENTRIES).content, _name(value["object"])
    if ("place" in content) == ("at" in content):
        raise ValueError(f"{value.place} has {'both a place and an at' if 'at' in content else 'no place and no at'}")
    if "place" in content and ("turn" in content or "scale" in content):
        raise ValueError(f"the turn and scale of {value.place} are parts of its place")
    return Thing(
        _run(file, value["run"]),
        name,
        value["name"].text() if "name" in content else None,
        Similarity.of_json(value["place"]) if "place" in content else None,
        value["at"].vector() if "at" in content else None,
        value.get("turn", 0.0).number(),
        value.get("scale", 1.0).number(1 / LARGEST, LARGEST),
    )


@dataclass(frozen=True)
class Composed:
    """A composition with its runs loaded."""

    composition: Composition
    pipeline: DiscoNerfPipeline
    """The run that is the place; its current scene is the composed one."""
    scene: ArrangedScene
    names: tuple[str, ...]
    """Names of the things, in the order of the scene's guests."""


def compose(
    composition: Composition, test_mode: TestMode = "inference", clean: bool = True, complete: bool = True
) -> Composed:
    """Load all runs of a composition, each once, and put its objects into their places.

    Args:
        composition: what its file says.
        test_mode: nerfstudio's name of the images to load beside the training images.
        clean: whether objects leave the haze and the crumbs around them behind.
        complete: whether objects go on where no photograph looked, if their run's options say so too.
    Raises:
        UserError: a run cannot be loaded, or has no such object, or one that nothing of is solid.
    """
    configs = dict.fromkeys((composition.scene, *(each.run for each in composition.things)))
    runs = {config: EditedRun(config, complete=complete, test_mode=test_mode) for config in configs}
    _check_names(composition, runs)
    scenes = {config: run.pipeline.model.current.value.with_options(clean=clean) for config, run in runs.items()}
    pipeline = runs[composition.scene].pipeline
    host, pipeline.edit_file = scenes[composition.scene], composition.edit_file
    if composition.edit_file.exists():
        host = host.with_edit(Edit.load(composition.edit_file, host.trained.tree))
    elif composition.keep is not None:
        kept = [host.find(name).id for name in composition.keep]
        host = host.with_edit(host.edit.isolate(kept, host.ids_in_use))
    guests = [_guest(composition, thing, scenes[thing.run]) for thing in composition.things]
    scene = replace(host, guests=tuple(guests))
    pipeline.model.current.replace(lambda _: scene)
    names = (thing.name or scenes[thing.run].find(thing.object).label for thing in composition.things)
    return Composed(composition, pipeline, scene, tuple(names))


def _check_names(composition: Composition, runs: Mapping[Path, EditedRun]) -> None:
    """Refuse names of objects that a run does not have, if possible before any run is loaded."""
    kept = () if composition.edit_file.exists() else composition.keep or ()
    for config, name in [(composition.scene, name) for name in kept] + [(x.run, x.object) for x in composition.things]:
        try:
            runs[config].find([name])
        except UserError as error:
            raise UserError(f"{composition.file}: {config}: {error}") from error


def _guest(composition: Composition, thing: Thing, scene: ArrangedScene) -> Guest:
    found = scene.find(thing.object)
    own, host = capture_frame(thing.run), capture_frame(composition.scene)
    if thing.place is not None:
        return Guest(scene, found.id, host.inverse() @ thing.place @ own)
    box = scene.bodies.whole(found.id).box
    if box is None or thing.at is None:
        raise UserError(
            f"{composition.file}: nothing of {thing.object} is solid; give it a place in the place of an at."
        )
    half = math.radians(thing.turn) / 2
    turned = Similarity(thing.scale * own.scale / host.scale, (math.cos(half), 0.0, 0.0, math.sin(half)))
    there = host.inverse().points(torch.tensor(thing.at))
    below = turned.points(torch.tensor(box.underside))
    return Guest(scene, found.id, replace(turned, translation=vector(there - below)))
