"""The viewer as a person has it: real pages in real browsers, their pixels, and what became of the model."""

from __future__ import annotations

import base64
import io
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
import viser
import viser.transforms as vtf
from helpers import needs_system_package
from PIL import Image
from test_rows import thing
from viewer_presses import paired, serve

from benchmarks.browser import Page, find_chromium, open_page, wait_for
from disconerf_ns.compat.viewer import SCALE
from disconerf_ns.compat.viser_panel import LentTab, add_first_tab
from disconerf_ns.scene.edit import Edit
from disconerf_ns.viewer import film, thumbnails
from disconerf_ns.viewer.control import STYLE
from disconerf_ns.viewer.gizmo import REACH
from disconerf_ns.viewer.rows import Clicks, Rows

PICTURES = Path("outputs/screenshots")
"""Where the screenshots are kept."""
WINDOW = 960, 600
"""Pixels of a window whose size is not what is tested: a browser without a GPU takes its time for each."""
PANEL = 320
"""Width of the panel; the scene is drawn on its left."""
TOP = 60
"""Rows of a page that no test looks at: notices appear there."""
COLORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "red": lambda r, g, b: (r > 140) & (r > 1.6 * g) & (r > 1.6 * b),
    "green": lambda r, g, b: (g > 80) & (g > 1.4 * r) & (g > 1.3 * b),
    "blue": lambda r, g, b: (b > 90) & (b > 1.5 * r) & (b > 1.15 * g),
}
"""The balls of the scene, told by their colour."""
SEEN, GONE = 0.7, 0.5
"""Part of a ball's pixels from which on it is there, and below which it is gone: inside balls, and where they touch, a
field that was trained for a minute does not know where one ends."""
ROWS = "[...document.querySelectorAll('.dn-row')].filter(e => e.getBoundingClientRect().height > 0)"
"""Rows of the list that are shown, as JavaScript."""


LIST = f"{ROWS}[0].closest('button').parentElement.parentElement"
"""What holds the rows, as JavaScript."""
DRAWN = thumbnails.drawn_of


@pytest.fixture
def thumbnails_drawn(viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list shows the objects, with few pixels; the other tests' is blank."""
    monkeypatch.setattr(thumbnails, "drawn_of", DRAWN)
    monkeypatch.setattr(thumbnails, "SIZE", 16)


@pytest.fixture
def address(viewer) -> str:
    """Where the viewer is; pictures are small."""
    needs_system_package("chromium", find_chromium() is not None)
    PICTURES.mkdir(parents=True, exist_ok=True)
    viewer.control_panel._max_res.value = 96
    return f"http://127.0.0.1:{viewer.viser_server.get_port()}/"


@pytest.fixture
def page(address: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    with open_page(address, tmp_path / "profile", PICTURES / "failure.png", *WINDOW) as page:
        yield page
        page.picture(PICTURES / f"{request.node.name}.png")


def scene_of(page: Page, keep: str | None = None) -> np.ndarray:
    """What can be seen beside the panel, (3, height, width); black where the top of the page may cover it."""
    picture = page.picture(PICTURES / f"{keep}.png" if keep else None)[:, :-PANEL].astype(float)
    picture[:TOP] = 0
    return picture.transpose(2, 0, 1)


def places(page: Page, color: str, keep: str | None = None) -> np.ndarray:
    """Pixels (n, 2), x and y, of a ball in the picture of the scene."""
    return np.argwhere(COLORS[color](*scene_of(page, keep)))[:, ::-1]


def share_of(page: Page, color: tuple[float, float, float]) -> float:
    """Part of the scene's picture that is about of a colour."""
    off = np.abs(scene_of(page) - 255 * np.array(color)[:, None, None]).sum(0)
    return float((off[TOP:] < 100).mean())


def sizes_of(page: Page) -> dict[str, int]:
    """Pixels of each ball."""
    scene = scene_of(page)
    return {color: int(is_it(*scene).sum()) for color, is_it in COLORS.items()}


def steady_sizes(page: Page) -> dict[str, int] | None:
    """Pixels of each ball, where all are there and the camera, which swings to its place, is at rest."""
    sizes = sizes_of(page)
    page.draw(10)
    again = sizes_of(page)
    return sizes if sizes == again and min(sizes.values()) > 1000 else None


def row_of(page: Page, name: str) -> dict | None:
    """Place and state of an object's row."""
    return page.run(
        f"(() => {{const e = {ROWS}.find(e => e.closest('button').innerText.includes({name!r}));"
        "if (!e) return null; const r = e.closest('button').getBoundingClientRect(), i = e.querySelector('img');"
        "return {y: r.y, height: r.height, right: r.right, selected: e.classList.contains('dn-on'),"
        "hidden: e.classList.contains('dn-off'), picture: Boolean(i && i.complete && i.naturalWidth)}})()"
    )


def is_selected(page: Page, name: str) -> bool:
    """Whether an object has a row that is marked as selected."""
    row = row_of(page, name)
    return row is not None and row["selected"]


def is_hidden(page: Page, name: str) -> bool:
    """Whether an object has a row that is marked as hidden."""
    row = row_of(page, name)
    return row is not None and row["hidden"]


def is_in_sight(page: Page, name: str) -> bool:
    """Whether an object's row is in the part of the list that is seen."""
    top, bottom = page.run(f"(() => {{const r = {LIST}.getBoundingClientRect(); return [r.top, r.bottom]}})()")
    row = row_of(page, name)
    return row is not None and top <= row["y"] and row["y"] + row["height"] <= bottom


def spills(page: Page) -> float:
    """By how many pixels the panel is wider than it is to be."""
    return page.run(f"{ROWS}[0].closest('[class*=ScrollArea-viewport]').scrollWidth - {PANEL}")


def seconds_until(condition: Callable[[], object], what: str) -> float:
    """How long it takes until something is so."""
    start = time.monotonic()
    wait_for(condition, what, 120)
    return time.monotonic() - start


def is_grey(page: Page, label: str) -> bool:
    """Whether a tool can do nothing."""
    return page.run(f"[...document.querySelectorAll('button')].find(e => e.textContent.trim() === {label!r}).disabled")


def test_a_stranger_sees_at_once_what_was_found(viewer, thumbnails_drawn, page: Page) -> None:
    """The tab Objects with a picture for each, the objects in their colours, at two sizes of the window."""
    names = [each.name for each in viewer.pipeline.model.current.value.objects]
    for width, height in ((800, 600), (1440, 900)):
        page.resize(width, height)
        wait_for(
            lambda: all((row := row_of(page, name)) and row["picture"] for name in names), "rows with pictures", 60
        )
        wait_for(lambda: not page.shows("sharpening"), "a sharp picture", 60)
        for each in viewer.pipeline.model.current.value.objects[1:4]:
            wait_for(lambda each=each: share_of(page, each.color) > 0.025, f"{each.name} in its colour")
        page.picture(PICTURES / f"first sight {width}x{height}.png")
        inside = [row for name in names if (row := row_of(page, name)) and row["y"] + row["height"] < height]
        assert len(inside) >= 4, "rows can be seen without scrolling"
        assert spills(page) <= 0 and all(row["right"] <= width for row in inside)
        assert page.shows(f"{len(names) - 1} objects") and not page.shows("Train")


def test_objects_are_picked_hidden_isolated_and_named(viewer, page: Page) -> None:
    control = viewer.pipeline.object_control
    current = control.current
    page.choose("Show", "the scene")
    sizes = wait_for(lambda: steady_sizes(page), "the three balls", 120)
    (seat,) = control.seats.values()
    assert all(is_grey(page, label) for label in ("hide", "merge", "undo"))

    page.click(*np.median(places(page, "red"), axis=0).tolist())
    (red,) = wait_for(lambda: seat.selection.ids, "a selected object")
    (name,) = (one.name for one in current.value.objects if one.id == red)
    wait_for(lambda: is_selected(page, name), "its mark in the list")
    wait_for(lambda: page.value("Name") == name, "its name in the field")
    wait_for(lambda: not is_grey(page, "hide"), "the button that hides it")
    assert is_grey(page, "merge"), "one object cannot be merged"

    before = seat.client.camera.position.copy()
    page.drag((500, 400), (560, 400))
    wait_for(lambda: not np.allclose(seat.client.camera.position, before), "the camera to turn")
    assert seat.selection.ids == (red,), "a drag is no click"
    page.drag((560, 400), (500, 400))
    sizes = wait_for(lambda: steady_sizes(page), "the three balls again", 60)
    assert seat.selection.ids == (red,), "a drag back is no click either"

    page.press("hide")
    wait_for(lambda: current.value.edit == Edit(hidden=frozenset({red})), "the edit that hides it")
    wait_for(lambda: len(places(page, "red")) < GONE * sizes["red"], "the red ball to go")
    assert len(places(page, "blue", "hidden")) > SEEN * sizes["blue"]
    wait_for(lambda: is_hidden(page, name), "the row to say so")

    page.press("undo")
    wait_for(lambda: len(places(page, "red")) > SEEN * sizes["red"], "the red ball to come back")
    assert current.value.edit == Edit()

    page.press("show only")
    wait_for(lambda: len(places(page, "green")) < GONE * sizes["green"], "the green ball to go")
    wait_for(lambda: len(places(page, "red", "alone")) > SEEN * sizes["red"], "the red ball alone")
    assert len(places(page, "blue")) < GONE * sizes["blue"]
    assert {one.id for one in current.value.objects} - {red} <= current.value.edit.hidden - {red}
    page.press("undo")

    long = "a name of a red ball that is as long as a name may ever be"
    page.write("Name", long)
    wait_for(lambda: row_of(page, long), "the new name in the list")
    assert current.value.edit == Edit(names={red: long})
    wait_for(lambda: f"{name} {long}" in viewer.control_panel._output_render.options, "its output's name")
    assert spills(page) <= 0, "a long name widens nothing"
    places(page, "red", "long name")
    page.press("undo")
    wait_for(lambda: row_of(page, name), "the old name in the list")

    page.press(f"hide {name}")
    wait_for(lambda: current.value.edit == Edit(hidden=frozenset({red})), "the eye to hide it")
    page.press(f"show {name}")
    wait_for(lambda: current.value.edit == Edit(), "the eye to show it")


def test_a_colour_field_takes_colours_alone(viewer, page: Page) -> None:
    """viser 0.2 took a banana for nearly black, and red, written letter by letter, for no number at all."""
    current, second = viewer.pipeline.model.current, viewer.pipeline.model.current.value.objects[1]
    page.press(second.name)
    nobodys = "#808080", "rgb(128, 128, 128)"  # in viser 0.2 and in viser 1
    wait_for(lambda: page.value("Colour") not in nobodys, "the object's colour")
    before = page.value("Colour")
    for text in ("banana", "12, 200, 40", "#12", "rgba(255, 0, 0, 0.5)"):
        page.write("Colour", text)
        wait_for(lambda text=text: page.shows(f'"{text}" is no colour'), "a sentence that says so")
        assert page.value("Colour") == before
    assert current.value.edit == Edit()
    page.picture(PICTURES / "no colour.png")
    for text, color in (("red", (1.0, 0.0, 0.0)), ("#0f0", (0.0, 1.0, 0.0)), ("rgb(0, 0, 255)", (0.0, 0.0, 1.0))):
        page.write("Colour", *text)
        wait_for(lambda color=color: current.value.edit == Edit(colors={second.id: color}), text)


@pytest.mark.slow
def test_a_film_is_downloaded(viewer, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer.pipeline, "edit_file", tmp_path / "run" / "edit.json")
    monkeypatch.setattr(film, "RATE", 4)
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    second = viewer.pipeline.model.current.value.objects[1]
    page.press(second.name)
    page.open_folder("Film")
    page.choose("Size", "128")
    page.choose("Seconds", "1")
    wait_for(lambda: not is_grey(page, "film"), "a selection")
    page.press("film")
    path = wait_for(lambda: next(iter(tmp_path.glob("*.mp4")), None), "the download", 90)
    page.picture(PICTURES / "film.png")
    assert path.name == f"{second.file_name}.mp4"
    wait_for(lambda: path.read_bytes() == (tmp_path / "run" / "videos" / path.name).read_bytes(), "all of it")
    assert iio.imread(path).shape == (4, 128, 128, 3)


UP = 0.08
"""How far an object is moved, in scene units."""


def on_page(page: Page, camera: viser.CameraHandle, point: np.ndarray) -> np.ndarray:
    """Where a point of viser's 3D scene is on a page, (2,)."""
    top, height = page.run(
        "(() => {const r = document.querySelector('canvas').getBoundingClientRect(); return [r.y, r.height]})()"
    )
    right, down, ahead = vtf.SO3(camera.wxyz).inverse().apply(point - camera.position)
    across = np.array([right, down]) / ahead / math.tan(camera.fov / 2) * height / 2
    return np.array([height * camera.aspect / 2, top + height / 2]) + across


@pytest.mark.slow
def test_an_object_is_moved_by_its_handles(viewer, page: Page) -> None:
    current = viewer.pipeline.model.current
    page.choose("Show", "the scene")
    wait_for(lambda: steady_sizes(page), "the three balls", 120)
    (seat,) = viewer.pipeline.object_control.seats.values()
    page.click(*np.median(places(page, "red"), axis=0).tolist())
    (red,) = wait_for(lambda: seat.selection.ids, "a selected object")
    page.press("move")
    wait_for(lambda: page.shows("Middle"), "the numbers")
    wait_for(lambda: seat.panel.gizmo.id == red, "the handles")
    numbers = "[...document.querySelectorAll('.mantine-NumberInput-input')].filter(e => e.offsetParent)"
    assert page.run(f"{numbers}.length") >= 6 and page.run(f"{numbers}.every(e => e.scrollWidth <= e.clientWidth)")
    camera, before = seat.client.camera, np.median(places(page, "red", "handles"), axis=0)
    middle = SCALE * np.array(seat.panel.gizmo.centre)
    at, above = (on_page(page, camera, point) for point in (middle, middle + SCALE * np.array([0, 0, UP])))
    start = at + 0.9 * REACH * (above - at) / np.linalg.norm(above - at)
    end = start + above - at
    page.drag(tuple(start.tolist()), tuple(end.tolist()))
    wait_for(lambda: current.value.edit != Edit(), "the edit")
    (place,) = current.value.edit.places_of(red)
    moved = np.array(place.points(torch.tensor(seat.panel.gizmo.centre))) - np.array(seat.panel.gizmo.centre)
    assert np.abs(moved[:2]).max() < 0.02 and moved[2] == pytest.approx(UP, rel=0.3), "straight up"
    goal = before[1] - 0.5 * (start - end)[1]
    wait_for(lambda: np.median(places(page, "red"), axis=0)[1] < goal, "the ball where it was put", 60)
    page.picture(PICTURES / "moved.png")
    assert seat.panel.places.middle.value == pytest.approx(tuple(middle / SCALE + moved), abs=0.02)
    page.press("copy")
    wait_for(lambda: len(current.value.edit.places_of(red)) == 2, "a copy")
    wait_for(lambda: is_selected(page, "copy 1"), "its row")
    (name,) = (one.name for one in current.value.objects if one.id == red)
    page.press(name)
    wait_for(lambda: seat.selection.which == 0 and not is_selected(page, "copy 1"), "the object itself")
    page.picture(PICTURES / "copied.png")
    page.press("copy 1")
    wait_for(lambda: seat.selection.which == 1, "the copy")
    page.press("hide itself")
    wait_for(lambda: is_hidden(page, "itself") and not is_hidden(page, "copy 1"), "the object itself to be hidden")
    page.press("show itself")
    wait_for(lambda: not is_hidden(page, "itself"), "the object itself again")
    page.press("take away copy 1")
    wait_for(lambda: current.value.edit.places_of(red) == (place,), "the copy to go")
    for _ in range(5):
        page.press("undo")
    wait_for(lambda: current.value.edit == Edit(), "the edit taken back")


@pytest.mark.slow
def test_coarser_and_finer_objects_in_the_browser(viewer, page: Page) -> None:
    """A pair has its parts in a folder, which the slider opens for all."""
    current, control = viewer.pipeline.model.current, viewer.pipeline.object_control
    names = [each.name for each in current.value.objects]
    wait_for(lambda: row_of(page, names[0]), "the list")
    current.replace(paired)
    control.objects_changed()
    wait_for(lambda: page.shows("3 objects") and page.shows("Detail"), "the coarser cut")
    wait_for(lambda: page.run(f"{ROWS}.length") == 4, "rows without parts, which are in a closed folder")
    page.picture(PICTURES / "coarse.png")
    page.run("document.querySelector('[role=slider]').focus()")
    page.type("ArrowRight", 6)
    wait_for(lambda: page.shows("4 objects"), "the finer cut")
    wait_for(lambda: page.run(f"{ROWS}.length") == 5, "a row for each part")
    assert current.value.edit == Edit().at(0.8)
    page.press("undo")
    wait_for(lambda: page.shows("3 objects"), "the cut as it was")


@pytest.mark.slow
def test_two_people_have_cameras_and_selections_of_their_own(viewer, page: Page, address: str, tmp_path: Path) -> None:
    first, second = viewer.pipeline.model.current.value.objects[1:3]
    with open_page(address, tmp_path / "other", PICTURES / "failure of the other.png", 800, 600) as other:
        page.press(first.name)
        other.press(second.name)
        wait_for(lambda: is_selected(page, first.name) and is_selected(other, second.name), "selections")
        assert not is_selected(page, second.name) and not is_selected(other, first.name)
        by_window = lambda seat: -seat.client.camera.aspect
        one, two = sorted(viewer.pipeline.object_control.seats.values(), key=by_window)
        still = two.client.camera.position.copy()
        page.drag((500, 400), (600, 400))
        wait_for(lambda: not np.allclose(one.client.camera.position, still), "one camera to turn")
        assert np.allclose(two.client.camera.position, still)
        other.press("hide")
        for each in (page, other):
            wait_for(lambda each=each: is_hidden(each, second.name), "the edit, which both see")
        page.press("undo")
        wait_for(lambda: not is_hidden(other, second.name), "the edit taken back by the one who did not make it")


def test_200_objects_are_usable(tmp_path: Path) -> None:
    """A list of 200 rows with pictures scrolls by itself, and an object that is selected there or elsewhere is seen."""
    needs_system_package("chromium", find_chromium() is not None)
    PICTURES.mkdir(parents=True, exist_ok=True)
    pixels = Image.new("RGB", (48, 48), (200, 80, 40))
    pixels.save(png := io.BytesIO(), "PNG")
    picture = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
    objects = [thing(number, 1 / (number + 2)) for number in range(200)]
    lists: list[Rows] = []
    with serve() as server:
        server.gui.configure_theme(control_layout="collapsible", dark_mode=True)  # as nerfstudio's is
        tab = add_first_tab(server, "Objects", f"<style>{STYLE.read_text()}</style>")

        @server.on_client_connect
        def _(client: viser.ClientHandle) -> None:
            def select(*ids: int) -> None:
                rows.update(objects, frozenset(), ids, "", picture=lambda _: picture)

            clicks = Clicks(lambda id, which: select(id), *[lambda *_: None] * (len(Clicks._fields) - 1))
            with LentTab(tab, client):
                rows = Rows(client.gui, client.gui.add_folder("Objects"), clicks)
                client.gui.add_button("below the list")
            select()
            lists.append(rows)

        address = f"http://127.0.0.1:{server.get_port()}/"
        with open_page(address, tmp_path / "profile", PICTURES / "failure.png", *WINDOW) as page:
            listed = seconds_until(lambda: page.run(f"{ROWS}.length") >= 200, "200 rows")
            assert page.run(f"{ROWS}.length") == 200
            for name in ("object_03", "object_150"):
                page.press(name)
                marked = seconds_until(lambda name=name: is_selected(page, name), "its mark")
                assert marked < listed / 3, "the list is not sent anew"
            page.picture(PICTURES / "200 objects.png")
            row = row_of(page, "object_150")
            assert row["picture"] and 0 < row["y"] < WINDOW[1], "the list is scrolled to it"
            last = "[...document.querySelectorAll('button')].at(-1)"
            assert page.run(f"{last}.getBoundingClientRect().bottom") < WINDOW[1]
            assert spills(page) <= 0
            (rows,) = lists
            for number in (20, 101, 20):
                rows.revealed = number
                rows.clicks.select(number, 0)
                wait_for(lambda number=number: is_in_sight(page, f"object_{number}"), "its row in sight")
                page.run(f"{LIST}.scrollTop = 0")
