"""Ctrl-C and SIGTERM while a run trains: the step is finished and saved, and the exit code tells that it was stopped.

nerfstudio's launcher answers Ctrl-C with a traceback and exit code 0, so `ns-train ... && next` goes on, and SIGTERM
ends the process at once; neither saves anything.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from nerfstudio.utils.rich_utils import CONSOLE

from disconerf_ns.compat.signals import handled_by


class Stopped(Exception):
    """Work that can be done again later was left because the run shall stop."""


class StopRequest:
    """A stop that a person asked for by a signal. A second signal ends the process at once.

    Args:
        tell: called once, by the first signal.
    """

    def __init__(self, tell: Callable[[], None]):
        self._tell = tell
        self._leave_at_once = False
        self.signal: int | None = None
        """The first signal; None as long as there was none."""

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.signal or 0)

    def heard(self) -> AbstractContextManager[None]:
        """Hear signals."""
        return handled_by(dict.fromkeys((signal.SIGINT, signal.SIGTERM), self._hear))

    def unheard(self) -> AbstractContextManager[None]:
        """Leave signals to Python and the system."""
        return handled_by({signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL})

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal end what is done here at once, since it can be done again.

        Raises:
            Stopped: a signal came before or while it was done.
        """
        self._leave_at_once = True
        try:
            if self.signal is not None:
                raise Stopped
            yield
        finally:
            self._leave_at_once = False

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            CONSOLE.print("Stopped at once; the last checkpoint is kept.")
            sys.exit(128 + number)
        self.signal = number
        self._tell()
        if self._leave_at_once:
            raise Stopped
