"""Errors that the user can fix: each message is one sentence with the remedy."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake that the user can fix; its message is one sentence that names the file, the value and the remedy."""


class MaskError(UserError):
    """Missing or broken masks."""
