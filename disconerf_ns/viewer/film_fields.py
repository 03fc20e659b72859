"""The part of the panel that orders films."""

from __future__ import annotations

from collections.abc import Callable

import viser

from disconerf_ns.viewer.film import CHOICES, FilmOptions
from disconerf_ns.viewer.tools import Tool, Toolbar


class FilmFields:
    """How a film is to be, its progress, and a button that stops it.

    Args:
        ask: puts an action into the queue of wishes.
        order: orders a film of the selection.
        cancel: stops the film.
        useful: whether something is selected.
    """

    def __init__(
        self,
        gui: viser.GuiApi,
        ask: Callable[[Callable[[], None]], None],
        order: Callable[[], None],
        cancel: Callable[[], None],
        useful: Callable[[], bool],
    ):
        default = FilmOptions()
        self.running = False
        """Whether a film is being made."""
        with gui.add_folder("Film", expand_by_default=False):
            self.size, self.seconds, self.format, self.background = (
                gui.add_dropdown(
                    name.capitalize(), tuple(map(str, CHOICES[name])), str(getattr(default, name)), hint=hint
                )
                for name, hint in (
                    ("size", "Side of the square picture in pixels"),
                    ("seconds", "Length of the turn around the object"),
                    ("format", "webm, mov, webp and gif can be transparent"),
                    ("background", "What is behind the object"),
                )
            )
            self.bar = gui.add_progress_bar(0.0, visible=False, animated=True)
            self.tools = Toolbar(
                gui,
                (
                    Tool("film", "Film the selected object on a circle, from this side on; the film is downloaded",
                         order, lambda: useful() and not self.running, wide=True),
                    Tool("cancel", "Stop the film", cancel, lambda: self.running, wide=True),
                ),
                ask,
            )  # fmt: skip

    @property
    def options(self) -> FilmOptions:
        """What the film is to be like.

        Raises:
            UserError: the format cannot do what is asked.
        """
        return FilmOptions(int(self.size.value), int(self.seconds.value), self.format.value, self.background.value)

    def refresh(self) -> None:
        """Grey out what can do nothing."""
        self.bar.visible = self.running
        self.tools.refresh()

    def progress(self, part: float) -> None:
        """Show how much of the film is done, in [0, 1]."""
        self.bar.value = 100 * part
