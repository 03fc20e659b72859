"""The head of the panel: the run's stage, its progress, and a plot of how the objects settle."""

from __future__ import annotations

import time
from typing import NamedTuple

import viser

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


class Status:
    """The head of the panel.

    Args:
        tab: where its elements go.
    """

    def __init__(self, server: viser.ViserServer, tab: viser.GuiTabHandle | viser.GuiFolderHandle):
        self.server, self.tab = server, tab
        with tab:
            self.text = server.gui.add_markdown("")
            self.bar = server.gui.add_progress_bar(0.0, visible=False)
        self.plot: viser.GuiPlotlyHandle | None = None
        self._order = self.bar.order + 0.5
        self._curve: list[tuple[int, float, int]] = []
        self._stride, self._last = 1, 0.0

    def say(self, text: str) -> None:
        """Show a line, such as the work before a stage's first step."""
        if self.text.content != text:
            self.text.content = text

    def finish(self, objects: int) -> None:
        """Nothing is trained any more."""
        self.bar.visible = False
        self.say(f"**{objects} objects**" if objects else "**No objects yet**: the run's object stage has not begun")

    def report(self, now: Report) -> None:
        """Show a step, now and then."""
        if now.affinity is not None and now.done % self._stride == 0:
            self._curve.append((now.done, now.affinity, int(now.slots or 0)))
            if len(self._curve) > CURVE:
                self._curve, self._stride = self._curve[::2], 2 * self._stride
        if now.done < now.total and time.monotonic() - self._last < EVERY:
            return
        self._last = time.monotonic()
        self.bar.visible, self.bar.value = True, 100 * now.done / max(now.total, 1)
        text = f"**{TITLES[now.stage]}**: {now.done:,} of {now.total:,} iterations"
        if now.affinity is not None:
            text += f"  \nmatched affinity {now.affinity:.2f}, {now.slots:.0f} slots in use"
            self._draw()
        self.say(text)

    def _draw(self) -> None:
        figure = curves(self._curve)
        if self.plot is None:
            with self.tab:
                self.plot = self.server.gui.add_plotly(figure, aspect=2.0, order=self._order)
        else:
            self.plot.figure = figure


def curves(points: list[tuple[int, float, int]]):
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
