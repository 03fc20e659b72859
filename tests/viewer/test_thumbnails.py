"""Small pictures of objects: what they show, what they depend on, and when they are made."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from film_scene import BALL, FLOOR, WALL, hand_made, photographs
from helpers import alike
from PIL import Image

from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.viewer import thumbnails
from disconerf_ns.viewer.thumbnails import SIZE, Thumbnails, drawn_of

SCENE = hand_made(haze=0.5, wall=True)
BLUE = (0.0, 0.0, 1.0)


class Watched(Thumbnails):
    """Pictures of a scene, which counts when it is told of them."""

    def __init__(self, scene: ArrangedScene, busy: Callable[[], bool] = lambda: False):
        self.told: list[float] = []
        super().__init__(CurrentScene(scene), photographs, lambda: self.told.append(time.monotonic()), busy)

    def ask(self) -> list[str | None]:
        return [self.of(each) for each in self.current.value.objects]

    def wait(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not until():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def all(self) -> list[str]:
        self.ask()
        self.wait(lambda: None not in self.ask())
        return [picture for picture in self.ask() if picture is not None]


def pixels(uri: str) -> np.ndarray:
    kind, content = uri.split(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(BytesIO(base64.b64decode(content))).convert("RGBA"))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The objects whose pictures are made, in order; each takes no time."""
    ids = []

    def draw(scene: ArrangedScene, each: SceneObject, cameras) -> np.ndarray:
        ids.append(each.id)
        return np.full((4, 4, 4), each.id / 10)

    monkeypatch.setattr(thumbnails, "drawn_of", draw)
    return ids


def test_a_picture_shows_the_object_alone_and_large() -> None:
    """The haze around the ball is twice as large, and a crumb lies beside it."""
    watched = Watched(SCENE)
    ball = watched.all()[0]
    picture = pixels(ball)
    alpha = picture[..., 3]
    assert picture.shape == (SIZE, SIZE, 4) and len(ball) < 2500
    rows, columns = (alpha > 128).nonzero()
    assert min(np.ptp(rows), np.ptp(columns)) + 1 >= 0.85 * SIZE, "it fills the picture"
    assert (alpha[[0, 0, -1, -1], [0, -1, 0, -1]] == 0).all(), "and nothing else is there"
    red, green, blue = picture[SIZE // 2, SIZE // 2, :3].tolist()
    assert red > 200 and green < 80 and blue < 60


def test_what_surrounds_the_photographs_is_a_piece_of_what_they_show() -> None:
    scene = hand_made().with_edit(Edit().hide(FLOOR))
    picture = drawn_of(scene, scene.by_id[FLOOR], photographs(distance=0.9, height=0.3))
    grey = np.abs(picture[..., :3] - 0.5).max(-1) < 0.05
    assert picture[..., 3].min() == 1 and grey.mean() > 0.8, grey.mean()


def test_naming_hiding_and_moving_an_object_leave_its_picture_as_it_is(drawn: list[int]) -> None:
    watched = Watched(SCENE)
    before = watched.all()
    edit = Edit().rename(BALL, "ball").hide(BALL).move(FLOOR, Similarity(translation=(0.0, 0.0, 1.0)))
    watched.current.replace(lambda scene: scene.with_edit(edit))
    assert watched.ask() == before
    time.sleep(0.1)
    assert sorted(drawn) == [BALL, FLOOR, WALL]


def test_the_old_picture_is_there_until_the_new_colour_is() -> None:
    held = threading.Event()
    watched = Watched(SCENE, held.is_set)
    before = watched.all()
    held.set()
    watched.current.replace(lambda scene: scene.with_edit(Edit().recolor(BALL, BLUE)))
    assert watched.ask() == before
    time.sleep(0.1)
    assert watched.ask() == before, "a person's picture is being drawn"
    held.clear()
    watched.wait(lambda: watched.ask()[0] != before[0])
    red, _, blue = pixels(watched.ask()[0])[SIZE // 2, SIZE // 2, :3].tolist()
    assert blue > 2 * red and watched.ask()[1:] == before[1:]


def test_a_merged_object_gets_another_picture_and_others_keep_theirs(drawn: list[int]) -> None:
    watched = Watched(SCENE)
    watched.all()
    watched.current.replace(lambda scene: scene.with_edit(Edit().merge([WALL], BALL)))
    watched.ask()
    watched.wait(lambda: len(drawn) > 3)
    time.sleep(0.1)
    assert drawn[3:] == [BALL]


def test_the_largest_and_the_one_that_was_asked_for_last_take_turns(drawn: list[int]) -> None:
    held = threading.Event()
    held.set()
    watched = Watched(SCENE, held.is_set)
    objects = [replace(SCENE.by_id[BALL], id=id, share=share) for id, share in enumerate((0.1, 0.5, 0.2, 0.4, 0.3))]
    watched.current.replace(lambda scene: replace(scene))
    object.__setattr__(watched.current.value, "by_id", {each.id: each for each in objects})
    watched.of(objects[0])
    time.sleep(0.1)  # the thread has taken it, and waits with it
    for each in objects[1:]:
        watched.of(each)
    held.clear()
    watched.wait(lambda: len(drawn) == 5)
    assert drawn == [0, 4, 1, 3, 2]


def test_one_that_fails_has_none_and_the_others_come(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, drawn: list[int]
) -> None:
    draw = thumbnails.drawn_of

    def fail(scene: ArrangedScene, each: SceneObject, cameras) -> np.ndarray:
        picture = draw(scene, each, cameras)
        return picture if each.id != FLOOR else picture[7]

    monkeypatch.setattr(thumbnails, "drawn_of", fail)
    watched = Watched(SCENE)
    watched.ask()
    watched.wait(lambda: len(drawn) == 3)
    time.sleep(0.1)
    assert [picture is None for picture in watched.ask()] == [False, True, False]
    assert "there is no picture of object_01" in caplog.text and "IndexError" in caplog.text
    time.sleep(0.1)
    assert len(drawn) == 3, "it is not tried again"


def test_an_object_of_which_nothing_is_there_has_none(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = replace(SCENE.by_id[BALL], **alike(((3.0, 3.0, 3.0), (3.5, 3.5, 3.5))))
    watched = Watched(SCENE.with_options(extraction="soft"))  # computes anew where objects are
    object.__setattr__(watched.current.value, "by_id", {BALL: nowhere})
    with caplog.at_level("INFO"):
        assert watched.of(nowhere) is None
        watched.wait(lambda: bool(watched.told))
    assert watched.of(nowhere) is None and "object_00 has no picture, because nothing of it is solid." in caplog.text


def test_somebody_is_told_at_most_twice_a_second(drawn: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "EVERY", 0.2)
    watched = Watched(SCENE)
    watched.ask()
    watched.wait(lambda: len(drawn) == 3)
    time.sleep(0.5)
    assert len(watched.told) == 2, "of the first at once, of the others together"
    assert watched.told[1] - watched.told[0] >= 0.19


def test_a_training_that_lists_objects_anew_gets_new_pictures_only_after_a_pause(
    drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(SCENE)
    watched.all()
    low, high = SCENE.trained.discovered[BALL].box
    other = (replace(SCENE.trained.discovered[BALL], **alike((low, (high[0] + 0.01, *high[1:])))),)
    trained = replace(SCENE.trained, discovered=other + SCENE.trained.discovered[1:])
    watched.current.replace(lambda scene: scene.with_trained(trained))
    watched.ask()
    time.sleep(0.1)
    assert len(drawn) == 3
    monkeypatch.setattr(thumbnails, "PAUSE", 0.0)
    watched.ask()
    watched.wait(lambda: len(drawn) == 4)
    assert drawn[3] == BALL


@pytest.mark.parametrize("busy", [False, True])
def test_nothing_is_left_of_closed_ones(busy: bool, drawn: list[int]) -> None:
    """The thread of a viewer that was closed while a picture was drawn looked fifty times a second for ever."""
    watched = Watched(SCENE, lambda: busy)
    watched.ask()
    watched.wait(lambda: busy or len(drawn) == 3)
    watched.close(5.0)
    assert watched._thread is not None and not watched._thread.is_alive()
    watched.current.replace(lambda scene: scene.with_edit(Edit().recolor(BALL, BLUE)))
    watched.ask()
    assert drawn.count(BALL) == (not busy)
