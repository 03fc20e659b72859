"""`disconerf objects rename`, `merge`, `hide`, `granularity`, `undo` and others: the viewer's edits as commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tiny_run import Run

from disconerf_ns import load
from disconerf_ns.cli import main
from disconerf_ns.cli.edits import CHANGES
from disconerf_ns.cli.history import HISTORY, History, differences
from disconerf_ns.errors import UserError
from disconerf_ns.runs import manifest_of, objects_of
from disconerf_ns.scene.edit import EDIT, Edit
from disconerf_ns.scene.edit_entries import MAPPINGS, SETS
from disconerf_ns.scene.objects import load_manifest


@pytest.fixture
def change(run: Run, capsys: pytest.CaptureFixture):
    """Runs a command on the run and gives its exit code and what it said; the run's edit is gone afterwards."""
    yield lambda *words: said(capsys, run.config, *words)
    for name in ("edit.json", "edit_history.json"):
        (run.folder / name).unlink(missing_ok=True)


def said(capsys: pytest.CaptureFixture, config: Path, *words: str) -> tuple[int, str]:
    code = main(["objects", *words, "--load-config", str(config)])
    printed = capsys.readouterr()
    lines = (printed.err if code else printed.out).strip().splitlines()
    return code, lines[-1] if lines else ""


def titles(config: Path) -> dict[str, str]:
    return {each.name: each.title for each in objects_of(config) if each.title}


def hidden(run: Run) -> list[int]:
    return json.loads((run.folder / "edit.json").read_text())["hidden"]


def test_an_object_is_named_by_number_by_name_and_anew(run: Run, change) -> None:
    assert change("rename", "1", "mug") == (0, "objects: object_01 is called mug now.")
    assert change("rename", "mug", "red mug") == (0, "objects: object_01 is called red mug now (it was mug).")
    assert titles(run.config) == {"object_01": "red mug"}
    assert change("rename", "object_01", "") == (0, "objects: object_01 is called object_01 now (it was red mug).")
    assert titles(run.config) == {}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rename", "9", "mug"], "there is no 9; the scene has object_00, object_01"),
        (["rename", "1", "object_02"], "object_02 is the name of another object; give another name"),
        (["rename", "1", "2"], "2 is what objects without a name are called; give another name"),
        (["rename", "1", "object_01"], "object_01 is what objects without a name are called; give another name"),
        (["granularity", "1.5"], "the granularity is 1.5; it has to be from 0, the coarsest objects, to 1"),
        (["granularity", "0.5"], "the granularity is 0.5 already"),
        (["rename", "1", "x" * 61], "a name has 61 characters, more than 60; give another name"),
        (["rename", "1", "a\nb"], "line breaks"),
        (["merge", "1"], "name 2 different objects or more"),
        (["merge", "1", "object_01"], "name 2 different objects or more"),
        (["hide"], "name an object, such as 3, object_03"),
        (["show"], "nothing is hidden"),
        (["show", "1"], "object_01 is not hidden"),
        (["split", "1"], "in one piece, was not merged and has no parts"),
        (["undo"], "there is nothing to undo"),
        (["redo"], "there is nothing to redo"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_changes_nothing(run: Run, change, words, sentence: str) -> None:
    code, line = change(*words)
    assert code == 1 and line.startswith("disconerf: ") and sentence in line
    assert not (run.folder / "edit_history.json").exists()
    assert not (run.folder / "edit.json").exists()


def test_a_name_that_another_object_has_is_refused(run: Run, change) -> None:
    change("rename", "1", "mug")
    assert change("rename", "2", "mug") == (
        1,
        "disconerf: objects: object_01 is called mug already; give another name.",
    )
    assert change("rename", "1", "mug") == (1, "disconerf: objects: object_01 is called mug already.")


def test_objects_are_hidden_and_shown(run: Run, change) -> None:
    one, two = (each.id for each in objects_of(run.config)[1:3])
    assert change("hide", "1", "2") == (0, "objects: object_01 and object_02 are hidden now.")
    assert hidden(run) == sorted([one, two])
    assert change("hide", "1") == (1, "disconerf: objects: object_01 is hidden already.")
    assert change("show", "2") == (0, "objects: object_02 is shown again.")
    assert change("show") == (0, "objects: object_01 is shown again.")
    assert change("undo")[1].startswith("objects: the last change (showing of object_01) is taken back")
    assert change("redo")[0] == 0
    assert hidden(run) == []


def test_objects_are_merged_and_taken_apart(run: Run, change) -> None:
    change("rename", "2", "pair")
    before = objects_of(run.config)
    sentence = "objects: object_02 (pair) and object_01 are one object now, object_02 (pair)."
    assert change("merge", "pair", "1") == (0, sentence)
    assert [each.name for each in objects_of(run.config)] == [each.name for each in before if each.number != 1]
    inside = "objects: object_01 is merged into object_02 (pair); name that one, or split it first."
    for words in (["hide", "object_01"], ["rename", "object_01", "mug"]):
        assert change(*words) == (1, f"disconerf: {inside}")
    with pytest.raises(UserError, match=re.escape(inside)):
        load(run.config).find("object_01")
    assert change("undo") == (
        0,
        "objects: the last change (merging of object_01) is taken back; `disconerf objects redo` makes it again.",
    )
    assert change("redo") == (0, "objects: the change (merging of object_01) is made again.")
    assert change("split", "pair") == (
        0,
        "objects: object_02 (pair) is split now, into object_02 (pair) and object_01.",
    )
    assert objects_of(run.config) == before
    assert change("undo")[1].startswith("objects: the last change (taking apart of object_01) is taken back")
    assert change("redo") == (0, "objects: the change (taking apart of object_01) is made again.")


def test_what_is_merged_into_a_hidden_object_is_said_to_be_hidden(run: Run, change) -> None:
    change("hide", "2")
    assert (
        change("merge", "2", "1")[1]
        == "objects: object_02 and object_01 are one object now, object_02, which is hidden."
    )


def test_all_changes_are_taken_back_at_once(run: Run, change) -> None:
    assert change("reset") == (1, "disconerf: objects: nothing is changed; the objects are as training found them.")
    change("rename", "1", "mug")
    change("hide", "mug")
    before = Edit.load(run.folder / EDIT, load_manifest(manifest_of(run.config)).tree)
    code, said = change("reset")
    assert code == 0 and "all changes are taken back; `disconerf objects undo`" in said
    assert titles(run.config) == {} and hidden(run) == []
    assert change("undo")[1] == (
        "objects: the last change (showing of object_01 (mug); loss of the name of object_01 (mug)) is taken back; "
        "`disconerf objects redo` makes it again."
    )
    assert Edit.load(run.folder / EDIT, load_manifest(manifest_of(run.config)).tree) == before


def tree_line(run: Run, name: str, capsys: pytest.CaptureFixture) -> str:
    """The line of an object in the tree of objects."""
    assert main(["objects", "--load-config", str(run.config), "--tree"]) == 0
    return next(line for line in capsys.readouterr().out.splitlines() if name in line)


def test_the_tree_says_what_merging_made_of_an_object(run: Run, change, capsys: pytest.CaptureFixture) -> None:
    """A merged object had neither a dot nor a word there."""
    assert "now" not in tree_line(run, "object_01", capsys)
    assert change("merge", "1", "2")[0] == 0
    into = objects_of(run.config)[1].name
    other = {"object_01": "object_02", "object_02": "object_01"}[into]
    assert f", part of {into} now" in tree_line(run, f"{other} ", capsys)


def test_objects_that_have_to_be_named_are_not_called_optional(capsys: pytest.CaptureFixture) -> None:
    for command in ("merge", "split", "hide", "show", "move"):
        with pytest.raises(SystemExit):
            main(["objects", command, "--help"])
        told = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert ("(default: all)" if command == "show" else "(required)") in told.split("options")[0]
        assert "(default: )" not in told


def test_an_object_is_split_into_its_pieces(run: Run, opened_run: None, opened, change, halves, capsys) -> None:
    count = len(objects_of(run.config))
    further = f"object_{sum(each.number is not None for each in objects_of(run.config)):02d}"
    assert change("split", "1") == (0, f"objects: object_01 is split now, into object_01 and {further}.")
    assert len(objects_of(run.config)) == count + 1
    assert f", without {further} now" in tree_line(run, "object_01", capsys)
    opened.clear()
    assert change("merge", "2", further)[0] == 0
    assert opened == [run.config], "the run was loaded to find the names, and then again"
    inside = f"objects: {further} is merged into object_02; name that one, or split it first."
    for words in (["hide", further], ["move", further, "--by", "1", "0", "0"]):
        assert change(*words) == (1, f"disconerf: {inside}")


def test_a_whole_of_the_tree_is_split_into_its_parts_and_merged_again(tree_run: Path, capsys) -> None:
    before = objects_of(tree_run)
    (pair,) = [each.name for each in before if len(each.slots) == 2]
    code, line = said(capsys, tree_run, "split", pair)
    parts = line.removesuffix(".").split("into ")[1].split(" and ")
    assert code == 0 and line.startswith(f"objects: {pair} is split now") and len(parts) == 2
    assert said(capsys, tree_run, "split", pair)[1].endswith(
        f"{pair} is shown as its parts, or in a larger object; `disconerf objects --tree` shows which, "
        "and `disconerf objects granularity` or `undo` changes it."
    )
    assert said(capsys, tree_run, "merge", *parts)[1].endswith(f"are one object now, {pair}.")
    assert objects_of(tree_run) == before
    for name in ("edit.json", "edit_history.json"):
        (tree_run.parent / name).unlink()


def test_a_granularity_stays_for_all_commands(tree_run: Path, capsys) -> None:
    fine = [each.name for each in objects_of(tree_run, 1.0)]
    assert fine != [each.name for each in objects_of(tree_run)]
    code, line = said(capsys, tree_run, "granularity", "1")
    assert code == 0 and line == f"objects: these are {len(fine)}: {', '.join(fine)}."
    assert [each.name for each in objects_of(tree_run)] == fine
    assert said(capsys, tree_run, "hide", fine[-2])[0] == 0
    assert said(capsys, tree_run, "undo")[0] == 0 and "(granularity)" in said(capsys, tree_run, "undo")[1]
    assert [each.name for each in objects_of(tree_run)] != fine
    for name in ("edit.json", "edit_history.json"):
        (tree_run.parent / name).unlink(missing_ok=True)


def test_changes_are_taken_back_and_made_again(run: Run, change) -> None:
    for name in ("a", "b", "c"):
        change("rename", "1", name)
    assert change("undo")[0] == change("undo")[0] == 0 and titles(run.config) == {"object_01": "a"}
    assert change("redo") == (0, "objects: the change (name of object_01 (b)) is made again.")
    assert titles(run.config) == {"object_01": "b"}
    change("rename", "2", "x")
    assert change("redo") == (1, "disconerf: objects: there is nothing to redo.")
    for _ in range(3):
        assert change("undo")[0] == 0
    assert titles(run.config) == {} and change("undo")[0] == 1


def test_what_was_saved_in_the_viewer_between_two_commands_is_not_lost(run: Run, change) -> None:
    change("rename", "1", "a")
    one, two = (each.id for each in objects_of(run.config)[1:3])
    by_hand = Edit().rename(one, "by hand").recolor(two, (1.0, 0.0, 0.0))
    by_hand.save(run.folder / "edit.json")
    saved = (run.folder / "edit.json").read_text()
    change("undo")
    assert titles(run.config) == {"object_01": "a"}
    change("redo")
    assert (run.folder / "edit.json").read_text() == saved
    change("hide", "1")
    said = change("undo")[1]
    assert said.startswith("objects: the last change (hiding of object_01 (") and said.endswith("makes it again.")
    assert (run.folder / "edit.json").read_text() == saved


def test_a_change_of_other_objects_is_not_gone_back_to(run: Run, change) -> None:
    """Training on may find other objects; `undo` wrote an edit that no command could read then."""
    change("hide", "1"), change("hide", "2")
    file = run.config.parent / HISTORY
    content = json.loads(file.read_text())
    content["states"][content["now"] - 1]["hidden"] = [4000]
    file.write_text(json.dumps(content))
    before = (run.config.parent / EDIT).read_text()
    with pytest.raises(UserError, match="fits these objects no longer"):
        History(run.config, load_manifest(manifest_of(run.config)).tree).travel(-1)
    assert (run.config.parent / EDIT).read_text() == before


def test_what_differs_between_two_edits() -> None:
    one = {"granularity": 0.5, "hidden": [3, 4], "names": {"1": "a", "2": "b"}, "split": {"5": 2}}
    other = {"granularity": 0.7, "hidden": [4, 6], "names": {"1": "c", "2": "b"}, "split": {"5": 2}}
    taken = {("granularity", True): [], ("hidden", False): [3], ("hidden", True): [6], ("names", True): [1]}
    assert differences(one, other) == taken
    assert differences({}, {"hidden": [2]}) == {("hidden", True): [2]}
    assert differences({"hidden": [2]}, {}) == {("hidden", False): [2]}
    assert differences(one, one) == {}
    first = differences({}, {"granularity": 0.5, "hidden": [], "names": {"1": "a"}})
    assert first == {("names", True): [1]}, "the first edit"


def test_every_entry_of_an_edit_has_words_for_undo() -> None:
    assert {entry for entry, _ in CHANGES} == {"granularity", *SETS, *MAPPINGS}
