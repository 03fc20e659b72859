"""Films that a person orders in the viewer: one code path with `disconerf render`, files of their own, cancelling."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import random

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from film_scene import BALL, FLOOR, hand_made, photographs

from disconerf_ns.errors import UserError
from disconerf_ns.filming.frames import Look, Painter, Wanted
from disconerf_ns.filming.production import produce
from disconerf_ns.filming.shots import orbit
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import LONGEST_NAME
from disconerf_ns.viewer import film
from disconerf_ns.viewer.film import Filming, FilmOptions, placed

FRAMES, SIZE = 4, 32
SCENE = hand_made()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(film, "RATE", FRAMES)
    monkeypatch.setattr(film, "CHOICES", film.CHOICES | {"size": (SIZE,)})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def options(**changes) -> FilmOptions:
    return FilmOptions(**{"size": SIZE, "seconds": 1} | changes)


@dataclass
class Person:
    """Orders films and waits for them."""

    folder: Path
    progress: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    films: list[Path] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    running_at_end: list[bool] = field(default_factory=list)
    each_frame: Callable[[], None] = lambda: None

    def __post_init__(self):
        self.filming = Filming(lambda: self.folder, self)

    def order(self, scene: ArrangedScene, id: int = BALL, start: torch.Tensor | None = None, **changes) -> None:
        self.over.clear()
        self.filming.start(scene, id, options(**changes), photographs(), start)

    def film(self, scene: ArrangedScene, id: int = BALL, **changes) -> Path:
        self.order(scene, id, **changes)
        assert self.over.wait(30) and not self.told, self.told
        return self.films[-1]

    def film_goes_on(self) -> None:
        self.progress.append(self.filming.part)
        self.each_frame()

    def film_is_there(self, film: Path) -> None:
        self.films.append(film)
        self._end()

    def film_failed(self, sentence: str) -> None:
        self.told.append(sentence)
        self._end()

    def _end(self) -> None:
        self.running_at_end.append(self.filming.running)
        self.over.set()


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path / "videos")


def named(*names: str) -> ArrangedScene:
    """The scene with names for its first objects, as they come from an edit that nobody checked."""
    return SCENE.with_edit(Edit(names=dict(enumerate(names))))


def test_it_is_the_film_of_disconerf_render(person: Person, tmp_path: Path) -> None:
    scene = SCENE.with_edit(Edit().recolor(BALL, (0.0, 0.0, 1.0)))
    path = person.film(scene)
    shot, paint = orbit(scene, scene.by_id[BALL], photographs(), FRAMES, SIZE), Painter(scene)
    frames = (paint(Wanted(BALL, Look(), shot.cameras[n : n + 1])) for n in range(FRAMES))
    produce([shot], frames, tmp_path, {"mp4": (1.0, 1.0, 1.0)}, float(FRAMES), None, lambda _: None)
    assert path == person.folder / "object_00.mp4" and path.read_bytes() == (tmp_path / path.name).read_bytes()
    pictures = iio.imread(path)
    assert pictures.shape == (FRAMES, SIZE, SIZE, 3) and pictures[:, 0, 0].min() > 250, "on white"
    red, _, blue = pictures[:, SIZE // 2, SIZE // 2].astype(float).mean(0)
    assert blue > 2 * red, "the ball was red, and is blue under the edit"
    assert person.progress == [0.25, 0.5, 0.75, 1.0] and person.running_at_end == [False]


def test_a_turn_begins_on_the_side_where_the_person_is(person: Person) -> None:
    starts = torch.tensor([[2.0, 1.0, 0.5], [0.2, -3.0, 9.0]])
    scene, cameras = SCENE, photographs()
    for start in starts:
        shot = options().shot(scene, scene.by_id[BALL], cameras, start)
        first, towards = shot.cameras.camera_to_worlds[0, :2, 3], start[:2] - torch.tensor([0.2, 0.0])
        assert torch.cosine_similarity(first - torch.tensor([0.2, 0.0]), towards, 0) > 0.999


@pytest.mark.parametrize(
    ("format", "background", "corner"),
    [
        ("webp", "transparent", (0, 0, 0, 0)),
        ("gif", "transparent", (0, 0, 0, 0)),
        ("mp4", "black", (0, 0, 0)),
        ("gif", "grey", (128, 128, 128)),
    ],
)
def test_what_is_behind_the_object(person: Person, format: str, background: str, corner: tuple[int, ...]) -> None:
    path = person.film(SCENE, format=format, background=background)
    pictures = iio.imread(path, **({"mode": "RGBA" if len(corner) == 4 else "RGB"} if format != "mp4" else {}))
    pictures = pictures.reshape(-1, SIZE, SIZE, len(corner))  # frames that look alike may be one
    seen = pictures[:, 0, 0].astype(int)
    assert path.suffix == f".{format}"
    if len(corner) == 4:
        assert seen[:, 3].max() == 0 and pictures[:, SIZE // 2, SIZE // 2, 3].min() == 255, "there"
    else:
        assert np.abs(seen - corner).max() <= 4


def test_the_scene_is_around_the_object(person: Person) -> None:
    floor = iio.imread(person.film(SCENE, background="scene"))[:, -1, SIZE // 2]
    assert np.abs(floor.astype(int) - 128).max() < 12, "the grey floor is below the ball"


def test_two_objects_of_one_name_have_two_films(person: Person) -> None:
    twins = named("mug", "mug")
    assert person.film(twins, BALL).name == "object_00_mug.mp4"
    assert person.film(twins, FLOOR).name == "object_01_mug.mp4"
    assert sorted(person.folder.iterdir()) == sorted(person.films), "and nothing else is there"


WIDE = "\N{MATHEMATICAL BOLD CAPITAL A}"
"""A letter of 4 bytes."""


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("...", "object_00"),
        ("../../x", "object_00_x"),
        ("x" * 5000, f"object_00_{'x' * 60}"),
        (WIDE * 60, f"object_00_{WIDE * ((LONGEST_NAME - 10) // 4)}"),
    ],
)
def test_strange_names_are_those_of_files_that_can_be_seen_and_written(name: str, stem: str, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for number in ("", "_2", "_3"):
        (tmp_path / "film.webm").write_text(number)
        path = placed(tmp_path / "film.webm", tmp_path / "videos", named(name).by_id[BALL].file_name)
        assert path == tmp_path / "videos" / f"{stem}{number}.webm" and path.read_text() == number
        (tmp_path / "film.webm").unlink()


def test_no_film_takes_the_place_of_an_earlier_one(person: Person) -> None:
    first = person.film(SCENE)
    before = first.read_bytes()
    assert person.film(SCENE, background="black").name == "object_00_2.mp4"
    assert first.read_bytes() == before


def test_a_film_that_ends_while_it_is_cancelled_ends_once_and_the_next_one_is_its_own(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a cancelled film could make the next one one that nobody could cancel."""
    filming, films, hold, numbers = person.filming, person.films, threading.Event(), count()

    def outcome(write, filmed, done, failed):
        hold.wait(0.001)
        end = person.folder / str(next(numbers))
        return lambda: done(end)

    monkeypatch.setattr(film, "_outcome", outcome)
    for _ in range(200):
        person.order(SCENE)
        hold.wait(0.001 * random())
        filming.cancel()
        assert not filming.running
        person.order(SCENE)
        thread = filming._thread
        filming.cancel()
        thread.join()
        assert not filming.running
    assert len(films) == len({*films}), "none ended twice"


def test_a_cancelled_film_leaves_nothing_and_the_next_may_begin(person: Person) -> None:
    person.each_frame = person.filming.cancel
    person.order(SCENE)
    for thread in threading.enumerate():
        if thread.name == "film":
            thread.join(30)
    assert person.progress == [0.25], "no frame after the one in which it was cancelled"
    assert not person.folder.exists() and not person.films and not person.told and not person.filming.running
    person.each_frame = lambda: None
    assert person.film(SCENE).exists()


def test_one_film_at_a_time(person: Person) -> None:
    go_on = threading.Event()
    person.each_frame = lambda: go_on.wait(30)
    person.order(SCENE)
    with pytest.raises(UserError, match="A film is being made; cancel it, or ask for the next one when it is there."):
        person.order(SCENE)
    go_on.set()
    assert person.over.wait(30) and len(person.films) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"background": "transparent"}, "mp4 cannot be transparent; choose one of webm, mov, webp, gif."),
        ({"size": 10**9}, "The size of a film is 1000000000; it has to be one of 32."),
        ({"format": "x" * 5000}, f"The format of a film is {'x' * 60}; it has to be one of mp4, webm, mov, webp, gif."),
    ],
)
def test_what_a_film_cannot_be(changes: dict, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        options(**changes)
    assert str(error.value) == sentence


def test_a_film_that_cannot_be_kept_or_made_is_one_sentence(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    person.folder = tmp_path / "file" / "videos"
    with pytest.raises(UserError, match=r"file/videos cannot be written \(Not a directory\)"):
        person.order(SCENE)
    with pytest.raises(UserError, match="is gone; select another one"):
        person.order(SCENE, id=7)
    person.folder = tmp_path / "file"
    with pytest.raises(UserError, match=r"/file is a file, not a folder; films cannot be kept there until it can\.$"):
        person.order(SCENE)
    assert not person.filming.running
    monkeypatch.setattr("disconerf_ns.viewer.film.check_folder", lambda *_: None)  # it becomes a file meanwhile
    person.order(SCENE)
    assert person.over.wait(30) and person.told == ["The film of object_00 is not there: File exists."]

    def fail(self, wanted):
        raise ZeroDivisionError

    person.folder = tmp_path / "videos"
    monkeypatch.setattr(Painter, "__call__", fail)
    person.order(SCENE)
    assert person.over.wait(30) and "ZeroDivisionError" in person.told[1] and "in fail" in caplog.text
    assert not person.folder.exists()


def test_a_film_computes_on_one_core_and_leaves_others_as_they_are(person: Person) -> None:
    torch.set_num_threads(2)
    there = []
    person.each_frame = lambda: there.append(torch.get_num_threads())
    person.film(SCENE)
    later = threading.Thread(target=lambda: there.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert there == [1] * FRAMES + [2] and torch.get_num_threads() == 2
