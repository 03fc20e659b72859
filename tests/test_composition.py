"""Compositions: files read strictly, objects of other runs in their places, each run loaded once."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import assert_close
from scene import BALLS
from tiny_run import Run

from disconerf_ns.composition import Composition, compose
from disconerf_ns.errors import UserError
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.runs import capture_frame
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.similarity import Similarity


@pytest.fixture
def write(run: Run, tmp_path: Path):
    """Writes a composition whose entries are given."""

    def file(**entries) -> Path:
        path = tmp_path / "scene.json"
        path.write_text(json.dumps({"scene": str(run.config), **entries}))
        return path

    return file


@pytest.fixture
def loads(opened_run: None, opened: list[Path]) -> list[Path]:
    """The runs that are loaded, each as often as it is."""
    return opened


def test_an_object_stands_where_the_file_says(run: Run, write, loads, model) -> None:
    """`at` is the middle of its underside, in the capture's coordinates: half a ball's height under its middle."""
    ball = min(model.current.value.objects, key=lambda each: abs(each.share - 0.05)).name
    entry = {"run": str(run.folder), "object": ball}
    at = [0.1, 0.2, 1.0]
    composed = compose(Composition.load(write(objects=[{**entry, "at": at, "turn": 30, "scale": 2}])))
    (guest,) = composed.scene.guests
    box = guest.scene.bodies.whole(guest.id).box
    frame = capture_frame(run.config)
    underside = torch.tensor(box.centre) - torch.tensor([0, 0, box.size[2] / 2])
    assert_close(frame.points(guest.place.points(underside)), torch.tensor(at), 1e-4)
    assert guest.place.scale == pytest.approx(2)
    assert guest.place.rotation == pytest.approx((math.cos(math.radians(15)), 0, 0, math.sin(math.radians(15))))
    assert loads == [run.config], "a run is loaded once"
    assert composed.pipeline.model.current.value is composed.scene and composed.names == (ball,)


def test_a_run_whose_edit_splits_an_object_is_loaded_once(run: Run, write, loads, halves) -> None:
    """It was loaded to find the names of its objects, and then again."""
    edit = run.folder / "edit.json"
    Edit().divide(1, 2).save(edit)
    try:
        compose(Composition.load(write(objects=[{"run": str(run.config), "object": 2, "at": [0, 0, 0]}])))
    finally:
        edit.unlink()
    assert loads == [run.config]


def test_a_guest_has_its_own_name_where_none_is_given(run: Run, write, loads, model) -> None:
    """One that was chosen by its number was called by it."""
    first, second = (each for each in model.current.value.objects if each.number in (1, 2))
    named = {"run": str(run.config), "object": 2, "at": [0, 0, 0], "name": "guest"}
    composed = compose(Composition.load(write(objects=[{**named, "object": 1, "name": first.name}, named])))
    assert composed.names == (first.name, "guest")
    unnamed = {key: value for key, value in named.items() if key != "name"}
    assert compose(Composition.load(write(objects=[unnamed]))).names == (second.label,)


def test_a_place_is_said_in_the_captures_coordinates(run: Run, write, loads, model) -> None:
    """Moved by the way from the first ball to a point in the capture, the object is around that point."""
    place = Similarity(translation=(0.0, 0.0, 0.8))
    scene = model.current.value
    frame = capture_frame(run.config)
    centres = {each.name: frame.points(torch.tensor(scene.bodies.solid(each.id).centre)) for each in scene.objects}
    name = min(centres, key=lambda name: float((centres[name] - torch.tensor(BALLS[0][0])).norm()))
    composed = compose(
        Composition.load(write(objects=[{"run": str(run.config), "object": name, "place": place.as_json()}]))
    )
    (guest,) = composed.scene.guests
    there = frame.points(guest.place.points(torch.tensor(guest.scene.bodies.solid(guest.id).centre)))
    assert (there - torch.tensor(BALLS[0][0]) - torch.tensor([0.0, 0.0, 0.8])).norm() < 0.1


def test_what_is_not_kept_is_gone(run: Run, write, loads, model) -> None:
    first, second, *_ = (each.name for each in model.current.value.objects)
    nothing = compose(replace(Composition.load(write()), keep=())).scene
    camera = run.trainer.pipeline.datamanager.train_dataset.cameras[0:1]
    rays = camera.generate_rays(0, keep_shape=True)
    assert (Frame(nothing, rays.flatten(), tuple(rays.origins.shape[:2])).edited() == 1).all()
    assert Composition.load(write(keep=[first, 3])).keep == (first, "3")
    both = compose(Composition.load(write(keep=[first, second])))
    assert both.scene.edit.hidden.isdisjoint(both.scene.find(name).id for name in (first, second))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"scene": 3}, "scene is 3, not text"),
        ({"scene": "nowhere"}, "scene is 'nowhere', not the config.yml of a run"),
        ({"keep": "all"}, "keep is 'all', not a list"),
        ({"things": []}, "unknown entry 'things'; known are version, scene, keep, objects"),
        ({"objects": {}}, "objects is an object of 0 entries, not a list of at most 256"),
        ({"objects": [3]}, "objects\\[0\\] is 3, not a JSON object"),
        ({"objects": [{"object": "a", "at": [0, 0, 0]}]}, "objects\\[0\\] has no run"),
        ({"objects": [{"run": "RUN", "at": [0, 0, 0]}]}, "objects\\[0\\] has no object"),
        ({"objects": [{"run": "RUN", "object": "a"}]}, "objects\\[0\\] has no place and no at"),
        (
            {"objects": [{"run": "RUN", "object": "a", "at": [0, 0]}]},
            "at is a list of 2, not a list of 3",
        ),
        (
            {"objects": [{"run": "RUN", "object": "a", "at": [0, 0, 0], "scale": 0}]},
            "scale is 0, not from",
        ),
        ({"objects": [{"run": "RUN", "object": "a", "place": {}, "turn": 3}]}, "the turn and scale of objects\\[0\\]"),
        (
            {"objects": [{"run": "RUN", "object": "a", "place": {"scale": "big"}}]},
            "place.scale is 'big', not a number",
        ),
        ({"objects": [{"run": "RUN", "object": "a", "where": 1}]}, "objects\\[0\\] has an unknown entry 'where'"),
        (
            {"objects": [{"run": "RUN", "object": [], "at": [0, 0, 0]}]},
            "object is a list of 0, not text",
        ),
        (
            {"objects": [{"run": "RUN", "object": 2, "at": [0, 0, 0], "place": {}}]},
            "has both a place and an at",
        ),
        ({"keep": [], "objects": []}, "it keeps nothing and names no objects"),
    ],
)
def test_mistakes_are_told_in_one_sentence(run: Run, write, entries, said: str) -> None:
    text = write(**entries).read_text().replace("RUN", str(run.config))
    file = write()
    file.write_text(text)
    with pytest.raises(UserError, match=said) as told:
        Composition.load(file)
    assert str(file) in str(told.value) and "\n" not in str(told.value)


def test_an_object_that_a_run_does_not_have(run: Run, write, loads) -> None:
    file = write(objects=[{"run": str(run.config), "object": "teapot", "at": [0, 0, 0]}])
    with pytest.raises(
        UserError, match="scene.json: .*config.yml: objects: there is no teapot; the scene has object_00"
    ):
        compose(Composition.load(file))
    file = write(keep=["teapot"])
    with pytest.raises(
        UserError, match="scene.json: .*config.yml: objects: there is no teapot; the scene has object_00"
    ):
        compose(Composition.load(file))
    assert loads == [], "names are looked up before a run is loaded"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"scene": NaN}', "[" * 10_000])
def test_what_is_no_composition(tmp_path: Path, text: str) -> None:
    (tmp_path / "scene.json").write_text(text)
    with pytest.raises(UserError, match="not a composition"):
        Composition.load(tmp_path / "scene.json")
