"""Functions of nerfstudio that are running, whose local values tell what they do not pass on."""

from __future__ import annotations

import sys
from types import FrameType


def calling_frame(module: str, function: str) -> FrameType | None:
    """The innermost running call of a module's function in this thread; None if it is not running."""
    frame = sys._getframe(1)
    while frame is not None and (frame.f_globals.get("__name__"), frame.f_code.co_name) != (module, function):
        frame = frame.f_back
    return frame
