"""Forget messages about removed elements and scene nodes, which viser 0.2 keeps and sends to every page opened later.

nerfstudio often removes an element and adds it anew to change it, so a page that is opened after a day would add and
remove thousands of elements. Messages about a removed thing are forgotten at once, and its removal as soon as every
open page has been told. viser 1 does so by itself, except for nodes below a removed one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from viser import _messages
from viser.infra import _infra
from viser.infra._async_message_buffer import AsyncMessageBuffer

REMOVALS = _messages.GuiRemoveMessage, _messages.RemoveSceneNodeMessage


@dataclass
class _Told:
    """How much of a buffer's messages is told; the buffer's lock guards it."""

    until: dict[int, int] = field(default_factory=dict)
    """Number of the last message, or of an earlier one, that a client was told."""
    removals: deque[int] = field(default_factory=deque)
    """Numbers of the removals in the buffer, the oldest first."""


def forget_what_is_removed() -> None:
    """Let every buffer of this process that keeps its messages forget what is removed."""
    if hasattr(AsyncMessageBuffer, "remove_from_buffer"):  # since viser 1
        return
    AsyncMessageBuffer.push = _forgetting(AsyncMessageBuffer.push)
    AsyncMessageBuffer.window_generator = _noting(AsyncMessageBuffer.window_generator)
    _infra._message_producer = _while_there(_infra._message_producer)


def _forgetting(push: Callable) -> Callable:
    @wraps(push)
    def pushed(buffer: AsyncMessageBuffer, message: Any) -> None:
        push(buffer, message)
        if not buffer.persistent_messages or not isinstance(message, REMOVALS):
            return
        with buffer.buffer_lock:
            number = _number_of(message, buffer)
            if number is None:  # somebody removes the same, and does the rest
                return
            for earlier, told in list(buffer.message_from_id.items()):
                if earlier < number and _is_about(told, message):
                    _drop(buffer, earlier)
            _told(buffer).removals.append(number)
            _forget_removals(buffer)

    return pushed


def _noting(windows: Callable) -> Callable:
    @wraps(windows)
    async def noted(buffer: AsyncMessageBuffer, client_id: int) -> AsyncGenerator[Sequence[Any], None]:
        async for window in windows(buffer, client_id):
            yield window
            with buffer.buffer_lock:
                number = _number_of(window[-1], buffer)
                if number is not None:
                    _told(buffer).until[client_id] = number
                _forget_removals(buffer)

    return noted


def _while_there(produce: Callable) -> Callable:
    """viser's loop that sends a client what is in a buffer."""

    @wraps(produce)
    async def sending(websocket: Any, buffer: AsyncMessageBuffer, client_id: int, *about: Any) -> None:
        _told(buffer).until[client_id] = -1
        try:
            await produce(websocket, buffer, client_id, *about)
        finally:
            with buffer.buffer_lock:
                del _told(buffer).until[client_id]
                _forget_removals(buffer)

    return sending


def _number_of(message: Any, buffer: AsyncMessageBuffer) -> int | None:
    """Number of a message in a buffer; None if a later one has taken its place."""
    number = buffer.id_from_redundancy_key.get(message.redundancy_key(), -1)
    return number if buffer.message_from_id.get(number) is message else None


def _is_about(earlier: Any, removal: Any) -> bool:
    """Whether an earlier message is about what is removed, or about a node below a node that is."""
    if isinstance(removal, _messages.GuiRemoveMessage):
        return getattr(earlier, "id", None) == removal.id
    name = getattr(earlier, "name", None)
    return isinstance(name, str) and (name == removal.name or name.startswith(f"{removal.name}/"))


def _forget_removals(buffer: AsyncMessageBuffer) -> None:
    """Forget the removals that all clients were told."""
    told = _told(buffer)
    until = min(told.until.values(), default=math.inf)
    while told.removals and told.removals[0] <= until:
        _drop(buffer, told.removals.popleft())


def _drop(buffer: AsyncMessageBuffer, number: int) -> None:
    message = buffer.message_from_id.pop(number, None)
    if message is not None:
        buffer.id_from_redundancy_key.pop(message.redundancy_key(), None)


def _told(buffer: AsyncMessageBuffer) -> _Told:
    return vars(buffer).setdefault("told", _Told())
