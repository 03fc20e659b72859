"""The part of the panel that orders films."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import viser

from disconerf_ns.viewer.film import CHOICES, Filming, FilmOptions
from disconerf_ns.viewer.status import as_markdown
from disconerf_ns.viewer.tools import Tool, Toolbar


@runtime_checkable
class Films(Protocol):
    """Films of the person who sees the fields, and of others."""

    filming: Filming
    """The person's own."""

    @property
    def films_of_others(self) -> Sequence[Filming]:
        """Films being made that other pages ordered."""
        ...

    def film(self) -> None:
        """Film the selection."""

    def cancel_film(self) -> None:
        """Stop the person's film."""


class FilmFields:
    """Fields for a film's size, length and format, the progress of all films, and a button that stops the person's own.

    Args:
        films: what is being made.
        ask: puts an action into the queue of wishes.
        useful: whether something is selected.
    """

    def __init__(
        self,
        gui: viser.GuiApi,
        films: Films,
        ask: Callable[[Callable[[], None]], None],
        useful: Callable[[], bool],
    ):
        default, self.films = FilmOptions(), films
        with gui.add_folder("Film", expand_by_default=films.filming.running):
            self.others = gui.add_markdown("", visible=False)
            self.bar = gui.add_progress_bar(0.0, visible=False, animated=True)
            self.tools = Toolbar(
                gui,
                (
                    Tool("film", "Film the selected object on a circle, from this side on; the film is downloaded",
                         films.film, lambda: useful() and not films.filming.running, wide=True),
                    Tool("cancel", "Stop the film", films.cancel_film, lambda: films.filming.running, wide=True),
                ),
                ask,
            )  # fmt: skip
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

    @property
    def options(self) -> FilmOptions:
        """What the film is to be like.

        Raises:
            UserError: the format cannot do what is asked.
        """
        return FilmOptions(int(self.size.value), int(self.seconds.value), self.format.value, self.background.value)

    def show_progress(self) -> None:
        """Show how far films are."""
        own = self.films.filming
        self.bar.visible, self.bar.value = own.running, 100 * own.part
        lines = [
            f"A film of {as_markdown(each.label)} for another page: {100 * each.part:.0f} %"
            for each in self.films.films_of_others
        ]
        if self.others.content != (content := "  \n".join(lines)):
            self.others.content, self.others.visible = content, bool(content)
