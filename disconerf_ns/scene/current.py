"""The one place that says which scene is current: threads read a value once and replace it one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from disconerf_ns.scene.arranged import ArrangedScene


class CurrentScene:
    """The arranged scene as it is now."""

    def __init__(self, scene: ArrangedScene):
        self._scene, self._turn, self._changing = scene, threading.RLock(), False

    @property
    def value(self) -> ArrangedScene:
        """The scene; it stays as it is, also when another one becomes current."""
        return self._scene

    def replace(self, change: Callable[[ArrangedScene], ArrangedScene]) -> ArrangedScene:
        """Make another scene current, from the one that is; no change of another thread comes between.

        Args:
            change: gives the new scene.
        Raises:
            RuntimeError: `change` replaces the current scene itself.
        """
        with self._turn:
            if self._changing:
                raise RuntimeError("a change of the current scene has replaced it itself")
            self._changing = True
            try:
                self._scene = change(self._scene)
            finally:
                self._changing = False
            return self._scene
