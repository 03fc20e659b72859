"""Small pictures by which a person knows the objects in the list, made one by one when nothing else is drawn."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from threading import Condition, Event, Thread
from typing import NamedTuple

from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.errors import UserError
from disconerf_ns.filming.matte import Picture
from disconerf_ns.filming.portrait import piece, portrait, voxels_surround
from disconerf_ns.report.pictures import still
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.clean import Body
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import Box, ObjectId, SceneObject
from disconerf_ns.viewer.background import in_background

SIZE = 48
"""Side of a picture in pixels; it is shown at half of that, sharp on screens with two pixels in one."""
EVERY = 0.5
"""Seconds, at least, between two times that somebody is told of new pictures."""
PAUSE = 30.0
"""Seconds after which a picture is made anew of an object that the training has found to be a little different."""
POLL = 0.02
"""Seconds between two looks whether a person's picture is still being drawn."""

_log = logging.getLogger(__name__)


class _Key(NamedTuple):
    """All that an object's picture depends on."""

    looks: Hashable
    """Its slots, its colours, and how it is looked at."""
    boxes: tuple[Box, Box]
    """Its box and its reach; the training changes them a little whenever objects are listed anew."""


class _Made(NamedTuple):
    """A picture, and when it was made."""

    key: _Key
    when: float
    picture: str | None
    """A data URI; None of an object that cannot be seen."""

    def serves(self, key: _Key) -> bool:
        """Whether it is good enough for an object that depends on something."""
        return self.key == key or (self.key.looks == key.looks and time.monotonic() - self.when < PAUSE)


class Thumbnails:
    """Pictures of the objects of the current scene, made by a thread of its own.

    Args:
        current: the scene whose objects are shown.
        photographs: gives the training cameras.
        changed: called, by that thread and at most every `EVERY` seconds, when there are new pictures.
        busy: whether a person waits for something else that is drawn; pictures of objects wait until it is there.
    """

    def __init__(
        self,
        current: CurrentScene,
        photographs: Callable[[], Cameras],
        changed: Callable[[], None],
        busy: Callable[[], bool],
    ):
        self.current, self.photographs, self.changed, self.busy = current, photographs, changed, busy
        self._made: dict[ObjectId, _Made] = {}
        self._wanted: dict[ObjectId, float] = {}
        """Shares of the objects whose pictures are asked for or being made, in the order of asking."""
        self._asked, self._closed, self._largest = Condition(), Event(), False
        self._thread: Thread | None = None

    def of(self, each: SceneObject) -> str | None:
        """An object's picture as a data URI; while a new one is being made the old one, and None without one."""
        made, key = self._made.get(each.id), key_of(self.current.value, each)
        if made is None or not made.serves(key):
            self._want(each)
        return None if made is None else made.picture

    def close(self, seconds: float) -> None:
        """Draw nothing more, and end the thread; waits for the picture being drawn, for some seconds at most."""
        self._closed.set()
        with self._asked:
            self._asked.notify()
            thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _want(self, each: SceneObject) -> None:
        with self._asked:
            self._wanted.setdefault(each.id, each.share)
            self._asked.notify()
            if self._thread is None:
                self._thread = in_background(self._work, "thumbnails")

    def _work(self) -> None:
        told, untold = 0.0, False
        while not self._closed.is_set():
            with self._asked:
                pause = max(told + EVERY - time.monotonic(), 0) if untold else None
                self._asked.wait_for(lambda: self._wanted or self._closed.is_set(), pause)
                id = self._next()
            try:
                if id is not None:
                    untold |= self._make(id)
                if untold and time.monotonic() - told >= EVERY:
                    told, untold = time.monotonic(), False
                    self.changed()
            except Exception:
                _log.exception("a picture of an object could not be shown")

    def _next(self) -> ObjectId | None:
        """By turns the largest object, one without a picture first, and the one that was asked for last."""
        if not self._wanted:
            return None
        self._largest = not self._largest
        if self._largest:
            return max(self._wanted, key=lambda id: (id not in self._made, self._wanted[id]))
        return next(reversed(self._wanted))

    def _make(self, id: ObjectId) -> bool:
        """Make a picture; False if there is no such object any more, or nobody who looks."""
        try:
            while self.busy() and not self._closed.wait(POLL):
                pass
            if self._closed.is_set():
                return False
            scene = showing(self.current.value, id)
            each = scene.by_id.get(id)
            if each is not None:
                picture = self._picture(scene, each)
                self._made[id] = _Made(key_of(scene, each), time.monotonic(), picture)
            return each is not None
        finally:
            with self._asked:
                del self._wanted[id]

    def _picture(self, scene: ArrangedScene, each: SceneObject) -> str | None:
        try:
            return still(drawn_of(scene, each, self.photographs()))
        except UserError as error:
            _log.info("%s", error)
        except Exception:
            _log.exception("there is no picture of %s", each.name)
        return None


def showing(scene: ArrangedScene, id: ObjectId) -> ArrangedScene:
    """The scene at a cut that shows an object, which may be a part of one, or hold several, at its own cut."""
    tree = scene.trained.tree
    if id in scene.by_id or id >= len(tree):
        return scene
    colors = {node: color for node, color in scene.edit.colors.items() if node < len(tree)}  # nothing is split there
    return scene.with_edit(Edit(colors=colors).at(0.0).open(*tree.ancestors(id)))


def key_of(scene: ArrangedScene, each: SceneObject) -> _Key:
    """What an object's picture depends on: not on its name, nor on whether it is hidden or where it stands."""
    looks = each.slots, each.whole, scene.edit.colors.get(each.id), scene.options.extraction
    return _Key(looks, (each.box, each.reach))


def drawn_of(scene: ArrangedScene, each: SceneObject, photographs: Cameras) -> Picture:
    """An object's picture: alone, or, of what surrounds the photographs, a piece of what they show.

    Raises:
        UserError: nothing of it can be seen.
    """
    within = scene.bodies.occupancy(each.id)
    surrounds = each.id in scene.bodies.surrounding or voxels_surround(within, photographs)
    if each.number is None or surrounds:
        return piece(scene, each, photographs, SIZE)
    return portrait(scene, each, Body(within), photographs, SIZE)
