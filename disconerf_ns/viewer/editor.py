"""The one that edits the current scene: any thread may ask, changes are made one by one and can be undone."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import NamedTuple

from nerfstudio.utils.rich_utils import CONSOLE

from disconerf_ns.errors import UserError
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import ObjectId

_log = logging.getLogger(__name__)

STEPS = 100
"""Changes that can be undone."""
TOGETHER = 1.0
"""Seconds within which changes of the same thing, such as a colour that is dragged, are undone together."""
SHOWN_EVERY = 0.1
"""Seconds between two looks at a flood of wishes."""

Tell = Callable[[str], None]
"""Shows a person a sentence."""


class _Wish(NamedTuple):
    """A change that a person asked for."""

    what: Hashable
    """Later wishes about the same thing take its place; None if none may."""
    make: Callable[[], None]
    tell: Tell
    """Tells the one who asked why it cannot be made."""


class Editor:
    """Edits of the current scene, and the changes before and after.

    Args:
        current: what is edited; each change makes another scene current.
        tell: shows everybody a sentence.
    """

    def __init__(self, current: CurrentScene, tell: Tell = CONSOLE.log):
        self.current, self.tell = current, tell
        self.listeners: list[Callable[[], None]] = []
        """Called after changes."""
        self._wishes: deque[_Wish] = deque()
        self._asking, self._asked = threading.Lock(), threading.Event()
        self._turn = threading.Lock()
        self._past: list[Edit] = []
        self._future: list[Edit] = []
        self._last: tuple[Hashable, float] = None, 0.0

    # ---------------------------------------------------------------- the queue

    def ask(self, wish: Callable[..., None], *arguments, what: Hashable = None, tell: Tell | None = None) -> None:
        """Put a wish into the queue; returns at once.

        Args:
            wish: called with the arguments.
            what: the wish takes the place of the last one in the queue if that is about the same thing: a value that is
                dragged, or a click that replaces the one before, is made once however often it is asked for.
            tell: tells the one who asks if the wish cannot be made; everybody by default.
        """
        with self._asking:
            if what is not None and self._wishes and self._wishes[-1].what == what:
                self._wishes.pop()
            self._wishes.append(_Wish(what, lambda: wish(*arguments), tell or self.tell))
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the next wish, some seconds at most; whether there is one."""
        return self._asked.wait(seconds)

    @property
    def waiting(self) -> bool:
        """Whether there are wishes that are not made yet."""
        return bool(self._wishes)

    def drain(self) -> None:
        """Make all wishes. One that cannot be made is told to the person; nothing is raised.

        Of many wishes, those that are made are shown now and then, so that no picture waits for the last one.
        """
        with self._turn:
            self._asked.clear()
            shown, made = time.monotonic(), 0
            for _ in range(len(self._wishes)):  # later ones wait, so that a flood has an end
                with self._asking:
                    if not self._wishes:  # one took the place of another
                        break
                    wish = self._wishes.popleft()
                self.attempt(wish.make, wish.tell)
                made += 1
                if time.monotonic() - shown > SHOWN_EVERY:
                    self._show()
                    shown, made = time.monotonic(), 0
            if made:
                self._show()

    def _show(self) -> None:
        for listener in list(self.listeners):
            self.attempt(listener, self.tell)

    def attempt(self, action: Callable[[], None], tell: Tell) -> None:
        """Do something; whatever is raised is told, and logged where it is no mistake of a person."""
        try:
            action()
        except UserError as error:
            tell(str(error))
        except Exception as error:
            _log.exception("a change failed")
            tell(f"That did not work ({type(error).__name__}: {error}); the log has the details.")

    # ---------------------------------------------------------------- wishes that are about no selection

    @property
    def scene(self) -> ArrangedScene:
        """The scene as it is now."""
        return self.current.value

    @property
    def edit(self) -> Edit:
        """The edit as it is now."""
        return self.scene.edit

    def look(self, **options) -> None:
        """Look at the scene in another way; `options` are fields of `SceneOptions`."""
        self.current.replace(lambda scene: scene.with_options(**options))

    def change(self, edit: Edit, what: Hashable = None) -> None:
        """Take a new edit; `what` names the thing that changes if its changes are undone together.

        Raises:
            UserError: the scene cannot have the edit, which could then not be loaded again; the old one stays.
        """
        if fault := edit.fault(self.scene.trained.tree):
            raise UserError(f"That cannot be: {fault}.")
        now = time.monotonic()
        if what is None or self._last[0] != what or now - self._last[1] > TOGETHER:
            self._past = [*self._past[-STEPS + 1 :], self.edit]
        self._last, self._future = (what, now), []
        self.current.replace(lambda scene: scene.with_edit(edit))

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to be taken back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether a change was taken back that can be made again."""
        return bool(self._future)

    def undo(self) -> None:
        """Take the last change back."""
        self._travel(self._past, self._future)

    def redo(self) -> None:
        """Make the change again that was taken back."""
        self._travel(self._future, self._past)

    def _travel(self, source: list[Edit], other: list[Edit]) -> None:
        if not source:
            raise UserError("There is nothing more to undo or redo.")
        other.append(self.edit)
        edit = source.pop()
        self.current.replace(lambda scene: scene.with_edit(edit))
        self._last = None, 0.0

    def toggle(self, *ids: ObjectId) -> None:
        """Hide objects, or show them if all of them are hidden."""
        edit = self.edit
        self.change(edit.show(*ids) if edit.hidden.issuperset(ids) else edit.hide(*ids))

    def show_all(self) -> None:
        """Hide nothing."""
        self.change(self.edit.show_all())

    def refine(self, granularity: float) -> None:
        """Show finer or coarser objects, from 0, the coarsest, to 1."""
        self.change(self.edit.at(granularity), "granularity")
