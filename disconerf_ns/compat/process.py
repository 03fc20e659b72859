"""Changes of the process that nerfstudio's commands need, made when a run of ours begins and in no other command."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from weakref import WeakMethod

from disconerf_ns.compat.ffmpeg import ensure_ffmpeg
from disconerf_ns.consoles import escape_what_cannot_be_shown
from disconerf_ns.errors import UserError


def prepare_process() -> None:
    """Make `ffmpeg` found on PATH, print on consoles of any encoding, and a `UserError` as one sentence."""
    ensure_ffmpeg()
    escape_what_cannot_be_shown()
    show_user_errors_plainly()


def show_user_errors_plainly() -> None:
    """Print a `UserError` that ends the program as one sentence instead of a traceback; all else is left alone.

    nerfstudio's commands have no place for a plugin's messages, so this hooks the interpreter's last resort.
    """
    previous = sys.excepthook
    if getattr(previous, "shows_user_errors", False):
        return

    def hook(kind, error, trace):
        if issubclass(kind, UserError):
            print(f"disconerf: {error}", file=sys.stderr)
        else:
            previous(kind, error, trace)

    hook.shows_user_errors = True
    sys.excepthook = hook


def before_threads_end(method: Callable[[], None]) -> None:
    """Call a method when Python ends, unless its object is gone by then.

    `atexit` would be too late: Python waits for the threads of all pools before, and those who ask a pool for more work
    get an error.
    """
    alive = WeakMethod(method)

    def call() -> None:
        if (bound := alive()) is not None:
            bound()

    threading._register_atexit(call)  # pyright: ignore[reportAttributeAccessIssue]
