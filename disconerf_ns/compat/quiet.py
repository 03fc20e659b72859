"""Warnings of nerfstudio and torch about each other, which say nothing to who runs a command."""

from __future__ import annotations

import warnings

MESSAGES = (
    r"`torch\.cuda\.amp\.custom_(fwd|bwd)",
    "Using a non-tuple sequence for multidimensional indexing",
    "This DataLoader will create",
    "To copy construct from a tensor",
)
"""How they begin: nerfstudio's code is older than the names and indices of today's torch, and its number of worker
processes is the same on every machine."""


def hide_warnings() -> None:
    """Print none of them, unless Python was asked for warnings, as by `PYTHONWARNINGS=default`."""
    for message in MESSAGES:
        warnings.filterwarnings("ignore", message, append=True)
