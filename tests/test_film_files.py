"""Files of films, read back by ffmpeg: alpha and colours, number of frames, speed; and whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from film_scene import BALL, photographs
from PIL import Image

from disconerf_ns.errors import UserError
from disconerf_ns.filming import writers
from disconerf_ns.filming.backdrop import WHITE, color_behind, parse_backdrop
from disconerf_ns.filming.production import laid_on, produce, write_grid, write_sheet
from disconerf_ns.filming.sheet import CAPTION, SmallFilms, caption, shortened
from disconerf_ns.filming.shots import Shot
from disconerf_ns.filming.writers import FORMATS, Alpha, film_file, write_film
from disconerf_ns.scene.objects import ObjectId, SceneObject

ORANGE = (230, 102, 26)
HEIGHT, WIDTH, COUNT, FPS = 48, 64, 6, 12.0
SMOOTH = [name for name, format in FORMATS.items() if format.alpha is Alpha.SMOOTH]


def moving_disc() -> np.ndarray:
    """Frames with an orange disc whose alpha falls from 1 to 0 over eight pixels, and orange all around."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    frames = np.full((COUNT, HEIGHT, WIDTH, 4), [*ORANGE, 0], np.uint8)
    for number, frame in enumerate(frames):
        frame[..., 3] = 255 * np.clip((16 - np.hypot(x - 20 - 4 * number, y - 24)) / 8 + 0.5, 0, 1)
    return frames


def read_back(path: Path) -> np.ndarray:
    """All frames as RGBA, by a program that is not ours."""
    if path.is_dir():
        return np.stack([np.asarray(Image.open(file)) for file in sorted(path.iterdir())]).astype(float)
    with_alpha = ["-c:v", "libvpx-vp9"] if path.suffix == ".webm" else []
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *with_alpha, "-i", str(path)]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgba", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 4).astype(float)


@pytest.mark.parametrize("name", SMOOTH)
def test_alpha_and_straight_colours_are_read_back(name: str, tmp_path: Path) -> None:
    """There was no alpha in any file."""
    frames = moving_disc()
    with film_file(tmp_path / "disc", FORMATS[name], FPS) as put:
        for frame in frames:
            put(frame)
    found = read_back(tmp_path / f"disc{FORMATS[name].suffix}")
    assert found.shape == frames.shape
    alpha = frames[..., 3].astype(float)
    assert np.abs(found[..., 3] - alpha).max() <= 8 and np.abs(found[..., 3] - alpha).mean() < 0.6
    half = (alpha > 30) & (alpha < 225)
    assert half.sum() > 1000, "pixels at the border"
    assert np.abs(found[..., :3] - ORANGE)[half].max() <= 6, "not multiplied by alpha"


def test_a_gif_is_there_or_not(tmp_path: Path) -> None:
    frames = moving_disc()
    write_film(tmp_path / "disc.gif", frames, FPS)
    found = read_back(tmp_path / "disc.gif")
    sure = np.abs(frames[..., 3].astype(int) - 128) > 8
    assert np.array_equal(found[..., 3][sure] > 128, frames[..., 3][sure] > 128)
    assert np.abs(found[..., :3] - ORANGE)[found[..., 3] > 128].max() <= 8


@pytest.mark.parametrize("name", ["mp4", "webm", "mov"])
def test_number_of_frames_speed_and_size(name: str, tmp_path: Path) -> None:
    """Films were 16 frames played twice."""
    opaque = FORMATS[name].alpha is Alpha.NONE
    write_film(tmp_path / f"a.b.{name}", moving_disc()[..., : 3 if opaque else 4], FPS)
    with av.open(tmp_path / f"a.b.{name}") as film:
        stream = film.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (WIDTH, HEIGHT, FPS)
        assert len(list(film.decode(stream))) == COUNT
        assert film.duration / 1e6 == pytest.approx(COUNT / FPS, abs=0.01)


def test_colours_on_a_plain_background_and_odd_sizes(tmp_path: Path) -> None:
    write_film(tmp_path / "odd.mp4", np.full((2, 49, 65, 3), ORANGE, np.uint8), 24.0)
    assert np.abs(read_back(tmp_path / "odd.mp4")[..., :3] - ORANGE).max() <= 4
    write_film(tmp_path / "opaque.mov", np.full((2, 48, 64, 3), 0.5, np.float32), 24.0)
    assert np.abs(read_back(tmp_path / "opaque.mov") - [128, 128, 128, 255]).max() <= 2


@pytest.mark.parametrize("name", FORMATS)
def test_a_film_is_there_whole_or_not_at_all(name: str, tmp_path: Path) -> None:
    """A video of 0 bytes was left when writing failed; an older film stays as it was."""

    def frames(fail: bool, level: int):
        yield np.full((16, 16, 4), level, np.uint8)
        if fail:
            raise OSError("no space left")

    path = tmp_path / f"film{FORMATS[name].suffix}"
    write_film(path, frames(False, 20), FPS)
    content = sorted(file.read_bytes() for file in (path.iterdir() if path.is_dir() else [path]))
    for target in (path, tmp_path / f"other{FORMATS[name].suffix}"):
        with pytest.raises(OSError, match="no space"):
            write_film(target, frames(True, 200), FPS)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert content == sorted(file.read_bytes() for file in (path.iterdir() if path.is_dir() else [path]))
    write_film(path, frames(False, 200), FPS)
    assert content != sorted(file.read_bytes() for file in (path.iterdir() if path.is_dir() else [path]))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", FORMATS)
def test_no_frames_are_no_film(name: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"film.* is not written: there are no frames; give at least one"):
        write_film(tmp_path / f"film{FORMATS[name].suffix}", [], FPS)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    """`save_film("results", frames)` deleted all of results."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "notes.txt").write_text("of months")
    with pytest.raises(OSError, match=r"results is not written: it holds notes\.txt.*name another folder"):
        write_film(tmp_path / "results", moving_disc(), FPS)
    assert (tmp_path / "results" / "notes.txt").read_text() == "of months"
    assert [each.name for each in tmp_path.iterdir()] == ["results"]


def test_a_colon_in_a_path_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_film(Path("a:b") / "film.mp4", moving_disc(), FPS)
    assert read_back(tmp_path / "a:b" / "film.mp4").shape[0] == len(moving_disc())


def test_what_the_encoder_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "mp4", FORMATS["webm"].__class__(".mp4", Alpha.NONE, ("-c:v", "no_such_encoder")))
    with pytest.raises(OSError, match="ffmpeg failed: .*(encoder|Encoder|option)"):
        write_film(tmp_path / "film.mp4", np.zeros((400, 64, 64, 3), np.uint8), 24.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_one_sentence_and_leaves_no_film(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message named ffmpeg's part, and no file. Linux keeps a device that is always full."""

    def no_room(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    command = writers._command
    monkeypatch.setattr(writers, "_command", lambda *given: [*command(*given)[:-1], "-f", name, "/dev/full"])
    monkeypatch.setattr(Image.Image, "save", no_room)
    film = tmp_path / f"film{FORMATS[name].suffix}"
    said = rf"^{film} is not written.*No space left on device; make room there"
    with pytest.raises(OSError, match=said):
        write_film(film, moving_disc(), FPS)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- what is behind


def test_backdrops() -> None:
    assert parse_backdrop("#0080ff") == pytest.approx((0, 128 / 255, 1)) and parse_backdrop("white") == WHITE
    assert color_behind(None, FORMATS["mp4"]) == WHITE and color_behind(None, FORMATS["webm"]) is None
    assert color_behind(None, FORMATS["gif"]) == WHITE and color_behind("transparent", FORMATS["gif"]) is None
    assert color_behind((0.0, 0.0, 0.0), FORMATS["png"]) == (0.0, 0.0, 0.0)
    with pytest.raises(UserError, match="--background is blurple; it has to be transparent, scene, or a colour"):
        parse_backdrop("blurple")
    with pytest.raises(UserError, match="mp4 cannot be transparent; choose --format webm"):
        color_behind("transparent", FORMATS["mp4"])
    half = np.full((1, 1, 4), [200, 100, 0, 51], np.uint8)
    assert laid_on(half, WHITE)[0, 0].tolist() == [244, 224, 204], "255 + 0.2 * (colour - 255)"
    assert laid_on(half, None) is half


# ---------------------------------------------------------------- all films together


def shown(number: int, title: str = "") -> SceneObject:
    color = ((0.9, 0.1, 0.1), (0.1, 0.1, 0.9))[number]
    box = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return SceneObject(ObjectId(number), number, title, color, 0.1, 1.0, 3, box, box, frozenset([number]), True)


def test_films_in_several_formats_a_contact_sheet_and_a_grid(tmp_path: Path) -> None:
    """Both films' frames are drawn once, and the pages show both objects' names and colours."""
    objects = [shown(0, "teapot"), shown(1)]
    shots = [Shot(each.file_name, BALL, photographs(count=3)) for each in objects]
    drawn, told = moving_disc(), []
    tiles = SmallFilms(objects, 3)
    written = produce(shots, iter(drawn), tmp_path, {"png": None, "mp4": WHITE}, FPS, tiles, told.append)
    assert written == ["object_00_teapot", "object_00_teapot.mp4", "object_01", "object_01.mp4"]
    assert [shot.name for shot in told] == ["object_00_teapot"] * 3 + ["object_01"] * 3
    for film, name in enumerate(["object_00_teapot", "object_01"]):
        assert np.array_equal(read_back(tmp_path / name), drawn[3 * film : 3 * film + 3])
        corner = read_back(tmp_path / f"{name}.mp4")[0, :8, -8:, :3]
        assert corner.min() > 248, "white"
    write_sheet(tiles, tmp_path / "sheet.png")
    write_grid(tiles, tmp_path / "all.mp4", FPS)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png")).astype(int)
    assert sheet.shape == (HEIGHT + CAPTION, 2 * WIDTH, 3)
    for column, color in enumerate(((230, 26, 26), (26, 26, 230))):
        caption = sheet[HEIGHT:, column * WIDTH : (column + 1) * WIDTH]
        assert (np.abs(caption - color).max(-1) <= 2).sum() > 80, "the object's colour"
        assert (caption[:, 26:].max(-1) < 100).sum() > 20, "its name"
    assert np.abs(sheet[24, 20 + 0] - ORANGE).max() <= 3 and np.abs(sheet[24, WIDTH + 20 + 12] - ORANGE).max() <= 3
    with av.open(tmp_path / "all.mp4") as film:
        assert len(list(film.decode(video=0))) == 3


def test_a_film_that_fails_leaves_those_before_it(tmp_path: Path) -> None:
    shots = [Shot(name, BALL, photographs(count=3)) for name in ("first", "second")]

    def frames():
        yield from moving_disc()[:4]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        produce(shots, frames(), tmp_path, {"webm": None, "png": None}, FPS, None, lambda _: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "first.webm"]


def test_a_name_stands_below_the_output_name_where_there_is_no_room_beside_it() -> None:
    def lines(caption: np.ndarray) -> list[bool]:
        """Whether something is written in the upper and the lower quarter."""
        ink, quarter = caption.min(-1) < 180, CAPTION // 4
        return [bool(part[:, 26:].any()) for part in (ink[:quarter], ink[-quarter:])]

    assert lines(caption(shown(0, "teapot"), 256)) == lines(caption(shown(0), 100)) == [False, False]
    assert lines(caption(shown(0, "teapot"), 100)) == [True, True]


@pytest.mark.parametrize(
    ("letters", "shown"), [(13, "red mug, left"), (9, "red mug,…"), (5, "red…"), (2, "r…"), (0, "")]
)
def test_a_name_without_room_ends_in_an_ellipsis(letters: int, shown: str) -> None:
    assert shortened("red mug, left", lambda text: len(text) <= letters) == shown
