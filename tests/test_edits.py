"""An edit as a value: looks go along when objects are merged and divided, and names and files are read strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from disconerf_ns.errors import UserError
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.names import LONGEST
from disconerf_ns.scene.tree import ObjectTree

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def test_what_is_taken_apart_looks_as_the_whole_did() -> None:
    """A part that was hidden or coloured with the whole came back as it had been."""
    merged = Edit().recolor(2, BLUE).hide(2).merge([2, 3], 1)
    apart = merged.recolor(1, RED).hide(1).take_apart(1)
    assert apart.merged == {} and apart.hidden == {1, 2, 3} and apart.colors == {1: RED, 2: RED, 3: RED}
    assert merged.take_apart(1).colors == {2: BLUE} and merged.take_apart(1).hidden == frozenset()


def test_an_isolated_whole_is_seen_whole_after_it_is_taken_apart() -> None:
    alone = Edit().merge([2], 1).isolate([1], range(5))
    assert alone.take_apart(1).hidden == {0, 3, 4}


def test_other_objects_look_as_one_does() -> None:
    assert Edit().hide(1).recolor(1, RED).alike(1, [5, 6]) == Edit().hide(1, 5, 6).recolor(1, RED).recolor(
        5, RED
    ).recolor(6, RED)
    assert Edit().hide(5).recolor(5, RED).alike(1, [5]) == Edit().recolor(5, RED)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("x" * (LONGEST + 1), "61 characters, more than 60"),
        (" ", "a name is empty"),
        ("two\nlines", "line breaks or other characters"),
        ("\ud800", "cannot be shown"),
    ],
)
def test_names_that_nothing_can_show(name: str, fault: str) -> None:
    assert fault in str(Edit().rename(1, name).fault(ObjectTree.flat(3)))
    assert Edit().rename(1, "Teekanne [blau] ü").fault(ObjectTree.flat(3)) is None


@pytest.mark.parametrize(
    "content",
    [
        {"colors": {"1": [True, 0, 0]}},
        {"names": {"01": "mug"}},
        {"names": {"+1": "mug"}},
        {"colors": {"1": [0, 0, 0, 1]}},
    ],
)
def test_files_are_read_strictly(tmp_path: Path, content: dict) -> None:
    (tmp_path / "edit.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="not an edit"):
        Edit.load(tmp_path / "edit.json", ObjectTree.flat(3))


def test_a_change_that_replaces_the_scene_itself_is_refused_and_hangs_nobody(scene_now: ArrangedScene) -> None:
    current, another = CurrentScene(scene_now), scene_now.with_edit(Edit().hide(0))
    with pytest.raises(RuntimeError, match="has replaced it itself"):
        current.replace(lambda scene: current.replace(lambda _: another))
    assert current.value is scene_now and current.replace(lambda _: another) is another
