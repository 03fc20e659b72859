"""Errors that the user can fix: each message is one sentence with the remedy."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake that the user can fix; its message is one sentence that names the file, the value and the remedy."""


class MaskError(UserError):
    """Missing or broken masks."""


def reason(error: BaseException) -> str:
    """First line of an exception's message, at most 320 characters, or the exception's type if it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0][:320] if lines else type(error).__name__


def cause(error: BaseException) -> str:
    """The same without the path of a file, which an `OSError` repeats."""
    return error.strerror if isinstance(error, OSError) and error.strerror else reason(error)
