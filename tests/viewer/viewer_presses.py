"""Using the panel without a browser: what viser does when a client's message arrives."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import viser
from nerfstudio.viewer.viewer import Viewer


class Element(NamedTuple):
    """An element of the viewer as it was sent to the clients."""

    kind: str
    """Dropdown, ButtonGroup, Checkbox, ..."""
    props: Any
    """Label, hint, options."""
    handle: Any


def elements(server: viser.ViserServer) -> Iterator[Element]:
    """Every element with a value; messages are `GuiAdd...` with an `id` in viser 0.2, and have a `uuid` in viser 1."""
    gui = server.gui
    names = "_gui_input_handle_from_id", "_gui_input_handle_from_uuid"
    handles = next(getattr(gui, name) for name in names if hasattr(gui, name))
    for message in list(server._websock_server._broadcast_buffer.message_from_id.values()):
        handle = handles.get(getattr(message, "uuid", getattr(message, "id", None)))
        if handle is not None and type(message).__name__.startswith("Gui"):
            kind = type(message).__name__.removeprefix("Gui").removeprefix("Add").removesuffix("Message")
            yield Element(kind, getattr(message, "props", message), handle)


def send(handle, value, client=None) -> None:
    """A client changes an element, or presses a button of a group."""
    handle._impl.value = value
    for callback in handle._impl.update_cb:
        callback(viser.GuiEvent(client or SimpleNamespace(camera=None), 0, handle))


def presses(viewer: Viewer, handle, value, client=None) -> None:
    """The same, and the change is made."""
    send(handle, value, client)
    viewer.pipeline.object_control.editor.drain()
