"""A user's mistake is one sentence, whichever command meets it."""

from __future__ import annotations

import sys


class UserError(ValueError):
    """A mistake that the user can mend; its message names the file, the value and the remedy."""


class MaskError(UserError):
    """Masks that are missing or broken; one sentence that names the file, the value and the remedy."""


def show_user_errors_plainly() -> None:
    """Print a `UserError` that ends a program as one sentence instead of a traceback; all else is left alone.

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
