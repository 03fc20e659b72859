"""How far a run is, and the head of the panel that shows it: stage, progress, a plot of how the objects settle."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import viser

from disconerf_ns.compat.viser_panel import LentTab
from disconerf_ns.training.schedule import Stage

EVERY = 0.5
"""Seconds between two updates."""
CURVE = 200
"""Points of a curve, at most; when there are more, every second one is dropped."""


class Report(NamedTuple):
    """Progress of a run after a training step."""

    stage: Stage
    done: int
    """Iterations of this stage."""
    total: int
    affinity: float | None = None
    """Mean affinity of the masks with the objects that they are matched to (object stage)."""
    slots: float | None = None
    """Slots in use (object stage)."""


TITLES = {Stage.RADIANCE: "Learning the radiance field", Stage.OBJECTS: "Learning the objects"}


class Standing(NamedTuple):
    """What is to be said of a run."""

    text: str = ""
    percent: float | None = None
    """How much of the stage is done; None where nothing is trained."""
    curve: tuple[tuple[int, float, int], ...] = ()
    """Iteration, matched affinity and slots in use, now and then (object stage)."""


class Progress:
    """How far a run is, for everybody who looks, also for those who come later."""

    def __init__(self):
        self.standing = Standing()
        self._curve: list[tuple[int, float, int]] = []
        self._stride, self._last = 1, 0.0

    def say(self, text: str) -> None:
        """Name the work before a stage's first step."""
        self.standing = self.standing._replace(text=text)

    def finish(self, objects: int) -> None:
        """Nothing is trained any more."""
        text = (
            f"**{objects} object{'s' * (objects != 1)}**"
            if objects
            else "**No objects yet**: the run's object stage has not begun"
        )
        self.standing = self.standing._replace(text=text, percent=None)

    def report(self, now: Report) -> bool:
        """Take note of a step; whether it is to be shown, which is so now and then."""
        if now.affinity is not None and now.done % self._stride == 0:
            self._curve.append((now.done, now.affinity, int(now.slots or 0)))
            if len(self._curve) > CURVE:
                self._curve, self._stride = self._curve[::2], 2 * self._stride
        if now.done < now.total and time.monotonic() - self._last < EVERY:
            return False
        self._last = time.monotonic()
        text = f"**{TITLES[now.stage]}**: {now.done:,} of {now.total:,} iterations"
        if now.affinity is not None:
            text += f"  \nmatched affinity {now.affinity:.2f}, {now.slots:.0f} slots in use"
        self.standing = Standing(text, 100 * now.done / max(now.total, 1), tuple(self._curve))
        return True


class Head:
    """The head of a person's panel.

    Args:
        gui: where its elements are added.
        tab: the tab or folder that they are in.
    """

    def __init__(self, gui: viser.GuiApi, tab: LentTab | viser.GuiFolderHandle):
        self.gui, self.tab = gui, tab
        self._turn = threading.Lock()
        """The training, the render thread and the one that makes wishes all write here."""
        with tab:
            self.warning = gui.add_markdown("", visible=False)
            self.text = gui.add_markdown("")
            self.bar = gui.add_progress_bar(0.0, visible=False)
        self.plot: viser.GuiPlotlyHandle | None = None
        self._order = self.bar.order + 0.5
        self._standing, self._picture, self._film = Standing(), "", ""

    def show(self, progress: Progress) -> None:
        """Show how far the run is. It is read here, in turn: one thread would show what another has shown newer."""
        with self._turn:
            before, self._standing = self._standing, (standing := progress.standing)
            self._write()
            if self.bar.visible != (standing.percent is not None):
                self.bar.visible = standing.percent is not None
            if standing.percent is not None:
                self.bar.value = standing.percent
            if standing.curve and standing.curve != before.curve:
                self._draw(standing.curve)

    def warn(self, sentence: str) -> None:
        """Show a sentence above all else; an empty one takes it away."""
        content = f"**⚠ {as_markdown(sentence)}**" if sentence else ""
        if self.warning.content != content:
            self.warning.content, self.warning.visible = content, bool(sentence)

    def sharpening(self, part: float | None) -> None:
        """Show how much of the person's picture is sharp, in [0, 1]; None while it waits for what comes to light."""
        with self._turn:
            doing = "filling in gaps" if part is None else f"sharpening {100 * part:.0f} %"
            self._picture = "" if part == 1 else doing
            self._write()

    def filming(self, part: float | None) -> None:
        """Show how much of the person's film is done, in [0, 1]; None where none is being made."""
        with self._turn:
            self._film = "" if part is None else f"film {100 * part:.0f} %"
            self._write()

    def _write(self) -> None:
        text = " &nbsp;·&nbsp; ".join(filter(None, (self._standing.text, self._picture, self._film)))
        if self.text.content != text:
            self.text.content = text

    def _draw(self, curve: tuple[tuple[int, float, int], ...]) -> None:
        figure = curves(curve)
        if self.plot is None:
            with self.tab:
                self.plot = self.gui.add_plotly(figure, aspect=2.0, order=self._order)
        else:
            self.plot.figure = figure


def as_markdown(text: str) -> str:
    """A text that reads in Markdown as it stands, such as a path with underscores."""
    return re.sub(r"([\\`*_{}\[\]<>#])", r"\\\1", text)


def curves(points: Sequence[tuple[int, float, int]]):
    """Matched affinity and slots in use against the iteration."""
    from plotly import graph_objects as go

    steps, affinity, slots = zip(*points)
    figure = go.Figure(
        [
            go.Scatter(x=steps, y=affinity, name="matched affinity", line={"color": "#58b368"}),
            go.Scatter(x=steps, y=slots, name="slots in use", yaxis="y2", line={"color": "#3f8fd2"}),
        ]
    )
    figure.update_layout(
        template="plotly_dark",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 36, "r": 36, "t": 8, "b": 28},
        legend={"orientation": "h", "y": 1.15},
        font={"size": 10},
        yaxis={"range": [0, 1]},
        yaxis2={"overlaying": "y", "side": "right", "rangemode": "tozero", "showgrid": False},
    )
    return figure
