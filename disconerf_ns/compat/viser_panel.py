"""Parts of viser's panel that viser has no functions for: a first tab, HTML in a button, elements of one client."""

from __future__ import annotations

import html
import threading
from types import SimpleNamespace
from typing import Any

import viser
from viser import _messages

SINCE_1 = hasattr(viser, "__version__")
ICON = "_icon_html" if SINCE_1 else "icon_html"


def add_first_tab(server: viser.ViserServer, label: str, icon: str) -> viser.GuiTabHandle:
    """A tab before nerfstudio's own, whose group of tabs is not handed out; in a group of its own without one.

    A page opens the first tab.

    Args:
        icon: HTML that stands before the label; a style sheet in it holds for the whole page.
    """
    groups = [handle._parent for handle in _containers(server.gui).values() if isinstance(handle, viser.GuiTabHandle)]
    group: Any = groups[0] if groups else server.gui.add_tab_group()
    tab = group.add_tab(label)
    if SINCE_1:
        group._tab_handles.insert(0, group._tab_handles.pop())
        group._tab_labels = (label, *group._tab_labels[:-1])
        group._tab_icons_html = (icon, *group._tab_icons_html[:-1])
        group._tab_container_ids = tuple(handle._id for handle in group._tab_handles)
    else:
        group._icons_html[-1] = icon
        for column in (group._labels, group._icons_html, group._tabs):
            column.insert(0, column.pop())
        group._sync_with_client()
    return tab


def at_once(script: str) -> str:
    """HTML of a button or a tab that runs a script when a page receives it, for which viser has no function.

    It is a picture that fails to load: a browser runs no other script in such HTML than a picture's error handler.
    """
    return f'<img alt="" hidden src="data:," onerror="{html.escape(script, quote=True)}">'


class LentTab:
    """A tab that all share, for elements of one client: those that are added to `client.gui` within its context.

    Several threads may be in it at once. viser's own tab notes where a thread came from in one place for all threads.
    """

    def __init__(self, tab: viser.GuiTabHandle, client: viser.ClientHandle):
        self._gui, self._id, self._before = client.gui, tab._id, threading.local()
        _containers(client.gui)[tab._id] = SimpleNamespace(_children={})

    def __enter__(self) -> LentTab:
        gui: Any = self._gui
        self._before.id = gui._get_container_uuid() if SINCE_1 else gui._get_container_id()
        self._go(self._id)
        return self

    def __exit__(self, *_: object) -> None:
        self._go(self._before.id)

    def _go(self, container: str) -> None:
        gui: Any = self._gui
        gui._set_container_uuid(container) if SINCE_1 else gui._set_container_id(container)


def _containers(gui: viser.GuiApi) -> dict[str, Any]:
    names = "_container_handle_from_id", "_container_handle_from_uuid"  # in viser 0.2 and in viser 1
    return next(getattr(gui, name) for name in names if hasattr(gui, name))


class HtmlButton:
    """A button with HTML before its label, which both can change.

    Args:
        html: it is not escaped.
        label: a text.
        order: places it among its siblings.
    """

    def __init__(self, gui: viser.GuiApi, html: str, label: str, order: float | None = None):
        self.handle = gui.add_button(label, order=order)
        self.html, self.label, self._gui = "", label, gui
        self.update(html, label)

    def update(self, html: str, label: str) -> None:
        """Show other contents; the same are not sent again."""
        if html != self.html:
            self._send(**{ICON: html})
        if label != self.label:
            self._send(label=label)
        self.html, self.label = html, label

    def _send(self, **properties: str) -> None:
        impl: Any = self.handle._impl
        id = impl.uuid if SINCE_1 else impl.id
        self._gui._websock_interface.queue_message(_messages.GuiUpdateMessage(id, properties))

    def remove(self) -> None:
        """Take the button off the panel."""
        self.handle.remove()
