"""`disconerf objects move`, `copy`, `put-back`, `recolor`: in the capture's coordinates, mostly from small files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import assert_close
from tiny_run import Run

from disconerf_ns.cli import main
from disconerf_ns.cli.measured import measured_objects
from disconerf_ns.facts.changes import changes
from disconerf_ns.runs import EditedRun, capture_frame, objects_of
from disconerf_ns.scene.edit import HERE, Edit
from disconerf_ns.scene.objects import load_manifest
from disconerf_ns.scene.recolor import Channels, Hue


@pytest.fixture
def change(run: Run, opened_run: None, capsys: pytest.CaptureFixture):
    """Runs a command on the run and gives its exit code and what it said; the run's edit is gone afterwards."""

    def said(*words: str) -> tuple[int, str]:
        code = main(["objects", *words, "--load-config", str(run.config)])
        printed = capsys.readouterr()
        return code, (printed.err if code else printed.out).strip().splitlines()[-1]

    yield said
    for name in ("edit.json", "edit_history.json", "measured.json"):
        (run.folder / name).unlink(missing_ok=True)


def edit_now(run: Run) -> Edit:
    return Edit.load(run.folder / "edit.json", load_manifest(run.folder / "objects.json").tree)


def underside(run: Run, config: Path) -> torch.Tensor:
    extent = measured_objects(config).measured[objects_of(config)[1].id].extent
    assert extent is not None
    return torch.tensor(extent.box.underside)


def test_an_object_moves_in_the_captures_coordinates(run: Run, change) -> None:
    id, here = objects_of(run.config)[1].id, underside(run, run.config)
    assert change("move", "1", "--by", "0.5", "-0.25", "1.0", "--turn", "90", "--scale", "2") == (
        0,
        "objects: object_01 is moved now.",
    )
    (place,) = edit_now(run).places[id]
    frame = capture_frame(run.config)
    assert_close(frame.points(place.points(here)) - frame.points(here), torch.tensor([0.5, -0.25, 1.0]), 1e-4)
    assert place.scale == pytest.approx(2) and place.rotation[3] == pytest.approx(math.sqrt(0.5))
    assert change("move", "1", "--by", "0", "0", "1")[0] == 0, "moves add up"
    assert_close(
        frame.points(edit_now(run).places[id][0].points(here)) - frame.points(here),
        torch.tensor([0.5, -0.25, 2.0]),
        1e-4,
    )
    assert change("put-back", "1") == (0, "objects: object_01 is where photographed again.")
    assert edit_now(run).places == {}
    assert change("undo")[0] == 0 and len(edit_now(run).places) == 1


def test_what_is_turned_stays_over_its_place_whatever_stray_points_there_are(run: Run, change, monkeypatch) -> None:
    """A few points of a snowman lay beside it; a quarter turn put it 14 cm away from where it stood."""
    each, here = objects_of(run.config)[1], underside(run, run.config)
    low, high = each.box
    strays = replace(each, box=(low, (high[0] + 3.0, *high[1:])))
    monkeypatch.setattr(EditedRun, "find", lambda self, names: [strays])
    assert change("move", "1", "--turn", "90")[0] == 0
    (place,) = edit_now(run).places[each.id]
    assert_close(place.points(here), here, 1e-4)


def test_what_is_moved_alone_is_not_measured(run: Run, change, opened: list[Path]) -> None:
    assert change("move", "1", "--by", "0.5", "0", "0")[0] == 0
    assert change("copy", "1", "--by", "0.5", "0", "0")[0] == 0
    assert opened == [] and not (run.folder / "measured.json").exists()


def test_a_copy_stands_beside_the_object(run: Run, change) -> None:
    id = objects_of(run.config)[1].id
    assert change("copy", "object_01", "--by", "0.5", "0", "0") == (0, "objects: object_01 is copied now, as copy 1.")
    first, second = edit_now(run).places[id]
    assert first == HERE and second != HERE


def test_each_copy_is_moved_copied_and_taken_away_by_itself(run: Run, change) -> None:
    id = objects_of(run.config)[1].id
    places = lambda: edit_now(run).places[id]
    for _ in range(2):
        assert change("copy", "1", "--by", "0.5", "0", "0")[0] == 0
    itself, first, second = places()
    assert change("move", "1", "--copy", "2", "--by", "0", "0", "1")[0] == 0
    assert places()[:2] == (itself, first) and places()[2].translation[2] > second.translation[2]
    assert change("copy", "1", "--copy", "2", "--by", "0", "0", "1")[0] == 0
    assert places()[3].translation[2] > places()[2].translation[2]
    assert change("put-back", "1", "--copy", "1") == (0, "objects: object_01 is without copy 1 now.")
    assert len(places()) == 3 and first not in places()
    assert change("move", "1", "--by", "0", "0", "1")[0] == 0
    assert change("put-back", "1", "--copy", "0") == (0, "objects: object_01 is where photographed again.")
    assert places()[0] == HERE and len(places()) == 3
    assert change("move", "1", "--copy", "3", "--turn", "5") == (
        1,
        "disconerf: objects: object_01 has 2 copies, and --copy is 3; leave it out, or pass a lower one.",
    )
    said = change("put-back", "1")
    assert said == (0, "objects: object_01 is where photographed again, and 2 copies are gone.")


def test_copies_are_set_out_in_a_row(run: Run, change) -> None:
    id, here, frame = objects_of(run.config)[1].id, underside(run, run.config), capture_frame(run.config)
    said = change("copy", "1", "--by", "0.5", "0", "0", "--turn", "30", "--times", "3")
    assert said == (0, "objects: object_01 is copied now, as copies 1 to 3.")
    places = edit_now(run).places[id]
    for number, place in enumerate(places):
        way = frame.points(place.points(here)) - frame.points(here)
        assert_close(way, torch.tensor([0.5 * number, 0.0, 0.0]), 1e-4)
        assert 2 * math.degrees(math.acos(min(place.rotation[0], 1.0))) == pytest.approx(30 * number, abs=1e-3)
    assert change("undo")[0] == 0 and not (run.folder / "edit.json").exists(), "they are one change"


def test_one_place_of_an_object_is_hidden_and_shown(run: Run, change) -> None:
    """A single copy could not be hidden, and the object could not be taken away while its copies stay."""
    id = objects_of(run.config)[1].id
    assert change("copy", "1", "--by", "0.5", "0", "0", "--times", "2")[0] == 0
    assert change("hide", "1", "--copy", "2") == (0, "objects: copy 2 of object_01 is hidden now.")
    assert edit_now(run).hidden_copies == {id: {2}}
    assert change("hide", "1", "--copy", "2") == (1, "disconerf: objects: copy 2 of object_01 is hidden already.")
    assert change("hide", "1", "--copy", "0") == (0, "objects: object_01 itself is hidden now, and its copies stay.")
    assert edit_now(run).seen_places(id) == [1]
    assert changes(edit_now(run), id) == ("moved", "2 copies", "2 of 3 places hidden")
    assert change("show", "1", "--copy", "1") == (1, "disconerf: objects: copy 1 of object_01 is not hidden.")
    assert change("show", "1", "--copy", "2") == (0, "objects: copy 2 of object_01 is shown again.")
    assert change("undo")[1].startswith("objects: the last change (hidden copies of object_01) is taken back")
    assert change("show") == (0, "objects: object_01 is shown again.") and edit_now(run).hidden_copies == {}
    assert change("hide", "1", "--copy", "3")[1].endswith(
        "object_01 has 2 copies, and --copy is 3; leave it out, or pass a lower one."
    )
    assert change("show", "--copy", "1")[1].endswith(
        "--copy says nothing without objects; name those whose copy to show."
    )
    assert change("show", "1", "--copy", "0")[1].endswith("object_01 itself is not hidden.")


def test_what_a_person_changed_is_listed(run: Run, change) -> None:
    id = objects_of(run.config)[1].id
    assert changes(Edit(), id) == ()
    for words in (("move", "1", "--turn", "5"), ("copy", "1", "--by", "1", "0", "0"), ("copy", "1", "--turn", "9")):
        assert change(*words)[0] == 0
    assert changes(edit_now(run), id) == ("moved", "2 copies")
    assert change("recolor", "1", "--hue", "90")[0] == 0 and change("hide", "1")[0] == 0
    assert change("put-back", "1", "--copy", "2")[0] == 0 and change("put-back", "1", "--copy", "0")[0] == 0
    assert changes(edit_now(run), id) == ("hidden", "1 copy", "recoloured")


def test_colours(run: Run, change) -> None:
    id = objects_of(run.config)[1].id
    for words, expected in (
        (["--hue", "120"], Hue(120.0)),
        (["--channels", "brg"], Channels("brg")),
        (["--tint", "0.1", "0.2", "0.3"], (0.1, 0.2, 0.3)),
    ):
        assert change("recolor", "1", *words) == (0, "objects: object_01 has other colours now.")
        assert edit_now(run).colors == {id: expected}
    assert change("recolor", "1", "--own") == (0, "objects: object_01 has its own colours again.")
    assert edit_now(run).colors == {}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("move 1", "nothing would move; pass --by X Y Z"),
        ("move 1 --scale 0", "--scale is 0.0; it has to be from 1e-06 to 1,000,000."),
        ("move 1 --by nan 0 0", "--by is nan; it has to be from -1e+30 to 1e+30."),
        ("move 99 --by 1 0 0", "there is no 99"),
        ("move 99 --by 0 0 0", "there is no 99"),
        ("copy 99", "there is no 99"),
        ("recolor 99", "there is no 99"),
        ("copy 1 --by 1 0 0 --times 0", "--times is 0; it has to be from 1 to 63."),
        ("copy 1 --by 1 0 0 --copy 0 --times 64", "--times is 64; it has to be from 1 to 63."),
        ("put-back 1", "object_01 stands where it was photographed"),
        ("move 1 --copy 1 --turn 90", "object_01 has no copies, and --copy is 1; leave it out, or pass a lower one."),
        ("move 1 --copy -1 --turn 90", "--copy is -1; it has to be from 0 to"),
        ("recolor 1", "pass one of --tint R G B"),
        ("recolor 1 --hue 3 --own", "pass one of --tint R G B"),
        ("recolor 1 --tint 2 0 0", "--tint is 2.0; it has to be from 0 to 1."),
    ],
)
def test_mistakes_are_one_sentence_and_change_nothing(run: Run, change, words: str, sentence: str) -> None:
    code, line = change(*words.split())
    assert code == 1 and sentence in line and not (run.folder / "edit.json").exists()
