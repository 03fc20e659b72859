"""Using the panel without a browser: what viser does when a client's message arrives."""

from __future__ import annotations

from types import SimpleNamespace

import viser
from nerfstudio.viewer.viewer import Viewer


def send(handle, value, client=None) -> None:
    """A client changes an element, or presses a button of a group."""
    handle._impl.value = value
    for callback in handle._impl.update_cb:
        callback(viser.GuiEvent(client or SimpleNamespace(camera=None), 0, handle))


def presses(viewer: Viewer, handle, value, client=None) -> None:
    """The same, and the change is made."""
    send(handle, value, client)
    viewer.pipeline.object_control.editor.drain()
