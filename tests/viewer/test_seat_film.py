"""Films that are ordered in the panel: they come as downloads, show how far they are, and stop when they should."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Event

import imageio.v3 as iio
import numpy as np
import pytest
from viewer_presses import chooses, presses, settle, visit, wait_for

from disconerf_ns.filming.frames import Painter
from disconerf_ns.viewer import film
from disconerf_ns.viewer.seat import Seat

SIZE = 48


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Films are small, and have four frames a second."""
    monkeypatch.setattr(film, "CHOICES", film.CHOICES | {"size": (SIZE, 256)})
    monkeypatch.setattr(film, "RATE", 4)


@pytest.fixture
def downloads(seat: Seat, viewer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Files that the person's page was given. Films take a second."""
    downloads: dict[str, bytes] = {}
    monkeypatch.setattr(seat.client, "send_file_download", downloads.__setitem__)
    monkeypatch.setattr(viewer.pipeline, "edit_file", tmp_path / "edit.json")
    presses(seat, seat.panel.film.size, str(SIZE))
    presses(seat, seat.panel.film.seconds, "1")
    return downloads


def press(seat: Seat, label: str) -> None:
    (button,) = (button for tool, button in seat.panel.film.tools._buttons if tool.label == label)
    presses(seat, button.handle, True)


def usable(seat: Seat) -> list[str]:
    return [tool.label for tool, button in seat.panel.film.tools._buttons if not button.handle.disabled]


def test_a_film_is_a_download_in_the_edit_s_colours(seat: Seat, downloads, said, tmp_path: Path) -> None:
    second = seat.editor.scene.objects[1]
    assert usable(seat) == []
    chooses(seat, second.id)
    presses(seat, seat.panel.name, "red/ball")
    presses(seat, seat.panel.color, (0, 0, 255))
    assert usable(seat) == ["film"]
    press(seat, "film")
    assert usable(seat) == ["cancel"] and seat.panel.film.bar.visible
    wait_for(lambda: said, 60)
    path = tmp_path / "videos" / "object_01_red_ball.mp4"
    assert said == [f"The film is in {path}, and among your downloads."]
    assert downloads == {path.name: path.read_bytes()}
    frames = iio.imread(path)
    assert frames.shape == (4, SIZE, SIZE, 3)
    assert all(frame.min() < 200 and frame.max() > 240 for frame in frames), "an object on white, in every frame"
    dark = frames[frames.min(-1) < 100].astype(float).mean(0)
    assert dark[2] > 1.5 * dark[0] and dark[2] > 1.5 * dark[1], "in the colour that it was given"
    wait_for(lambda: usable(seat) == ["film"] and not seat.panel.film.bar.visible)


def test_a_film_is_cancelled(seat: Seat, downloads, said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "RATE", 24)  # many frames, so that it is not over before
    presses(seat, seat.panel.film.seconds, "8")
    chooses(seat, seat.editor.scene.objects[1].id)
    press(seat, "film")
    wait_for(lambda: seat.panel.film.bar.value > 0, 60)
    press(seat, "cancel")
    assert usable(seat) == ["film"] and not seat.panel.film.bar.visible
    wait_for(lambda: not (tmp_path / "videos").exists(), 30)
    assert said == [] and downloads == {}


def test_a_film_whose_page_was_closed_is_told_to_the_others(viewer, seat: Seat, downloads, monkeypatch) -> None:
    """Whoever loaded the page anew heard no more of it."""
    told: list[str] = []
    monkeypatch.setattr(seat.editor, "tell", told.append)
    chooses(seat, seat.editor.scene.objects[1].id)
    press(seat, "film")
    viewer.pipeline.object_control._leave(seat.client)
    wait_for(lambda: told, 60)
    assert "object_01.mp4. The page that ordered it was closed meanwhile." in told[0] and downloads == {}


def test_a_page_that_is_loaded_anew_has_the_film_and_another_page_sees_how_far_it_is(
    viewer, seat: Seat, downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither showed anything, and nobody could stop the film any more."""
    monkeypatch.setattr(film, "RATE", 24)  # many frames, so that it is not over before
    presses(seat, seat.panel.film.seconds, "8")
    control, first = viewer.pipeline.object_control, seat.editor.scene.objects[1]
    chooses(seat, first.id)
    presses(seat, seat.panel.name, "red_ball")
    press(seat, "film")
    with visit(viewer) as other:
        wait_for(lambda: "red" in other.seat.panel.film.others.content, 60)
        wait_for(lambda: not other.seat.panel.film.others.content.endswith(" 0 %"), 60)
        assert other.seat.panel.film.others.content.startswith("A film of red\\_ball for another page: ")
        assert other.seat.panel.film.others.visible and not other.seat.panel.film.bar.visible
        assert not seat.panel.film.others.visible
        control._leave(seat.client)
        with visit(viewer) as again:
            shown = again.seat.panel.film
            assert usable(again.seat) == ["cancel"] and shown.bar.visible and shown.bar.value > 0
            assert re.search(r"4 objects.* film \d+ %$", again.seat.panel.head.text.content)
            assert not shown.others.visible and other.seat.panel.film.others.visible
            press(again.seat, "cancel")
            assert usable(again.seat) == [] and not shown.bar.visible, "nothing is selected on the new page"
            assert "film" not in again.seat.panel.head.text.content
            settle(other.seat)
            assert not other.seat.panel.film.others.visible
    assert downloads == {} and not seat.filming.running


def test_a_page_that_is_loaded_anew_gets_the_film(viewer, seat: Seat, downloads, monkeypatch) -> None:
    go_on, paint = Event(), Painter.__call__
    monkeypatch.setattr(Painter, "__call__", lambda *arguments: go_on.wait(30) and paint(*arguments))
    chooses(seat, seat.editor.scene.objects[1].id)
    press(seat, "film")
    viewer.pipeline.object_control._leave(seat.client)
    with visit(viewer) as again:
        monkeypatch.setattr(again.seat.client, "send_file_download", downloads.__setitem__)
        go_on.set()
        wait_for(lambda: downloads, 60)
        wait_for(lambda: not again.seat.panel.film.bar.visible)
    assert [*downloads] == ["object_01.mp4"]


def test_what_a_format_cannot_do_is_told(seat: Seat, downloads, said) -> None:
    chooses(seat, seat.editor.scene.objects[1].id)
    presses(seat, seat.panel.film.background, "transparent")
    press(seat, "film")
    assert "mp4 cannot be transparent" in said[0] and usable(seat) == ["film"]


def test_transparent_films_are_transparent(seat: Seat, downloads, said) -> None:
    chooses(seat, seat.editor.scene.objects[1].id)
    presses(seat, seat.panel.film.background, "transparent")
    presses(seat, seat.panel.film.format, "webp")
    press(seat, "film")
    wait_for(lambda: said, 60)
    (content,) = downloads.values()
    alpha = iio.imread(content, extension=".webp", index=..., mode="RGBA")[..., 3]
    assert alpha.shape == (4, SIZE, SIZE) and np.isin([0, 255], alpha).all()
