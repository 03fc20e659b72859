"""A film that a person orders in the viewer: what `disconerf render` makes, in the background, for a download."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from disconerf_ns.errors import UserError, cause, reason
from disconerf_ns.files import check_folder
from disconerf_ns.filming.backdrop import color_behind, parse_backdrop
from disconerf_ns.filming.frames import Painter, Wanted
from disconerf_ns.filming.production import produce
from disconerf_ns.filming.shots import Shot, orbit
from disconerf_ns.filming.writers import FORMATS, Alpha
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.viewer.background import in_background

CHOICES: Mapping[str, tuple[Any, ...]] = {
    "size": (128, 256, 384, 512, 768, 1024),
    "seconds": (1, 2, 4, 8),
    "format": ("mp4", "webm", "mov", "webp", "gif"),
    "background": ("white", "black", "grey", "transparent", "scene"),
}
"""Values that the fields of `FilmOptions` may have."""
RATE = 24
"""Frames per second."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilmOptions:
    """What a film is like.

    Raises:
        UserError: a value is none of `CHOICES`, or the format cannot be transparent and is to be.
    """

    size: int = 256
    """Side of the square picture in pixels."""
    seconds: int = 2
    """Length of the turn."""
    format: str = "mp4"
    """Name in `FORMATS`."""
    background: str = "white"
    """A colour behind the object, nothing, or the edited scene around it."""

    def __post_init__(self):
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                listed = ", ".join(map(str, allowed))
                raise UserError(f"The {name} of a film is {str(value)[:60]}; it has to be one of {listed}.")
        if self.background == "transparent" and FORMATS[self.format].alpha is Alpha.NONE:
            able = ", ".join(name for name in CHOICES["format"] if FORMATS[name].alpha is not Alpha.NONE)
            raise UserError(f"{self.format} cannot be transparent; choose one of {able}.")

    @property
    def frames(self) -> int:
        """Number of frames."""
        return RATE * self.seconds

    def shot(
        self, scene: ArrangedScene, filmed: SceneObject, photographs: Cameras, start: Float[Tensor, "3"] | None
    ) -> Shot:
        """The cameras of an object's film."""
        among = self.background == "scene"
        return replace(orbit(scene, filmed, photographs, self.frames, self.size, among, start), name="film")


class _Cancelled(Exception):
    """Nobody wants the film any more."""


@runtime_checkable
class Audience(Protocol):
    """Who hears of a film; the thread that films calls all three."""

    def film_goes_on(self) -> None:
        """One more frame is done."""

    def film_is_there(self, film: Path) -> None:
        """The film's file is written."""

    def film_failed(self, sentence: str) -> None:
        """There will be no film, and why."""


class Filming:
    """One person's films, one at a time.

    Args:
        folder: gives the folder that keeps them.
        audience: hears of them; somebody else may take the place, also while one is being made.
    """

    def __init__(self, folder: Callable[[], Path], audience: Audience):
        self.folder, self.audience = folder, audience
        self.label, self.part = "", 0.0
        """Name of the object that is filmed, and how much of its film is done, in [0, 1]."""
        self._ended: Lock | None = None
        """Of the last film; taken once, by the one who cancels it or by the thread that has made it."""
        self._thread: Thread | None = None

    @property
    def running(self) -> bool:
        """Whether a film is being made."""
        return self._ended is not None and not self._ended.locked()

    def cancel(self) -> None:
        """Stop the film, if there is one, before its next frame.

        The audience hears no more of it, and no file is left.
        """
        if self._ended is not None:
            self._ended.acquire(blocking=False)

    def start(
        self,
        scene: ArrangedScene,
        id: ObjectId,
        options: FilmOptions,
        photographs: Cameras,
        start_position: Float[Tensor, "3"] | None,
    ) -> None:
        """Begin to film an object; returns at once.

        Args:
            scene: the scene as it is filmed, whatever becomes of it meanwhile.
            photographs: the training cameras.
            start_position: the side from which a full turn begins, in scene coordinates; by default that of the
                photograph that sees the object best.
        Raises:
            UserError: a film is being made, there is no such object, or the folder cannot be written.
        """
        if self.running:
            raise UserError("A film is being made; cancel it, or ask for the next one when it is there.")
        filmed = scene.by_id.get(id)
        if filmed is None:
            raise UserError("The object that is to be filmed is gone; select another one.")
        folder = self.folder()
        check_folder(folder, "films cannot be kept there until it can.")
        ended = self._ended = Lock()
        self.label, self.part = filmed.label, 0.0

        def progress(part: float) -> None:
            if not ended.locked():
                self.part = part
                self.audience.film_goes_on()

        def work() -> None:
            end = _outcome(
                lambda: _write(folder, scene, filmed, options, photographs, start_position, progress, ended),
                filmed, lambda film: self.audience.film_is_there(film), lambda why: self.audience.film_failed(why),
            )  # fmt: skip
            if ended.acquire(blocking=False):
                end()

        self._thread = in_background(work, "film")

    def close(self, seconds: float) -> None:
        """Stop the film and wait until it has stopped, for some seconds at most."""
        self.cancel()
        if self._thread is not None:
            self._thread.join(seconds)


def _outcome(
    write: Callable[[], Path], filmed: SceneObject, done: Callable[[Path], None], failed: Callable[[str], None]
) -> Callable[[], None]:
    """What is to be said when a film is over."""
    try:
        return partial(done, write())
    except _Cancelled:
        return lambda: None
    except (UserError, OSError) as error:
        return partial(failed, f"The film of {filmed.label[:60]} is not there: {cause(error)}.")
    except Exception as error:
        _log.exception("a film failed")
        said = f"{type(error).__name__}: {reason(error)}"
        return partial(failed, f"The film of {filmed.label[:60]} failed ({said}); the log has the details.")


def _write(
    folder: Path,
    scene: ArrangedScene,
    filmed: SceneObject,
    options: FilmOptions,
    photographs: Cameras,
    start: Float[Tensor, "3"] | None,
    progress: Callable[[float], None],
    ended: Lock,
) -> Path:
    """Write a film; the file, of a name that no earlier film has.

    Raises:
        _Cancelled: it was cancelled.
        UserError, OSError: it cannot be made or written.
    """
    behind = color_behind(parse_backdrop(options.background), FORMATS[options.format])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(dir=folder, prefix=".film") as part:
            shot = options.shot(scene, filmed, photographs, start)
            drawn = count(1)
            (name,) = produce(
                [shot],
                _frames(scene, shot, ended),
                Path(part),
                {options.format: behind},
                float(RATE),
                None,
                lambda _: progress(next(drawn) / options.frames),
            )
            if ended.locked():
                raise _Cancelled
            return placed(Path(part) / name, folder, filmed.file_name)
    finally:
        with suppress(OSError):
            folder.rmdir()  # only an empty one


def _frames(scene: ArrangedScene, shot: Shot, ended: Lock) -> Iterator[UInt8[np.ndarray, "height width channels"]]:
    paint = Painter(scene)
    for number in range(len(shot.cameras)):
        if ended.locked():
            raise _Cancelled
        yield paint(Wanted(shot.shown, shot.look(), shot.cameras[number : number + 1]))


def placed(film: Path, folder: Path, name: str) -> Path:
    """A film moved into a folder under a name, or, where that is another film's, the name with a number."""
    for number in count(1):
        place = folder / f"{name}{f'_{number}' if number > 1 else ''}{film.suffix}"
        try:
            os.link(film, place)  # fails where there is one, also if another person's film has just come
            return place
        except FileExistsError:
            continue
        except OSError:  # the file system has no hard links
            if not place.exists():
                return film.replace(place)
    raise AssertionError
