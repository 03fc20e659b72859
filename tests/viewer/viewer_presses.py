"""Using the viewer without a browser: somebody who opens it, and what viser does when a client's message arrives."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import viser
import websockets.sync.client
from nerfstudio.viewer.viewer import Viewer
from websockets.sync.connection import Connection

from disconerf_ns.compat import viser_values
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.viewer.seat import Seat

SINCE_1 = hasattr(viser, "__version__")
PROTOCOLS = [f"viser-v{viser.__version__}"] if SINCE_1 else None
"""A client of viser 1 says its version."""
WINDOW = {"near": 0.1, "far": 1000.0, "image_height": 100, "image_width": 150} if SINCE_1 else {"aspect": 1.5}
ZSTANDARD = b"\x28\xb5\x2f\xfd"
"""First bytes of what is compressed so."""
CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": [1.0, 0, 0, 0], "position": [0.0, 0, 1], "fov": 1.0, **WINDOW,
    "look_at": [0.0, 0, 0], "up_direction": [0.0, 0, 1],
}  # fmt: skip


@contextmanager
def serve() -> Iterator[viser.ViserServer]:
    """viser's server on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    server = viser.ViserServer(host="127.0.0.1", port=number)
    yield server
    server.stop()


def connect(server: viser.ViserServer, unread: int | None = None) -> Connection:
    """A page that nobody sees; takes in so many messages that nobody reads, by default all."""
    address = f"ws://127.0.0.1:{server.get_port()}"
    return websockets.sync.client.connect(
        address, subprotocols=PROTOCOLS, max_size=None, ping_interval=None, max_queue=unread
    )


def received(page: Connection, seconds: float) -> bytes:
    """What the server sends next; viser 1.1 compresses it, behind two lengths of 8 bytes."""
    frame = page.recv(timeout=seconds)
    if frame[16:20] != ZSTANDARD:
        return frame
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj().decompress(frame[16:])


class Visit(NamedTuple):
    """Somebody who looks."""

    page: Connection
    seat: Seat

    def sends(self, handle, value) -> None:
        """The page tells that an element has another value."""
        self.page.send(msgspec.msgpack.encode(update(handle, value=value)))


@contextmanager
def visit(viewer: Viewer) -> Iterator[Visit]:
    """Somebody who opens the viewer; nerfstudio draws no pictures for them."""
    viewer.ready = False
    control, before = viewer.pipeline.object_control, set(viewer.pipeline.object_control.seats)
    with connect(viewer.viser_server) as page:
        page.send(msgspec.msgpack.encode(CAMERA))
        wait_for(lambda: set(control.seats) - before)
        (new,) = set(control.seats) - before
        control.editor.drain()
        yield Visit(page, control.seats[new])


def update(field: Any, **properties: Any) -> dict[str, Any]:
    """The message of a client that changes an element; viser 0.2 calls its number `id`, viser 1 `uuid`."""
    key = "uuid" if hasattr(field._impl, "uuid") else "id"
    return {"type": "GuiUpdateMessage", key: getattr(field._impl, key), "updates": properties}


def wait_for(condition: Callable[[], object], seconds: float = 5) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


class Element(NamedTuple):
    """An element of the viewer as it was sent to the clients."""

    kind: str
    """Dropdown, ButtonGroup, Checkbox, ..."""
    props: Any
    """Label, hint, options."""
    handle: Any


def elements_of(seat: Seat) -> Iterator[Element]:
    """Every element of a person's panel with a value."""
    for handle in list(input_handles(seat.client.gui).values()):
        if (props := viser_values._record(handle).limits) is not None:  # a bar of progress takes no value from people
            yield Element(kind_of(props).removesuffix("Props"), props, handle)


def input_handles(gui: viser.GuiApi) -> dict[str, Any]:
    """Handles of all elements with a value."""
    names = "_gui_input_handle_from_id", "_gui_input_handle_from_uuid"
    return next(getattr(gui, name) for name in names if hasattr(gui, name))


def containers(gui: viser.GuiApi) -> list[Any]:
    """Handles of tabs and folders."""
    names = "_container_handle_from_id", "_container_handle_from_uuid"
    return list(next(getattr(gui, name) for name in names if hasattr(gui, name)).values())


def elements(server: viser.ViserServer) -> Iterator[Element]:
    """Every element that all share; messages are `GuiAdd...` with an `id` in viser 0.2, with a `uuid` in viser 1."""
    gui = server.gui
    handles = input_handles(gui)
    for message in list(server._websock_server._broadcast_buffer.message_from_id.values()):
        handle = handles.get(getattr(message, "uuid", getattr(message, "id", None)))
        if handle is not None and type(message).__name__.startswith("Gui"):
            yield Element(kind_of(message), getattr(message, "props", message), handle)


def kind_of(message: object) -> str:
    """The kind of element that a message is about."""
    return type(message).__name__.removeprefix("Gui").removeprefix("Add").removesuffix("Message")


def send(handle, value, client: int | None = 0) -> None:
    """A client changes an element, or presses a button."""
    handle._impl.value = viser_values._record(handle).given = value
    for callback in handle._impl.update_cb:
        callback(viser.GuiEvent(None, client, handle))


def presses(seat: Seat, handle, value) -> None:
    """The same, and the change is made and shown."""
    send(handle, value, seat.client.client_id)
    settle(seat)


def settle(seat: Seat) -> None:
    """Make what is asked for, also meanwhile by other threads: fields keep their values while something waits."""
    for _ in range(2):  # what another thread has begun is made after the second time
        seat.editor.drain()
        while seat.editor.waiting:
            seat.editor.drain()


def uses(seat: Seat, label: str) -> None:
    """A person presses a tool, and what it does is made."""
    (button,) = (button for tool, button in seat.panel.tools._buttons if tool.label == label)
    presses(seat, button.handle, True)


def chooses(seat: Seat, id: int) -> None:
    """A person clicks the row of an object."""
    presses(seat, seat.panel.rows._rows[id].button.handle, True)


def paired(scene: ArrangedScene) -> ArrangedScene:
    """The run's scene, four objects and the rest, with a fifth, which the default cut shows: the first two together."""
    flat, (first, second, *others) = scene.trained.tree, scene.trained.discovered
    parent = [-1] * 6
    parent[first.node] = parent[second.node] = 5
    tree = ObjectTree(5, tuple(parent), (*flat.opens, 0.7), rest=flat.rest)
    whole = replace(first, node=5, share=first.share + second.share)
    discovered = (whole, *others[:-1], first, second, others[-1])
    return scene.with_trained(replace(scene.trained, tree=tree, discovered=discovered))
