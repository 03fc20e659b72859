"""The part of the panel that orders films."""

from __future__ import annotations

import viser


class FilmFields:
    """How a film is to be, its progress, and a button that stops it."""

    def __init__(self, gui: viser.GuiApi):
        self.gui = gui

    def refresh(self, selected: bool) -> None:
        """Grey out what can do nothing."""
