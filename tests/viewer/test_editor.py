"""Changes that a person asks for: made in their order, one at a time, never raising, and taken back."""

from __future__ import annotations

import itertools
import math
import random
import threading
from pathlib import Path

import pytest
import torch

from disconerf_ns.errors import UserError
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.edit_entries import MOST_PLACES
from disconerf_ns.scene.names import LONGEST
from disconerf_ns.scene.similarity import Similarity, Vector
from disconerf_ns.viewer import editor as editor_module
from disconerf_ns.viewer.draft import Draft
from disconerf_ns.viewer.editor import STEPS, Editor
from disconerf_ns.viewer.selection import BESIDE, Selection


@pytest.fixture
def hand(editor: Editor) -> Selection:
    return Selection(editor)


def do(editor: Editor, wish, *arguments) -> None:
    """Ask for a change and have it made."""
    editor.ask(wish, *arguments)
    editor.drain()


def ids(editor: Editor) -> list[int]:
    return [each.id for each in editor.scene.objects]


def test_every_change_can_be_taken_back_and_made_again(editor: Editor, hand: Selection) -> None:
    first, second, *_ = ids(editor)
    edits = [editor.edit]
    for selected, change in (
        ([first], hand.toggle),
        ([second], hand.isolate),
        ([second], lambda: hand.recolor((1.0, 0.0, 0.0))),
        ([first], lambda: hand.rename("ball")),
        ([first, second], hand.merge),
        ([first], hand.split),
        ([first], editor.show_all),
        ([second], hand.reset_colors),
    ):
        do(editor, hand.select, selected)
        do(editor, change)
        edits.append(editor.edit)
    assert editor.told == []
    assert all(one != other for one, other in itertools.pairwise(edits))
    for edit in reversed(edits[:-1]):
        do(editor, editor.undo)
        assert editor.edit == edit
    for edit in edits[1:]:
        do(editor, editor.redo)
        assert editor.edit == edit


def test_a_new_change_forgets_what_was_taken_back(editor: Editor, hand: Selection) -> None:
    do(editor, hand.select, ids(editor)[:1])
    do(editor, hand.toggle)
    do(editor, editor.undo)
    do(editor, hand.rename, "ball")
    do(editor, editor.redo)
    assert editor.told == ["There is nothing more to undo or redo."]
    assert editor.edit == Edit(names={ids(editor)[0]: "ball"})


@pytest.mark.parametrize("name", ["7", "object_99"])
def test_a_name_that_commands_read_otherwise_is_refused(editor: Editor, hand: Selection, name: str) -> None:
    do(editor, hand.select, ids(editor)[:1])
    do(editor, hand.rename, name)
    assert editor.told == [f"This cannot be its name: {name} is what objects without a name are called; give another."]
    assert editor.edit == Edit()


def test_a_colour_that_is_dragged_is_one_change(editor: Editor, hand: Selection) -> None:
    do(editor, hand.select, ids(editor)[:1])
    for red in range(10):
        do(editor, hand.recolor, (red / 10, 0.0, 0.0))
    do(editor, editor.undo)
    assert editor.edit == Edit()


def test_changes_are_kept_up_to_a_number(editor: Editor, hand: Selection) -> None:
    do(editor, hand.select, ids(editor)[:1])
    for _ in range(STEPS + 11):
        do(editor, hand.toggle)
    for _ in range(STEPS):
        do(editor, editor.undo)
    assert editor.told == []
    do(editor, editor.undo)
    assert len(editor.told) == 1


def test_selecting_replaces_adds_and_lets_go(editor: Editor, hand: Selection) -> None:
    a, b, c, *_ = ids(editor)
    do(editor, hand.select, [a, b])
    do(editor, hand.select, [c], True)
    assert hand.ids == (a, b, c)
    do(editor, hand.select, [b], True)
    assert hand.ids == (a, c)
    do(editor, hand.select, [b])
    assert hand.ids == (b,)


def test_hiding_and_isolating_twice_show_again(editor: Editor, hand: Selection) -> None:
    a, b, *_ = ids(editor)
    do(editor, hand.select, [a])
    do(editor, hand.toggle)
    assert editor.edit.hidden == {a}
    do(editor, hand.select, [b], True)
    do(editor, hand.toggle)
    assert editor.edit.hidden == {a, b}, "one was shown, so all are hidden"
    do(editor, hand.toggle)
    assert editor.edit.hidden == set()
    do(editor, hand.isolate)
    assert set(ids(editor)) - editor.edit.hidden == {a, b}
    do(editor, hand.isolate)
    assert editor.edit.hidden == set()


def test_merging_and_splitting_undo_each_other(editor: Editor, hand: Selection) -> None:
    a, b, c, *_ = ids(editor)
    do(editor, hand.select, [b, a, c])
    do(editor, hand.merge)
    assert editor.edit.merged == {a: b, c: b} and hand.ids == (b,)
    assert b in ids(editor) and a not in ids(editor)
    do(editor, hand.split)
    assert editor.edit == Edit() and set(hand.ids) == {a, b, c}


def test_parts_of_a_slot_become_objects(editor: Editor, hand: Selection, halves: None) -> None:
    slot, before = ids(editor)[0], len(ids(editor))
    do(editor, hand.select, [slot])
    do(editor, hand.split)
    slots = editor.scene.trained.slots
    assert editor.edit.split == {slot: 2} and hand.ids == (slot, slots)
    assert editor.scene.ids == slots + 1
    do(editor, editor.undo)
    assert len(ids(editor)) == before and hand.ids == (slot,) and editor.told == []


def test_the_parts_of_a_named_object_are_named_after_it(editor: Editor, hand: Selection, halves: None) -> None:
    """The name stayed with one of them."""
    slot, other, *_ = ids(editor)
    for id, name in ((other, "mugs 2"), (slot, "mugs")):
        do(editor, hand.select, [id])
        do(editor, hand.rename, name)
    do(editor, hand.split)
    assert [editor.scene.by_id[id].title for id in hand.ids] == ["mugs 1", "mugs 3"]
    assert editor.scene.by_id[other].title == "mugs 2"
    do(editor, editor.undo)
    assert hand.first.title == "mugs"
    do(editor, hand.rename, LONGEST * "m")
    do(editor, hand.split)
    assert [editor.scene.by_id[id].title for id in hand.ids] == [58 * "m" + " 1", 58 * "m" + " 2"]
    assert editor.told == []


def test_what_cannot_be_done_is_said(editor: Editor, hand: Selection) -> None:
    a, b, *_ = ids(editor)
    for selected, change in (
        ([], hand.toggle), ([], hand.isolate), ([], hand.merge), ([a], hand.merge),
        ([a, b], lambda: hand.rename("both")), ([], editor.undo), ([], editor.redo),
    ):  # fmt: skip
        do(editor, hand.select, selected)
        do(editor, change)
    assert len(editor.told) == 7 and all(sentence.endswith(".") for sentence in editor.told)
    assert editor.edit == Edit()


@pytest.mark.parametrize("right", [(1.0, 0.0, 0.0), (-0.6, 0.8, 0.0)])
def test_a_copy_is_put_to_the_right_as_the_person_sees_it(editor: Editor, right: Vector) -> None:
    """It was put along the scene's x axis, so behind the object where a person looks along that."""
    id, turned = ids(editor)[1], Similarity(scale=2.0, rotation=(math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)))
    hand = Selection(editor, lambda: right)
    do(editor, hand.select, [id])
    do(editor, hand.put, turned)
    do(editor, hand.copy)
    (own, copy), (low, high) = editor.edit.places_of(id), editor.scene.by_id[id].box
    corners = turned.points(torch.tensor(list(itertools.product(*zip(low, high)))))
    across = corners @ torch.tensor(right)
    width = float(across.max() - across.min())
    assert copy.translation == pytest.approx([BESIDE * width * part for part in right], abs=1e-5)
    assert (copy.rotation, copy.scale) == (own.rotation, own.scale)


def test_what_could_not_be_loaded_again_is_refused(editor: Editor, hand: Selection, tmp_path: Path) -> None:
    """A 65th copy was made, and the file with it was refused for ever."""
    do(editor, hand.select, ids(editor)[1:2])
    for _ in range(MOST_PLACES):
        do(editor, hand.copy)
    do(editor, hand.put, Similarity(translation=(1e10, 0.0, 0.0)))
    assert [said.partition(",")[0] for said in editor.told] == [
        f"That cannot be: an object stands in {MOST_PLACES + 1} places",
        "That cannot be: a translation is (10000000000.0",
    ]
    edit = editor.edit
    assert len(edit.places_of(ids(editor)[1])) == MOST_PLACES
    draft = Draft(editor, lambda: tmp_path / "edit.json")
    do(editor, draft.save)
    do(editor, draft.load)
    assert editor.edit == edit


def test_one_that_fails_does_not_stop_the_others(
    editor: Editor, hand: Selection, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    shown = []
    editor.listeners.append(lambda: shown.append(hand.ids))
    editor.ask(fail)
    editor.ask(hand.select, ids(editor)[:1])
    editor.drain()
    assert len(editor.told) == 1 and "ZeroDivisionError" in editor.told[0]
    assert "in fail" in caplog.text, "the log has the traceback"
    assert shown == [tuple(ids(editor)[:1])], "shown once, after all"
    editor.drain()
    assert len(shown) == 1, "nothing was asked for, so there is nothing to show"


def test_a_listener_that_fails_is_told_and_the_others_are_called(editor: Editor, hand: Selection) -> None:
    """It ended the thread that makes the wishes, or the training."""

    def fail() -> None:
        raise ZeroDivisionError

    shown = []
    editor.listeners += [fail, lambda: shown.append(True)]
    do(editor, hand.select, ids(editor)[:1])
    assert shown == [True] and len(editor.told) == 1 and "ZeroDivisionError" in editor.told[0]


def test_many_threads_ask_and_nothing_is_lost(editor: Editor) -> None:
    """Each thread's wishes are made in its order, each of them once, however many threads make them."""
    made: dict[int, list[int]] = {asker: [] for asker in range(8)}

    def ask(asker: int) -> None:
        for number in range(200):
            editor.ask(made[asker].append, number)
            if random.random() < 0.05:
                editor.drain()

    threads = [threading.Thread(target=ask, args=(asker,)) for asker in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    editor.drain()
    assert all(numbers == list(range(200)) for numbers in made.values())


def test_of_a_value_that_is_dragged_the_last_is_taken(editor: Editor) -> None:
    """10,000 values between two clicks are three wishes, in the order in which they were asked for."""
    made: list[object] = []
    editor.ask(made.append, "before")
    for number in range(10_000):
        editor.ask(made.append, number, what="size")
    editor.ask(made.append, "after")
    editor.ask(made.append, "again", what="size")
    editor.drain()
    assert made == ["before", 9999, "after", "again"]


def test_pictures_do_not_wait_for_the_last_of_many_clicks(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three wishes of 0.06 s each are shown after the second, when more than 0.1 s are over, and after the third."""
    now = 0.0

    def click() -> None:
        nonlocal now
        now += 0.06

    shown: list[float] = []
    monkeypatch.setattr(editor_module.time, "monotonic", lambda: now)
    editor.listeners.append(lambda: shown.append(round(now, 2)))
    for _ in range(3):
        editor.ask(click)
    editor.drain()
    assert shown == [0.12, 0.18]


def test_what_is_gone_is_no_longer_selected(editor: Editor, hand: Selection) -> None:
    a, b, *_ = ids(editor)
    do(editor, hand.select, [a])
    editor.change(Edit().merge([a], b))
    with pytest.raises(UserError, match="Select an object first"):
        hand.there()


def test_a_name_is_not_lost_when_its_object_is_merged(editor: Editor, hand: Selection) -> None:
    """Whichever was selected first: the whole has the name and the looks of the one that a person named."""
    first, second, *_ = ids(editor)
    do(editor, hand.select, [second])
    do(editor, hand.rename, "ball")
    do(editor, hand.select, [first, second])
    do(editor, hand.merge)
    assert hand.first.title == "ball" and hand.first.slots == {first, second} and editor.told == []
    do(editor, hand.split)
    assert [editor.scene.by_id[id].title for id in (first, second)] == ["", "ball"]
