"""A viewer on a network: files it hands out, places it writes to, and messages that no browser would send."""

from __future__ import annotations

import asyncio
import math
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import msgspec
import psutil
import pytest
import viser
from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.scripts.viewer import run_viewer
from nerfstudio.viewer import render_panel
from nerfstudio.viewer.control_panel import ControlPanel
from viewer_presses import CAMERA, SINCE_1, chooses, connect, elements, received, serve, update, uses, visit, wait_for
from viser import _icons
from viser import _messages as viser_messages
from viser._messages import Message
from viser.infra import _infra
from viser.infra._async_message_buffer import AsyncMessageBuffer

from disconerf_ns.compat import viewer as compat_viewer
from disconerf_ns.compat import viser_guard
from disconerf_ns.compat.confined import ConfinedFolder
from disconerf_ns.compat.viser_guard import guard_viser
from disconerf_ns.method import disconerf, disconerf_small
from disconerf_ns.scene.edit import Edit
from disconerf_ns.viewer.draft import Draft
from disconerf_ns.viewer.editor import Editor
from disconerf_ns.viewer.seat import Seat

ODD_WINDOWS = (
    [("image_width", 99_999), ("image_width", 0), ("image_height", 0)] if SINCE_1 else [("aspect", 1e9), ("aspect", 0)]
)


@pytest.fixture(scope="module")
def server() -> Iterator[viser.ViserServer]:
    guard_viser()
    with serve() as server:
        yield server


def answer(server: viser.ViserServer, path: str) -> bytes:
    with socket.create_connection(("127.0.0.1", server.get_port()), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_an_icon_is_unpacked_once(server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch) -> None:
    one = server.gui.add_button("one", icon=viser.Icon.ABACUS)
    monkeypatch.setattr(_icons, "ICONS_DIR", Path("/nowhere"))
    other = server.gui.add_button("other", icon=viser.Icon.ABACUS)
    one.remove(), other.remove()


def test_a_process_that_ends_meanwhile_keeps_no_server_from_starting(server, monkeypatch: pytest.MonkeyPatch) -> None:
    """viser looks at all processes of the machine, and stumbled over one that had ended."""
    ended = Mock(cwd=Mock(side_effect=psutil.NoSuchProcess(1)))
    monkeypatch.setattr(psutil, "process_iter", lambda: [ended])
    with serve() as other:
        assert b"200 OK" in answer(other, "/").splitlines()[0]
    assert ended.cwd.called


def test_only_viser_s_own_files_are_served(server: viser.ViserServer) -> None:
    assert b"200 OK" in answer(server, "/").splitlines()[0]
    assert b"200 OK" in answer(server, "/index.html?x=1").splitlines()[0]
    for path in ("/../../../../../../../../../../etc/passwd", "/../__init__.py", "/assets/../../__init__.py"):
        assert b"404" in answer(server, path).splitlines()[0], path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("path.json", "path.json"),
        ("a/path.json", "a/path.json"),
        ("../../path.json", "path.json"),
        ("a/../../b.json", "a_b.json"),
        ("/etc/passwd", "etc_passwd"),
        ("..", "_"),
    ],
)
def test_nobody_leaves_a_confined_folder(tmp_path: Path, name: str, file: str) -> None:
    assert ConfinedFolder(tmp_path) / name == tmp_path / file
    assert ConfinedFolder(tmp_path) / "inner" / name == tmp_path / "inner" / file


def test_camera_paths_are_written_among_the_others_whatever_they_are_called(
    server: viser.ViserServer, run, tmp_path: Path
) -> None:
    datapath = run.trainer.pipeline.datamanager.get_datapath()
    assert isinstance(datapath, ConfinedFolder)
    nothing = lambda *_: None
    panel = ControlPanel(server, False, 10.0, nothing, nothing, nothing)
    render_panel.populate_render_tab(server, tmp_path / "config.yml", ConfinedFolder(tmp_path / "data"), panel)
    named = {getattr(element.props, "label", None): element.handle for element in elements(server)}
    name, generate = named["Render name"], named["Generate Command"]
    name._impl.value = "../../../evil"
    client = SimpleNamespace(add_notification=nothing, gui=server.gui)
    for callback in generate._impl.update_cb:
        callback(viser.GuiEvent(client, 0, generate))
    assert [file.relative_to(tmp_path) for file in tmp_path.rglob("*.json")] == [Path("data/camera_paths/evil.json")]


def test_the_command_for_a_camera_path_films_what_is_drawn(viewer, monkeypatch) -> None:
    """It filmed the scene as it is, without the edit that the person looked at."""
    control, shown = viewer.pipeline.object_control, list[str]()
    first = control.current.value.objects[0]
    monkeypatch.setattr(viser.GuiApi, "add_markdown", lambda gui, content, *_: shown.append(content))
    client = Mock(client_id=-7)
    client.gui = object.__new__(viser.GuiApi)
    compat_viewer.film_what_is_drawn(client, lambda: control.drawn.split()[0], lambda: "Save it.")
    control.editor.change(Edit().rename(first.id, "ball"))
    for drawn in ("edited", f"{first.name} ball"):
        control.show_output(drawn)
        client.gui.add_markdown("Run:\n```\nns-render camera-path --load-config config.yml\n```\n")
        command, *_, note = shown.pop().splitlines()[2:]
        assert command == f"ns-render camera-path --load-config config.yml --rendered-output-names {drawn.split()[0]}"
        assert note == "Save it."
    client.gui.add_markdown("something else")
    assert shown == ["something else"]


def test_messages_that_no_browser_sends_change_nothing_and_end_nothing(server: viser.ViserServer) -> None:
    gui = server.gui
    color, name, tick = gui.add_rgb("Colour", (1, 2, 3)), gui.add_text("Name", "ball"), gui.add_checkbox("Tick", False)
    size, box = gui.add_slider("Size", 0.1, 4.0, 0.1, 1.0), gui.add_vector2("Box", (20, 20), (10, 10), (100, 100))
    choice, group = gui.add_dropdown("Choice", ("a", "b")), gui.add_button_group("Group", ("x", "y"))
    fields = color, name, tick, box, choice, group
    before = [field.value for field in fields]
    wrong = [
        (color, [(300, 0, 0), (-1, 0, 0), (1, 2), "red", [None] * 3, 7]), (size, [0.0, 5.0, "1", math.nan, True]),
        (name, ["n" * 5000, 3]), (choice, ["c", None, 1]), (group, ["z"]), (box, [(0, 20), (20, 1000)]),
        (tick, [1, "yes"]),
    ]  # fmt: skip
    messages = [update(field, value=value) for field, values in wrong for value in values]
    messages += [update(size, update_cb=[]), update(size, value=2.0, visible=False), update(size)]
    views = [("fov", math.nan), ("fov", 0.0), ("fov", 4.0), *ODD_WINDOWS, ("wxyz", [0] * 4)]
    views += [("position", [math.inf, 0, 0]), ("position", [0.0]), ("look_at", "abc"), ("up_direction", None)]
    messages += [CAMERA | {key: value} for key, value in views]
    messages += [{"type": "GuiUpdateMessage", "id": "gone", "updates": {"value": 1}}, {"type": "Nothing"}, {}, [], 7]
    left = []
    server.on_client_disconnect(left.append)
    with connect(server) as client:
        client.send(msgspec.msgpack.encode(CAMERA))
        client.send(b"\xc1 no message")
        client.send("text")
        for message in messages:
            client.send(msgspec.msgpack.encode(message))
        client.send(msgspec.msgpack.encode(update(size, value=3)))
        wait_for(lambda: size.value == 3)
        (connected,) = server.get_clients().values()
        assert (connected.camera.fov, connected.camera.aspect, *connected.camera.wxyz) == (1.0, 1.5, 1, 0, 0, 0)
        assert [field.value for field in fields] == before
        assert size.visible
    wait_for(lambda: left)


def test_what_somebody_sends_who_is_not_there_changes_nothing_and_raises_nothing(
    server: viser.ViserServer, capsys: pytest.CaptureFixture
) -> None:
    """viser kept the value, called nobody, and printed a traceback for each message that outlived its client."""
    early, size = server.gui.add_checkbox("Early", False), server.gui.add_slider("Size", 0, 9, 1, 1)
    heard: list[int] = []

    @size.on_update
    def _(event: viser.GuiEvent) -> None:
        heard.append(size.value)
        if size.value == 5 and not SINCE_1:  # it leaves while this is called; viser 1 has a thread for it
            wait_for(lambda: event.client_id not in server.get_clients())
            raise KeyError(event.client_id)

    with connect(server) as client:
        client.send(msgspec.msgpack.encode(update(early, value=True)))
        time.sleep(0.2)
        client.send(msgspec.msgpack.encode(CAMERA))
        client.send(msgspec.msgpack.encode(update(size, value=4)))
        client.send(msgspec.msgpack.encode(update(size, value=5)))
        wait_for(lambda: len(heard) == 2 and heard[-1] == 5)
    wait_for(lambda: not server.get_clients())
    time.sleep(0.1)
    assert not early.value and "Traceback" not in capsys.readouterr().err


def test_a_slow_client_stays_and_a_failing_one_leaves(server: viser.ViserServer, monkeypatch) -> None:
    """viser has two loops that send to a client; where both waited, its connection broke and viser never noticed."""
    gone: list[int] = []
    server.on_client_disconnect(lambda client: gone.append(client.client_id))
    with connect(server, unread=1) as client:
        client.send(msgspec.msgpack.encode(CAMERA))
        wait_for(server.get_clients)
        (connected,) = server.get_clients().values()
        for number in range(60):
            for gui in (server.gui, connected.gui):
                gui.add_markdown(f"{number} of 59 " + 200_000 * "x")
        time.sleep(0.5)
        seen = 0
        while seen < 2:
            seen += received(client, 5).count(b"59 of 59")
            assert not gone
    wait_for(lambda: gone)
    server.gui.reset()

    with connect(server) as client:
        client.send(msgspec.msgpack.encode(CAMERA))
        wait_for(server.get_clients)
        number = next(iter(server.get_clients()))
        monkeypatch.setattr(msgspec.msgpack, "encode", Mock(side_effect=AssertionError))
        server.gui.add_markdown("what cannot be sent")
        wait_for(lambda: gone[-1] == number)


def test_a_new_client_is_not_told_of_what_is_no_more(server: viser.ViserServer) -> None:
    gui, scene = server.gui, server.scene
    gui.reset()
    with connect(server) as before:
        before.send(msgspec.msgpack.encode(CAMERA))
        field = gui.add_slider("Kept", 0, 9, 1, 1)
        scene.add_icosphere("/gone 1 is another", 1.0, (0, 0, 0))
        seen = b""
        while b"Kept" not in seen:
            seen += received(before, 5)
        for number in range(40):
            slider = gui.add_slider(f"Gone {number}", 0, 9, 1, 1)
            slider.value = 3
            slider.remove()
            node = scene.add_icosphere(f"/gone {number}", 1.0, (0, 0, 0))
            if not SINCE_1:  # which tells a new page of what hung below a node that is removed
                scene.add_icosphere(f"/gone {number}/below", 1.0, (0, 0, 0))
            node.remove()
        field.value = 7
        while seen.count(b"RemoveSceneNodeMessage") < 40:
            seen += received(before, 5)
        assert seen.count(b"GuiRemoveMessage") >= 40, "who is there hears of all"
        assert told_to_another(server).count(b"below") == 0
    told = told_to_another(server)
    assert told.count(b"Kept") == 1 and told.count(b"is another") > 0
    assert b"Gone" not in told and len(re.findall(rb"MeshMessage|IcosphereMessage", told)) == 1
    if not SINCE_1:  # of the page before, which left without a word, viser knows after one more message
        assert told.count(b"GuiRemoveMessage") <= 1 and b"RemoveSceneNodeMessage" not in told
        assert set(re.findall(rb"/gone \d+", told)) == {b"/gone 1"}


def told_to_another(server: viser.ViserServer) -> bytes:
    """All that a page is told when it is opened."""
    with connect(server) as another:
        another.send(msgspec.msgpack.encode(CAMERA))
        end = server.gui.add_markdown("the end")
        told = b""
        while b"the end" not in told:
            told += received(another, 5)
        end.remove()
        return told


@pytest.mark.skipif(SINCE_1, reason="viser 1 forgets by itself")
def test_a_slow_client_hears_of_all_removals_and_then_they_are_forgotten() -> None:
    guard_viser()

    async def talk() -> None:
        buffer = AsyncMessageBuffer(asyncio.get_running_loop(), persistent_messages=True)
        quick, slow = Page(), Page()
        quick.reads.set()
        sending = [
            asyncio.create_task(_infra._message_producer(page, buffer, number, 1))  # pyright: ignore
            for number, page in enumerate((quick, slow))
        ]
        await asyncio.sleep(0)  # they begin
        for number in range(300):
            buffer.push(viser_messages.RemoveSceneNodeMessage(f"/{number}"))
        await quick.hears(300)
        assert len(buffer.message_from_id) == 300
        slow.reads.set()
        await slow.hears(300)
        await asyncio.sleep(0.1)
        assert not buffer.message_from_id
        buffer.push(viser_messages.RemoveSceneNodeMessage("/slow"))
        for task in sending:
            task.cancel()
        await asyncio.wait(sending)
        buffer.push(viser_messages.RemoveSceneNodeMessage("/nobody is there"))
        assert not buffer.message_from_id

    asyncio.run(talk())


class Page:
    """A client that takes nothing until it reads."""

    def __init__(self):
        self.reads, self.heard = asyncio.Event(), 0

    async def send(self, content: bytes) -> None:
        await self.reads.wait()
        self.heard += len(msgspec.msgpack.decode(content))

    async def hears(self, messages: int) -> None:
        while self.heard < messages:
            await asyncio.sleep(0.01)


def test_an_error_among_messages_that_belong_together_silences_nobody(server: viser.ViserServer) -> None:
    """viser kept its lock: a camera that moved while its client left stopped the messages to all others."""
    with pytest.raises(KeyError), server.atomic():
        raise KeyError
    with connect(server) as client:
        client.send(msgspec.msgpack.encode(CAMERA))
        wait_for(server.get_clients)
        text = server.gui.add_text("Said", "")
        text.value = "heard by all"
        end = time.monotonic() + 5
        while b"heard by all" not in received(client, max(end - time.monotonic(), 0)):
            pass


@pytest.mark.parametrize(("wxyz", "sound"), [((1.0, 0, 0, 0), True), ((0.0, 0, 0, 0), False), ((1.0, 0, 0), False)])
def test_handles_that_have_no_turn_are_not_heard(wxyz: tuple[float, ...], sound: bool) -> None:
    """The place that they stood for was no number, and got into everybody's edit."""
    message = viser_guard._messages.TransformControlsUpdateMessage("/objects/gizmo", wxyz, (0.0, 0.0, 0.0))
    assert viser_guard.is_sound(message) is sound


def test_a_flood_waits_in_its_connection_and_keeps_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 messages at 1000 a second take 0.2 s; the first of them are not held up."""
    messages, handed, now = [CAMERA | {"fov": 1 + number / 1000} for number in range(200)], [], 0.0

    class Connection:
        async def recv(self) -> bytes:
            return msgspec.msgpack.encode(messages.pop(0))

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    clock = SimpleNamespace(get_running_loop=lambda: SimpleNamespace(time=lambda: now), sleep=sleep)
    monkeypatch.setattr(viser_guard, "asyncio", clock)
    with pytest.raises(IndexError):
        asyncio.run(viser_guard._consume(Connection(), lambda message: handed.append((message.fov, now)), Message))
    fovs, seconds = zip(*handed)
    assert fovs == tuple(1 + number / 1000 for number in range(200))
    assert seconds[48] == 0 and seconds[199] == pytest.approx(0.2)


def test_a_message_that_comes_while_python_ends_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C with a page open printed a traceback: viser's pool of threads takes no more work then."""

    class Connection:
        async def recv(self) -> bytes:
            return msgspec.msgpack.encode(CAMERA)

    def refuse(_: object) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    with pytest.raises(RuntimeError):
        asyncio.run(viser_guard._consume(Connection(), refuse, Message))
    monkeypatch.setattr(viser_guard.threading, "main_thread", lambda: threading.Thread())
    asyncio.run(viser_guard._consume(Connection(), refuse, Message))


def test_two_clients_edit_at_once_and_agree(viewer) -> None:
    """Both send fifty values of their own element and then another, which is what stays."""
    control = viewer.pipeline.object_control
    id = control.current.value.objects[0].id

    def agreed() -> tuple[tuple[int, ...], str] | None:
        """Colour and name of the object, if both panels show them and nothing waits."""
        edit = control.current.value.edit
        color = tuple(round(255 * channel) for channel in edit.colors.get(id, ()))
        shown = {(panel.color.value, panel.name.value) for panel in (one.seat.panel, other.seat.panel)}
        return shown.pop() if shown == {(color, edit.names.get(id))} and not control.editor.waiting else None

    with visit(viewer) as one, visit(viewer) as other:
        for client in (one, other):
            chooses(client.seat, id)
        for number in range(50):
            one.sends(one.seat.panel.color, (number, 0, 0))
            other.sends(other.seat.panel.name, f"ball {number}")
        wait_for(agreed)
        one.sends(one.seat.panel.color, (7, 8, 9))
        other.sends(other.seat.panel.name, "the last")
        wait_for(lambda: agreed() == ((7, 8, 9), "the last"))


def test_whoever_opens_the_page_of_a_second_viewer_is_told_that_nothing_is_kept(viewer) -> None:
    """Its terminal alone said so, before anybody looked."""
    draft = viewer.pipeline.object_control.draft
    other = Draft(Editor(viewer.pipeline.object_control.current), lambda: viewer.pipeline.object_control.file)
    draft.close()
    other.begin()
    try:
        viewer.pipeline.object_control.take_draft()
        with visit(viewer) as late:
            warning = late.seat.panel.head.warning
            assert warning.visible and "Another viewer has this run open" in warning.content
            other.close()
            wait_for(lambda: not warning.visible, 10)
    finally:
        other.close()


def test_whoever_comes_is_told_that_changes_of_the_last_session_are_here(viewer, monkeypatch) -> None:
    """The terminal alone said so, before anybody looked; the first undo then took all of them back."""
    control, told = viewer.pipeline.object_control, list[str]()
    control.draft.close()
    Edit().hide(control.current.value.objects[0].id).save(control.draft.file)
    control.take_draft()
    monkeypatch.setattr(Seat, "tell", lambda seat, sentence: told.append(sentence))
    with visit(viewer) as visitor:
        assert told == ["Changes that were not saved last time are here again; undo takes all of them back."]
        uses(visitor.seat, "undo")
    with visit(viewer):
        assert len(told) == 1


def test_each_client_has_a_selection_and_tools_of_its_own(viewer) -> None:
    """The panel was shared: what one selected, the other had selected too."""
    control = viewer.pipeline.object_control
    first, second = (each.id for each in control.current.value.objects[:2])
    with visit(viewer) as one, visit(viewer) as other:
        chooses(one.seat, first)
        chooses(other.seat, second)
        assert (one.seat.selection.ids, other.seat.selection.ids) == ((first,), (second,))
        assert control._selected(viewer.render_statemachines[one.seat.client.client_id]) == {first}
        uses(one.seat, "hide")
        assert [seat.panel.rows._rows[first].ends[0].label for seat in (one.seat, other.seat)] == ["show object_00"] * 2
        uses(other.seat, "undo")
        assert control.current.value.edit.hidden == frozenset()
        assert other.seat.panel.name.value == "object_01"
    wait_for(lambda: not control.seats)


def test_viewers_listen_on_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for method in (disconerf, disconerf_small):
        assert method.config.viewer.websocket_host == "127.0.0.1"

    def opened(*arguments: str) -> str:
        """The host after `ns-viewer` opened a run of ours."""
        monkeypatch.setattr(run_viewer, "eval_setup", lambda *_, **__: compat_viewer.listen_here() or 1 / 0)
        monkeypatch.setattr("sys.argv", ["ns-viewer", *arguments])
        command = run_viewer.RunViewer(Path("config.yml"))
        with pytest.raises(ZeroDivisionError):
            command.main()
        return command.viewer.websocket_host

    assert opened() == "127.0.0.1"
    assert opened("--viewer.websocket-host", "0.0.0.0") == "0.0.0.0"
    assert opened("--viewer.websocket_host=0.0.0.0") == "0.0.0.0"


def test_the_risk_of_another_host_is_said(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    monkeypatch.setattr(compat_viewer.CONSOLE, "log", told.append)
    compat_viewer.warn_of_strangers(ViewerConfig(websocket_host="127.0.0.1"))
    assert told == []
    compat_viewer.warn_of_strangers(ViewerConfig(websocket_host="0.0.0.0", websocket_port=7010))
    assert "listens on 0.0.0.0" in told[0] and "ssh -L 7010:localhost:7010" in told[0]
