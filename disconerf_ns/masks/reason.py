"""The one-line reason of an exception, for messages of one sentence."""

from __future__ import annotations


def reason(error: BaseException) -> str:
    """First line of an exception's message, at most 160 characters, or the exception's type if it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
