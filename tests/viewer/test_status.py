"""What the panel's head says of a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import viser

from disconerf_ns.training.schedule import Stage
from disconerf_ns.viewer import status
from disconerf_ns.viewer.status import CURVE, Report, Status


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[Status]:
    monkeypatch.setattr(status, "EVERY", 0.0)
    server = viser.ViserServer(host="127.0.0.1", port=0)
    yield Status(server, server.gui.add_folder("Objects"))
    server.stop()


def test_the_radiance_stage_has_a_bar_and_no_curves(head: Status) -> None:
    head.report(Report(Stage.RADIANCE, 50, 200))
    assert head.bar.value == 25 and head.bar.visible and head.plot is None
    assert "radiance field" in head.text.content and "50 of 200" in head.text.content


def test_curves_hold_the_whole_object_stage(head: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "EVERY", 1000.0)  # the first and the last are drawn
    total = 10 * CURVE
    for step in range(1, total + 1):
        head.report(Report(Stage.OBJECTS, step, total, step / total, 7.0))
    assert CURVE // 3 <= len(head._curve) <= CURVE
    steps, affinity, slots = zip(*head._curve)
    assert list(steps) == sorted(set(steps)) and steps[0] < 0.02 * total and steps[-1] > 0.97 * total
    assert affinity == tuple(step / total for step in steps) and set(slots) == {7}
    assert head.bar.value == 100 and "matched affinity 1.00" in head.text.content
    assert head.plot in head.tab._children.values(), "where the other elements are"
    assert list(head.plot.figure.data[0].x) == list(steps)


def test_after_the_run(head: Status) -> None:
    head.report(Report(Stage.OBJECTS, 1, 2, 0.5, 3.0))
    head.finish(3)
    assert not head.bar.visible and "3 objects" in head.text.content
    head.finish(0)
    assert "No objects yet" in head.text.content


def test_updates_are_rare_but_the_last_is_shown(head: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "EVERY", 1000.0)
    head.report(Report(Stage.RADIANCE, 1, 200))
    head.report(Report(Stage.RADIANCE, 2, 200))
    assert head.bar.value == 0.5
    head.report(Report(Stage.RADIANCE, 200, 200))
    assert head.bar.value == 100
