"""nerfstudio's question who calls it, answered without reading the callers' source code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType, SimpleNamespace

from nerfstudio.configs import external_methods


def name_callers_only() -> None:
    """Let nerfstudio begin sooner: it asks for its caller's name once for each method that it offers to install.

    `inspect.stack` looks for the source of every caller in every module that is loaded, which takes a second in all,
    and five in a process that has loaded much. The answer is needed while `nerfstudio.configs.method_configs` is
    imported for the first time.
    """
    external_methods.inspect = SimpleNamespace(stack=lambda: list(_called(sys._getframe(1))))  # type: ignore


def _called(frame: FrameType | None) -> Iterator[SimpleNamespace]:
    """Name each function on the call stack as an entry of `inspect.stack`, the innermost first."""
    while frame is not None:
        yield SimpleNamespace(function=frame.f_code.co_name)
        frame = frame.f_back
