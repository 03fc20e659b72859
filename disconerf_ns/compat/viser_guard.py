"""viser's server among strangers: it serves its own files alone, and drops messages that no browser of its would send.

viser 0.2 joins the path of a request to its folder without a look at `..`. A message that it cannot read ends the
client's connection without a farewell, so that nerfstudio draws for it for ever; a value out of range reaches
nerfstudio's render threads, which end with the first error.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import count
from typing import Any

from viser import _client_autobuild, _messages
from viser.infra import _infra

from disconerf_ns.compat.confined import ConfinedFolder
from disconerf_ns.compat.viser_history import forget_what_is_removed
from disconerf_ns.compat.viser_icons import unpack_icons_once
from disconerf_ns.compat.viser_values import guard_values

LONGEST = 1000
"""Characters of a text that a client sends, at most."""
LARGEST = 1e6
"""Magnitude of a number that a client sends, at most; angles are in radians, lengths in viser's units."""
ASPECTS = 0.02, 50.0
"""Width over height of a client's window."""
FOVS = 1e-3, math.pi - 1e-3
"""Vertical angle of view in radians."""
RATE, BURST = 1000, 50
"""Messages a second that are taken from one client, and at once; a browser sends 60 where something is dragged."""


def guard_viser() -> None:
    """Guard every server that this process starts from now on."""
    if _infra._message_consumer is not _consume:
        look = _client_autobuild._check_viser_yarn_running
        _client_autobuild._check_viser_yarn_running = _despite_processes_that_end(look)
        _infra._message_consumer = _consume
        _infra._message_producer = _sending_in_turn(_infra._message_producer)
        _infra.WebsockServer.start = _serving_its_own_files(_infra.WebsockServer.start)
        _infra.WebsockMessageHandler.atomic = _ending(_infra.WebsockMessageHandler.atomic)
        forget_what_is_removed()
        unpack_icons_once()
        guard_values()


def _despite_processes_that_end(look: Callable[[], bool]) -> Callable[[], bool]:
    """viser's look for developers of its page among all processes, which fails if one ends meanwhile."""

    @wraps(look)
    def looked() -> bool:
        try:
            return look()
        except Exception:  # psutil.NoSuchProcess
            return False

    return looked


def _serving_its_own_files(start: Callable) -> Callable:
    @wraps(start)
    def confined(server: _infra.WebsockServer) -> None:
        if server._http_server_root is not None:
            server._http_server_root = ConfinedFolder(server._http_server_root)
        start(server)

    return confined


def _ending(atomic: Callable) -> Callable:
    """viser's messages that belong together, also where something is raised among them.

    viser holds a lock for ever then, and nobody's page hears anything any more: nerfstudio raises when a camera moves
    whose client has just left.
    """

    @wraps(atomic)
    @contextmanager
    def together(handler: Any) -> Iterator[None]:
        messages = atomic(handler)
        messages.__enter__()
        try:
            yield
        finally:
            messages.__exit__(None, None, None)

    return together


def _sending_in_turn(produce: Callable) -> Callable:
    """viser's loop that sends, of which a client has two; both may wait for a slow client.

    The connection of viser 0.2 takes that for an error. Whatever error ends the loop, the client leaves as others do.
    """

    closings = _infra.websockets.exceptions  # pyright: ignore[reportPrivateImportUsage]

    @wraps(produce)
    async def sending(websocket: Any, *about: Any) -> None:
        legacy = type(websocket).__module__.startswith("websockets.legacy")
        if legacy and "drain" not in vars(websocket):
            websocket.drain = _one_by_one(websocket.drain)
        try:
            await produce(websocket, *about)
        except closings.ConnectionClosed:
            raise
        except Exception as error:
            raise closings.ConnectionClosedError(None, None) from error

    return sending


def _one_by_one(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    turn = asyncio.Lock()

    async def in_turn() -> None:
        async with turn:
            await work()

    return in_turn


async def _consume(websocket: Any, handle: Callable[[Any], None], message_class: Any) -> None:
    """Hand a client's messages over, as viser does, except those that cannot be read or hold what no browser sends.

    Of a flood, the rest waits in the connection: viser's threads would leave those that draw no time.
    """
    clock = asyncio.get_running_loop().time
    begun = clock()
    for number in count(1):
        raw = await websocket.recv()
        if number % BURST == 0:
            await asyncio.sleep(max(begun + BURST / RATE - clock(), 0))
            begun = clock()
        try:
            message = message_class.deserialize(raw)
            sound = is_sound(message)
            message.number = number
        except Exception:  # whatever a stranger's bytes bring about
            continue
        if sound:
            try:
                handle(message)
            except RuntimeError:
                if threading.main_thread().is_alive():
                    raise
                return  # Python ends, and viser's threads have ended


def is_sound(message: Any) -> bool:
    """Whether all numbers of a message are finite, and a camera could have taken a picture, handles have a turn."""
    if isinstance(message, _messages.ViewerCameraMessage):
        shapes = [len(vector) for vector in (message.wxyz, message.position, message.look_at, message.up_direction)]
        if shapes != [4, 3, 3, 3] or math.hypot(*message.wxyz) < 1e-3:
            return False
        if not (FOVS[0] <= message.fov <= FOVS[1] and ASPECTS[0] <= aspect_of(message) <= ASPECTS[1]):
            return False
    if isinstance(message, _messages.TransformControlsUpdateMessage) and (
        [len(message.wxyz), len(message.position)] != [4, 3] or math.hypot(*message.wxyz) < 1e-3
    ):
        return False
    return all(_is_bounded(value) for value in vars(message).values())


def aspect_of(camera: Any) -> float:
    """Width over height of a client's window, of which viser 1 sends both; 0 of a window without height."""
    if hasattr(camera, "aspect"):
        return camera.aspect
    return camera.image_width / camera.image_height if camera.image_height else 0.0


def _is_bounded(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_bounded, value))
    if isinstance(value, dict):
        return all(map(_is_bounded, value.values()))
    if isinstance(value, (int, float)):
        return abs(value) <= LARGEST  # false for NaN
    return not isinstance(value, str) or len(value) <= LONGEST
