"""Edits are saved when a person says so; until then they are kept, and the next session begins with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from disconerf_ns.errors import UserError
from disconerf_ns.scene.edit import Edit
from disconerf_ns.viewer.draft import EVERY, Draft
from disconerf_ns.viewer.editor import Editor


@pytest.fixture
def draft(editor: Editor, tmp_path: Path) -> Draft:
    draft = Draft(editor, lambda: tmp_path / "edit.json")
    draft.begin()
    return draft


def again(editor: Editor, tmp_path: Path, saved: Edit, before: Draft | None = None) -> Draft:
    """The next session, which begins with the saved edit."""
    if before is not None:
        before.close()
    editor.current.replace(lambda scene: scene.with_edit(saved))
    editor.told.clear()
    draft = Draft(editor, lambda: tmp_path / "edit.json")
    draft.begin()
    return draft


def kept(editor: Editor, draft: Draft) -> Edit:
    return Edit.load(draft.file, editor.scene.trained.tree)


def test_edits_are_saved_and_loaded(editor: Editor, draft: Draft, tmp_path: Path) -> None:
    path, id = tmp_path / "edit.json", editor.scene.objects[0].id
    with pytest.raises(UserError, match="save an edit first"):
        draft.load()
    editor.toggle(id)
    draft.save()
    saved = editor.edit
    editor.undo()
    draft.load()
    assert editor.edit == saved
    editor.undo()
    assert editor.edit == Edit(), "loading can be undone"
    Edit(hidden=frozenset({10**6})).save(path)
    for text in (path.read_text(), "[]"):
        path.write_text(text)
        with pytest.raises(UserError, match=str(path)):
            draft.load()
    assert editor.edit == Edit() and editor.told == [
        f"The edit is in {path}; `ns-render` shows it as the output `edited`."
    ]


def test_what_is_not_saved_is_there_in_the_next_session_and_can_be_taken_back(
    editor: Editor, draft: Draft, tmp_path: Path
) -> None:
    first, second = (each.id for each in editor.scene.objects[:2])
    editor.toggle(first)
    draft.save()
    saved = editor.edit
    editor.toggle(second)
    changed = editor.edit
    draft = again(editor, tmp_path, saved, before=draft)
    assert editor.edit == changed and editor.told == [draft.greeting]
    assert draft.greeting == "Changes that were not saved last time are here again; undo takes all of them back."
    editor.undo()
    assert editor.edit == saved and not draft.greeting


def test_nothing_is_kept_of_what_is_saved_or_taken_back(editor: Editor, draft: Draft, tmp_path: Path) -> None:
    editor.toggle(editor.scene.objects[0].id)
    draft.keep(at_once=True)
    assert kept(editor, draft) == editor.edit
    draft.save()
    assert not draft.file.exists()
    editor.toggle(editor.scene.objects[1].id)
    draft.keep(at_once=True)
    editor.undo()
    draft.keep(at_once=True)
    assert not draft.file.exists()
    again(editor, tmp_path, editor.edit, before=draft)
    assert editor.told == []


def test_changes_are_kept_every_few_seconds(editor: Editor, draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    now, id = [100.0], editor.scene.objects[0].id
    monkeypatch.setattr("disconerf_ns.viewer.draft.time.monotonic", lambda: now[0])
    editor.change(editor.edit.rename(id, "a"))
    draft.keep()
    editor.change(editor.edit.rename(id, "b"))
    draft.keep()
    assert kept(editor, draft).names == {id: "a"}
    now[0] += EVERY
    draft.keep()
    assert kept(editor, draft).names == {id: "b"}


def test_nothing_is_kept_before_the_session_has_begun(editor: Editor, tmp_path: Path) -> None:
    """A run that goes on reads its objects and its edit after the viewer is there."""
    draft = Draft(editor, lambda: tmp_path / "edit.json")
    Edit().rename(editor.scene.objects[0].id, "ball").save(draft.file)
    draft.keep(at_once=True)
    assert draft.file.exists()
    draft.begin()
    assert list(editor.edit.names.values()) == ["ball"]


def test_changes_of_other_objects_are_put_aside(editor: Editor, tmp_path: Path) -> None:
    Edit(hidden=frozenset({10**6})).save(tmp_path / "edit_unsaved.json")
    with pytest.raises(UserError, match=r"not saved are in .*edit_unsaved\.old\.json now: .* does not fit"):
        again(editor, tmp_path, Edit())
    assert editor.edit == Edit() and (tmp_path / "edit_unsaved.old.json").exists()


def test_of_two_viewers_on_a_run_one_keeps_its_changes(editor: Editor, draft: Draft, tmp_path: Path) -> None:
    """Each wrote over what the other one had kept."""
    first, second = (each.id for each in editor.scene.objects[:2])
    editor.toggle(first)
    draft.keep(at_once=True)
    with pytest.raises(UserError, match="Another viewer has this run open"):
        again(editor, tmp_path, Edit())
    other = Draft(editor, lambda: tmp_path / "edit.json")
    editor.attempt(other.begin, editor.told.append)
    editor.toggle(second)
    other.keep(at_once=True)
    assert kept(editor, draft).hidden == {first} and editor.edit.hidden == {second}
    assert editor.told[-1] == other.warning and not draft.warning
    other.save()
    assert Edit.load(tmp_path / "edit.json", editor.scene.trained.tree).hidden == {second}
    assert kept(editor, draft).hidden == {first}, "what the first one kept is still there"
    draft.close()
    other.begin()
    assert other.begun and not other.warning, "the next one"


@pytest.fixture
def guest(editor: Editor, draft: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Draft:
    """A second viewer's, which looks all the time whether the first one is still there."""
    monkeypatch.setattr("disconerf_ns.viewer.draft.EVERY", 0.0)
    guest = Draft(editor, lambda: tmp_path / "edit.json")
    with pytest.raises(UserError):
        guest.begin()
    return guest


def leave_behind(draft: Draft, change: Callable[[], None], here: Edit) -> Edit:
    """Change something in the first viewer, whose editor is the test's, and close it; the second one shows `here`."""
    change()
    left = draft.editor.edit
    draft.close()
    draft.editor.current.replace(lambda scene: scene.with_edit(here))
    return left


def look_around(guest: Draft) -> None:
    guest.keep()
    guest.editor.drain()


ALONE = "The other viewer of this run was closed; what is changed here is kept from now on."


def test_a_second_viewer_takes_over_from_one_that_is_closed(editor: Editor, draft: Draft, guest: Draft) -> None:
    """It said for ever that what is changed in it is lost, and was right."""
    look_around(guest)
    assert guest.warning and not guest.begun
    draft.close()
    look_around(guest)
    assert editor.told == [ALONE] and not guest.warning
    editor.toggle(editor.scene.objects[0].id)
    guest.keep()
    assert kept(editor, guest) == editor.edit


@pytest.mark.parametrize("saved", [False, True])
def test_one_that_changed_nothing_goes_on_with_what_the_other_changed(
    editor: Editor, draft: Draft, guest: Draft, saved: bool
) -> None:
    def change() -> None:
        editor.toggle(editor.scene.objects[0].id)
        if saved:
            draft.save()

    left = leave_behind(draft, change, here=Edit())
    editor.told.clear()
    look_around(guest)
    assert editor.edit == left and guest.is_saved is saved
    assert editor.told == [f"{ALONE} What was changed there is here now; undo takes it back."]
    editor.undo()
    assert editor.edit == Edit()


@pytest.mark.parametrize("saved", [False, True])
def test_changes_of_neither_viewer_are_lost_when_one_takes_over(
    editor: Editor, draft: Draft, guest: Draft, saved: bool
) -> None:
    first, second = (each.id for each in editor.scene.objects[:2])

    def change() -> None:
        editor.toggle(first)
        if saved:
            draft.save()

    here = Edit().rename(second, "ball")
    left = leave_behind(draft, change, here)
    editor.told.clear()
    look_around(guest)
    guest.keep()
    assert editor.edit == here and kept(editor, guest) == here
    there = draft.file.with_name("edit.json" if saved else "edit_unsaved.old.json")
    undo = f"Undo shows what was changed there, which is in {there}; redo brings back what is here."
    assert editor.told == [f"{ALONE} {undo}"]
    editor.undo()
    assert editor.edit == left
    editor.redo()
    assert editor.edit == here
    editor.undo()
    editor.undo()
    assert editor.edit == here
    assert Edit.load(there, editor.scene.trained.tree) == left, "also after both are closed"


def test_saving_tells_what_a_command_changed_meanwhile(editor: Editor, draft: Draft, tmp_path: Path) -> None:
    """It was replaced in silence."""
    first, second = (each.id for each in editor.scene.objects[:2])
    editor.toggle(first)
    draft.save()
    Edit().rename(second, "ball").save(tmp_path / "edit.json")
    editor.toggle(second)
    draft.save()
    assert "A command had changed it meanwhile; `disconerf objects undo` brings that back." in editor.told[-1]
    draft.save()
    assert "meanwhile" not in editor.told[-1]


def test_a_second_viewer_that_saves_tells_that_it_replaces_what_the_first_one_saved(
    editor: Editor, draft: Draft, guest: Draft
) -> None:
    """It said that a command undoes that, which knows nothing of it."""
    editor.toggle(editor.scene.objects[0].id)
    draft.save()
    editor.toggle(editor.scene.objects[1].id)
    guest.save()
    assert editor.told[-1].endswith("The other viewer had changed it meanwhile, which is replaced.")


def test_a_folder_that_cannot_be_written_is_told_once(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    draft = Draft(editor, lambda: tmp_path / "run" / "edit.json")
    draft.begin()
    editor.toggle(editor.scene.objects[0].id)
    with pytest.raises(UserError, match=r"edit_unsaved\.json cannot be written \(.*\): what nobody saves is lost"):
        draft.keep(at_once=True)
    editor.toggle(editor.scene.objects[1].id)
    draft.keep(at_once=True)
