"""What the panel's head says of a run."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest
import viser

from disconerf_ns.training.schedule import Stage
from disconerf_ns.viewer import status
from disconerf_ns.viewer.status import CURVE, Head, Progress, Report


@pytest.fixture
def head() -> Iterator[Head]:
    server = viser.ViserServer(host="127.0.0.1", port=0)
    yield Head(server.gui, server.gui.add_folder("Objects"))
    server.stop()


@pytest.fixture
def progress(monkeypatch: pytest.MonkeyPatch) -> Progress:
    monkeypatch.setattr(status, "EVERY", 0.0)
    return Progress()


def test_the_radiance_stage_has_a_bar_and_no_curves(head: Head, progress: Progress) -> None:
    progress.report(Report(Stage.RADIANCE, 50, 200))
    head.show(progress)
    assert head.bar.value == 25 and head.bar.visible and head.plot is None
    assert "radiance field" in head.text.content and "50 of 200" in head.text.content


def test_curves_hold_the_whole_object_stage(head: Head, progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "EVERY", 1000.0)  # the first and the last are shown
    total = 10 * CURVE
    for step in range(1, total + 1):
        progress.report(Report(Stage.OBJECTS, step, total, step / total, 7.0))
    curve = progress.standing.curve
    assert CURVE // 3 <= len(curve) <= CURVE
    steps, affinity, slots = zip(*curve)
    assert list(steps) == sorted(set(steps)) and steps[0] < 0.02 * total and steps[-1] > 0.97 * total
    assert affinity == tuple(step / total for step in steps) and set(slots) == {7}
    head.show(progress)
    assert head.bar.value == 100 and "matched affinity 1.00" in head.text.content
    assert head.plot in head.tab._children.values(), "where the other elements are"
    assert list(head.plot.figure.data[0].x) == list(steps)


def test_after_the_run(head: Head, progress: Progress) -> None:
    progress.report(Report(Stage.OBJECTS, 1, 2, 0.5, 3.0))
    head.show(progress)
    progress.finish(3)
    head.show(progress)
    assert not head.bar.visible and "3 objects" in head.text.content
    progress.finish(0)
    head.show(progress)
    assert "No objects yet" in head.text.content


def test_updates_are_rare_but_the_last_is_shown(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "EVERY", 1000.0)
    assert [progress.report(Report(Stage.RADIANCE, step, 200)) for step in (1, 2, 200)] == [True, False, True]
    assert progress.standing.percent == 100


def test_it_is_said_while_a_picture_gets_sharp(head: Head, progress: Progress) -> None:
    progress.finish(3)
    head.show(progress)
    head.sharpening(0.4)
    assert "3 objects" in head.text.content and "sharpening 40 %" in head.text.content
    head.sharpening(None)
    assert "filling in gaps" in head.text.content
    head.sharpening(1.0)
    assert head.text.content == "**3 objects**"


def test_what_is_not_kept_is_said_as_long_as_it_is_so(head: Head) -> None:
    head.warn("a_run/edit_unsaved.json cannot be written")
    assert head.warning.visible and r"a\_run/edit\_unsaved.json cannot be written" in head.warning.content
    head.warn("")
    assert not head.warning.visible


def test_what_is_shown_is_the_newest_whoever_shows_it(head: Head) -> None:
    """A thread that had read how far the run is, and then waited for another, showed it over what was newer."""
    progress, slow = Progress(), Thread(target=lambda: head.show(progress))
    with head._turn:
        slow.start()
        progress.finish(7)
    slow.join()
    assert head.text.content == "**7 objects**"
