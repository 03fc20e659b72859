"""Values that people give to elements of the panel, while the program shows others and threads run as they like."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from inspect import iscoroutine
from typing import Any

import msgspec
import pytest
import viser
from viewer_presses import CAMERA, connect, serve, update, wait_for
from viser import _messages

from disconerf_ns.compat.viser_guard import guard_viser
from disconerf_ns.compat.viser_values import given_value
from disconerf_ns.viewer.tools import on_change


class AtOnce(Executor):
    """Does what is submitted before it returns."""

    def submit(self, fn: Callable, /, *arguments: Any, **named: Any) -> Future:
        done: Future = Future()
        done.set_result(fn(*arguments, **named))
        return done


@pytest.fixture
def server() -> Iterator[viser.ViserServer]:
    guard_viser()
    with serve() as server:
        yield server


def test_a_value_is_asked_for_though_the_program_shows_another_meanwhile(
    server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value that a person gave last was lost if the program showed another before it was read."""
    monkeypatch.setattr(server.gui, "_thread_executor", AtOnce())
    name, color = server.gui.add_text("Name", ""), server.gui.add_rgb("Colour", (0, 0, 0))
    asked: list[object] = []
    for field, shown in ((name, "as it was"), (color, (1, 2, 3))):
        field.on_update(lambda event, shown=shown: setattr(event.target._impl, "value", shown))
        on_change(field, lambda wish, value, what: asked.append(value), print)
    with connect(server) as page:
        for message in (CAMERA, update(name, value="kettle"), update(color, value=[7, 8, 9])):
            page.send(msgspec.msgpack.encode(message))
            wait_for(server.get_clients)
        wait_for(lambda: len(asked) == 2)
    assert set(asked) == {"kettle", (7, 8, 9)}


def test_of_values_that_are_taken_in_another_order_the_last_sent_stays(server: viser.ViserServer) -> None:
    """viser 0.2 takes a page's messages in many threads; a colour that was dragged ended as one on the way."""
    size = server.gui.add_slider("Size", 0.0, 9.0, 1.0, 1.0)
    with connect(server) as page:
        page.send(msgspec.msgpack.encode(CAMERA))
        wait_for(server.get_clients)
        (client,) = server.get_clients()
        for number, value in ((2, 5), (1, 4), (4, 7), (3, 6)):
            message = _messages.GuiUpdateMessage(*[*update(size, value=value).values()][1:])
            message.number = number  # pyright: ignore[reportAttributeAccessIssue]
            taken = server.gui._handle_gui_updates(client, message)
            if iscoroutine(taken):
                asyncio.run(taken)
    assert size.value == given_value(size) == 7.0
