"""The edit between the viewer and the run's folder: saved when a person says so, and kept beside it until then."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from disconerf_ns.compat.folder_lock import holds
from disconerf_ns.errors import UserError
from disconerf_ns.scene.edit import Edit, draft_of
from disconerf_ns.viewer.editor import Editor

LOCK = "viewer.lock"
EVERY = 2.0
"""Seconds between two looks at whether there is something to keep, or another viewer was closed."""


class Draft:
    """Changes that nobody has saved: a viewer that stops does not lose them, and the next one begins with them.

    Args:
        editor: who makes the changes.
        file: gives the file of the saved edit.
    """

    def __init__(self, editor: Editor, file: Callable[[], Path]):
        self.editor, self._file = editor, file
        self._kept: Edit | None = None
        self._known = self._text()
        """Text of the saved edit's file when this viewer last read or wrote it; a command may have changed it since."""
        self._looked = -EVERY
        self.begun = False
        """Whether the changes of a session before have been taken; until then nothing is kept in their place."""
        self._restored: Edit | None = None
        self._guest_with: Edit | None = None
        """The edit with which this viewer began while another one had the run; None if it is alone."""
        self.warning = ""
        """Why changes that nobody saves are lost, as long as they are."""
        self._lock: IO[str] | None = None

    @property
    def file(self) -> Path:
        """File of the changes that nobody has saved."""
        return draft_of(self._file())

    @property
    def greeting(self) -> str:
        """Tells a page that opens that changes of the last session are here; empty once anything else has changed."""
        if self.editor.edit != self._restored:
            return ""
        return "Changes that were not saved last time are here again; undo takes all of them back."

    def begin(self) -> None:
        """Take the changes that a session before did not save; `undo` takes them back.

        Raises:
            UserError: another viewer is open on the run, and its changes are its own; or the file holds none, or they
                are about other objects, and it gets another name.
        """
        self._known = self._text()
        if not self._alone():
            self._guest_with = self.editor.edit
            self.warning = (
                "Another viewer has this run open. Until that one is closed, what is changed here is lost when this "
                "viewer stops, unless it is saved (More, save edit); it then replaces what the other viewer saved."
            )
            raise UserError(self.warning)
        self._be_alone()
        edit = self._unsaved()
        if edit not in (None, self.editor.edit):
            self.editor.change(edit)
            self._restored = self.editor.edit
            self.editor.tell(self.greeting)

    def _be_alone(self) -> None:
        self.begun, self.warning, self._guest_with = True, "", None

    def _succeed(self) -> None:
        """Take over from a viewer that was closed.

        Changes made here stay, and *undo* brings those of the closed viewer. Its changes are taken where nothing was
        changed here.
        """
        if self._guest_with is None:
            return
        mine, unchanged = self.editor.edit, self.editor.edit == self._guest_with
        self._be_alone()
        left, file = self._unsaved(), self._file()
        if left is None and self._text() != self._known:
            left = self._saved()
        elif left is not None and not unchanged:
            file = self._put_aside()
        self._known = self._text()
        said = "The other viewer of this run was closed; what is changed here is kept from now on."
        if left not in (None, mine):
            self.editor.change(left)
            if unchanged:
                said += " What was changed there is here now; undo takes it back."
            else:
                self.editor.change(mine)
                said += f" Undo shows what was changed there, which is in {file}; redo brings back what is here."
        self.editor.tell(said)

    def _unsaved(self) -> Edit | None:
        """The changes that another session left unsaved.

        Raises:
            UserError: they are about other objects, and their file gets another name.
        """
        if not self.file.exists():
            return None
        try:
            return Edit.load(self.file, self.editor.scene.trained.tree)
        except UserError as error:
            raise UserError(f"Changes that were not saved are in {self._put_aside()} now: {error}") from error

    def _put_aside(self) -> Path:
        return self.file.replace(self.file.with_suffix(".old.json"))

    def _alone(self) -> bool:
        """Lock the run's folder; of several viewers only the one that holds the lock keeps its unsaved changes."""
        if self._lock is None:
            try:
                self._lock = (self.file.parent / LOCK).open("a")
            except OSError:  # it cannot be written, which is said when there is something to keep
                return True
        return holds(self._lock)

    def close(self) -> None:
        """Keep what is not saved, and let another viewer have the folder.

        Raises:
            UserError: it cannot be written.
        """
        try:
            self.keep(at_once=True)
        finally:
            if self._lock is not None:
                self._lock.close()
            self._lock, self.begun, self._guest_with = None, False, None

    def keep(self, at_once: bool = False) -> None:
        """Write changes that are not saved, every few seconds at most unless it has to be at once.

        Raises:
            UserError: they cannot be written; it is said once, and nothing is kept any more.
        """
        now, edit = time.monotonic(), self.editor.edit
        if self._guest_with is not None and now - self._looked >= EVERY:
            self._looked = now
            if self._alone():
                self.editor.ask(self._succeed)
        if not self.begun or edit == self._kept or (now - self._looked < EVERY and not at_once):
            return
        self._looked, self._kept = now, edit
        try:
            if self.is_saved:
                self.file.unlink(missing_ok=True)
            else:
                edit.save(self.file)
        except OSError as error:
            self.begun = False
            self.warning = (
                f"{self.file} cannot be written ({error.strerror}): what nobody saves is lost when the viewer stops."
            )
            raise UserError(self.warning) from error

    def save(self) -> None:
        """Write the edit into the run's folder, and tell everybody."""
        path, changed = self._file(), self._text() not in (self._known, None)
        self.editor.edit.save(path)
        self._settle()
        said = f"The edit is in {path}; `ns-render` shows it as the output `edited`."
        if changed and self._guest_with is not None:
            said += " The other viewer had changed it meanwhile, which is replaced."
        elif changed:
            said += " A command had changed it meanwhile; `disconerf objects undo` brings that back."
        self.editor.tell(said)

    def load(self) -> None:
        """Take the edit of the run's folder, which can be undone.

        Raises:
            UserError: there is none, or it is about other objects.
        """
        path = self._file()
        if not path.exists():
            raise UserError(f"There is no {path} yet; save an edit first.")
        self.editor.change(Edit.load(path, self.editor.scene.trained.tree))
        self._settle()

    @property
    def is_saved(self) -> bool:
        """Whether the file holds the edit as it is now."""
        return self.editor.edit == self._saved()

    def _settle(self) -> None:
        self._known, self._kept = self._text(), None
        self.keep(at_once=True)

    def _text(self) -> str | None:
        path = self._file()
        return path.read_text() if path.exists() else None

    def _saved(self) -> Edit:
        """The edit that the file holds; none where there is no file, or one that does not fit."""
        try:
            return Edit.load(self._file(), self.editor.scene.trained.tree) if self._file().exists() else Edit()
        except UserError:
            return Edit()
