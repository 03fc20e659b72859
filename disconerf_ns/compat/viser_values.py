"""Values that people give to viser's elements: those alone that fit, in the order in which each page sent them.

viser 0.2 takes the messages of a page in many threads at once: of a slider that is dragged, a value before the last
might stay. viser tells a function that an element was changed and leaves it to read the value, in whose place the
program may have put another by then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from viser import ViserServer, _gui_api

COLORS = 0, 255


def guard_values() -> None:
    """Guard the elements that are made from now on."""
    _gui_api.GuiApi._create_gui_input = _with_a_record(_gui_api.GuiApi._create_gui_input)
    _gui_api.GuiApi._handle_gui_updates = _of_fitting_values(_gui_api.GuiApi._handle_gui_updates)


def given_value(handle: Any) -> Any:
    """The value that a person gave an element last, whatever the program shows in it since then."""
    return _record(handle).given


class _Record:
    """Facts of an element that viser does not keep.

    Args:
        limits: viser's message or properties that hold them; None of an element that was made before the guard.
    """

    def __init__(self, limits: Any = None):
        self.limits, self.given, self.turn = limits, None, threading.Lock()
        self._newest: dict[int, int] = {}

    def take(self, client_id: int, message: Any, now: Any) -> bool:
        """Note a message's value as given, in the type of the element's; false if the page sent another since."""
        if message.number < self._newest.get(client_id, 0):
            return False
        value = message.updates["value"]
        self._newest[client_id] = message.number
        self.given = tuple(map(type(now[0]), value)) if isinstance(now, tuple) else type(now)(value)
        return True


def _record(handle: Any) -> _Record:
    return vars(getattr(handle, "_impl", handle)).setdefault("record", _Record())


def _with_a_record(create: Callable) -> Callable:
    """Elements with their limits, which viser 0.2 sends to the pages and forgets."""

    @wraps(create)
    def recording(gui: _gui_api.GuiApi, value: Any, message: Any, *arguments: Any, **named: Any) -> Any:
        made = create(gui, value, message, *arguments, **named)
        _record(made).limits = getattr(message, "props", message)
        return made

    return recording


def _of_fitting_values(update: Callable) -> Callable:
    def element(gui: _gui_api.GuiApi, client_id: int, message: Any) -> Any:
        """The element that a message is for, if it can have its value."""
        if not _is_there(gui, client_id):
            return None
        handles = getattr(gui, "_gui_input_handle_from_uuid", None) or getattr(gui, "_gui_input_handle_from_id", {})
        handle = handles.get(getattr(message, "uuid", None) or getattr(message, "id", None))
        sound = handle is not None and message.updates.keys() == {"value"} and fits(handle, message.updates["value"])
        return handle if sound else None

    def is_newest(handle: Any, client_id: int, message: Any) -> bool:
        return handle._impl.is_button or _record(handle).take(client_id, message, handle.value)

    if iscoroutinefunction(update):  # since viser 1, whose loop takes messages one by one

        @wraps(update)
        async def checked_later(gui: _gui_api.GuiApi, client_id: int, message: Any) -> None:
            handle = element(gui, client_id, message)
            if handle is not None and is_newest(handle, client_id, message):
                with _unless_it_leaves(gui, client_id):
                    await update(gui, client_id, message)

        return checked_later

    @wraps(update)
    def checked(gui: _gui_api.GuiApi, client_id: int, message: Any) -> None:
        if (handle := element(gui, client_id, message)) is None:
            return
        with _record(handle).turn, _unless_it_leaves(gui, client_id):
            if is_newest(handle, client_id, message):
                update(gui, client_id, message)

    return checked


def _is_there(gui: _gui_api.GuiApi, client_id: int) -> bool:
    """Whether a client has introduced itself with its camera, as a browser does first, and has not left."""
    return not isinstance(gui._owner, ViserServer) or client_id in gui._owner.get_clients()


@contextmanager
def _unless_it_leaves(gui: _gui_api.GuiApi, client_id: int) -> Iterator[None]:
    """Take it for granted that a client is not found which leaves while its message is taken."""
    try:
        yield
    except KeyError as error:
        if error.args != (client_id,) or _is_there(gui, client_id):
            raise


def fits(handle: Any, value: Any) -> bool:
    """Whether an element can have a value: of its type, within its limits, one of its options."""
    now, limits = handle.value, _record(handle).limits
    options = getattr(handle, "options", getattr(limits, "options", None))
    if options is not None:
        return value in options
    if isinstance(now, (bool, str)):
        return isinstance(value, type(now))
    low, high = getattr(limits, "min", None), getattr(limits, "max", None)
    if isinstance(now, (int, float)):
        return _is_within(value, low, high)
    if isinstance(now, tuple):
        if type(limits).__name__.startswith(("GuiAddRgb", "GuiRgb")):
            low, high = COLORS
        lows, highs = (limit if isinstance(limit, tuple) else (limit,) * len(now) for limit in (low, high))
        return isinstance(value, (tuple, list)) and len(value) == len(now) and all(map(_is_within, value, lows, highs))
    return True


def _is_within(value: Any, low: Any, high: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and (low is None or value >= low) and (high is None or value <= high)
