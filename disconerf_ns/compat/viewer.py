"""Private names of nerfstudio's viewer and of viser, in one place."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Container
from typing import Any

from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.render_state_machine import RenderAction, RenderStateMachine
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO as SCALE
from nerfstudio.viewer.viewer import Viewer
from nerfstudio.viewer.viewer_elements import ViewerDropdown
from nerfstudio.viewer_legacy.server.viewer_utils import IOChangeException

from disconerf_ns.compat.calling_frame import calling_frame

PATH_COMMAND = re.compile(r"^ns-render camera-path .*$", re.MULTILINE)

__all__ = ["SCALE", "IOChangeException"]

HERE = "127.0.0.1", "localhost", "::1"
"""Hosts that nobody but this machine reaches."""


def listen_here() -> None:
    """Let the `ns-viewer` that is opening a run listen on this machine alone, unless its command line names a host.

    It takes neither the run's options of the viewer nor the method's, so its own are changed, in its frame.
    """
    if any(argument.replace("_", "-").startswith("--viewer.websocket-host") for argument in sys.argv):
        return
    if (frame := calling_frame("nerfstudio.scripts.viewer.run_viewer", "main")) is not None:
        frame.f_locals["self"].viewer.websocket_host = HERE[0]


def warn_of_strangers(config: ViewerConfig) -> None:
    """Say what it means that a viewer listens to more than this machine."""
    port = config.websocket_port or config.websocket_port_default
    if config.websocket_host not in HERE:
        CONSOLE.log(
            f"viewer: it listens on {config.websocket_host}, so everybody who reaches this machine can look at the "
            "scene, change it and pause the training, without a password; on a network with other people leave "
            "--viewer.websocket-host out, and look from elsewhere through "
            f"`ssh -L {port}:localhost:{port} MACHINE`."
        )


def rendering_client() -> RenderStateMachine | None:
    """The viewer's render thread that calls this; None in any other thread."""
    thread = threading.current_thread()
    return thread if isinstance(thread, RenderStateMachine) else None


class _Drawing(dict[int, RenderStateMachine]):
    """Render threads by the ids of their clients; one that never starts for a client that has just left."""

    def __init__(self, viewer: Viewer):
        super().__init__(viewer.render_statemachines)
        self._viewer = viewer

    def __missing__(self, client: int) -> RenderStateMachine:
        nobody: Any = None
        return RenderStateMachine(self._viewer, SCALE, nobody)


def draw_for_those_who_are_there(viewer: Viewer) -> None:
    """Let nothing be drawn for a client that leaves while its camera's message is taken, or a training step ends.

    nerfstudio raises a KeyError, which ends the training in the second case.
    """
    viewer.render_statemachines = _Drawing(viewer)


def has_left(drawing: RenderStateMachine) -> bool:
    """Whether nobody looks at what a render thread draws any more; nerfstudio lets it draw one more picture."""
    return not drawing.running


def is_coarse(drawing: RenderStateMachine) -> bool:
    """Whether a render thread draws a coarse picture, which it does not interrupt."""
    return drawing.state != "high"


def client_of(drawing: threading.Thread) -> int:
    """Id of the client for which a render thread draws."""
    return drawing.client.client_id if isinstance(drawing, RenderStateMachine) else -1


def send_meanwhile(drawing: threading.Thread, outputs: dict[str, Any]) -> None:
    """Show a client a picture that is not sharp everywhere yet."""
    if isinstance(drawing, RenderStateMachine):
        drawing._send_output_to_viewer(outputs, static_render=False)


def displayed_outputs(client: RenderStateMachine) -> list[str]:
    """Names of the outputs that a render thread is about to draw.

    The viewer holds its lock, measures its speed and can be interrupted only while it asks for a camera's outputs, and
    reads them afterwards. So the outputs that it draws have to be computed before it gets them.
    """
    panel = client.viewer.control_panel
    names = [panel.output_render]
    if panel.split:
        names.append(panel.split_output_render)
    if panel.layer_depth:
        names.append("depth")
    return names


def output_dropdown(viewer: Viewer) -> ViewerDropdown:
    """The dropdown that chooses the drawn output."""
    return viewer.control_panel._output_render


def set_still_resolution(viewer: Viewer, pixels: int) -> None:
    """Set the height of still pictures, until another one is chosen in the tab Control."""
    viewer.control_panel._max_res.value = pixels


def redraw(viewer: Viewer, drawing: Container[object], which: Callable[[threading.Thread], bool]) -> None:
    """Draw pictures of clients anew.

    nerfstudio's own way stumbles over a client that comes or goes meanwhile, and it interrupts a thread that draws
    nothing: the new picture would be what is interrupted, and drawn a fifth of a second later.

    Args:
        drawing: the render threads that are computing a picture.
        which: whether the picture of a render thread is drawn anew.
    """
    if not viewer.ready:
        return
    for client in filter(which, list(viewer.render_statemachines.values())):
        client.action(RenderAction("move", viewer.get_camera_state(client.client)))
        if client not in drawing:
            client.interrupt_render_flag = False


def film_what_is_drawn(client: Any, drawn: Callable[[], str], note: Callable[[], str]) -> None:
    """Let nerfstudio's command for a camera path film the output that is drawn; it films the scene as it is otherwise.

    Args:
        client: whose page shows the command.
        drawn: gives the output's name.
        note: gives a sentence that is shown below the command.
    """
    add = client.gui.add_markdown

    def added(content: str, *arguments: Any, **named: Any) -> Any:
        if PATH_COMMAND.search(content):
            content = PATH_COMMAND.sub(lambda found: f"{found[0]} --rendered-output-names {drawn()}", content)
            content += f"\n\n{note()}"
        return add(content, *arguments, **named)

    client.gui.add_markdown = added


def draw_lines_sharp(viewer: Viewer) -> None:
    """Draw boxes, names and handles in front of the picture: the picture's depth has its few pixels."""
    viewer.control_panel._layer_depth.value = False


def show_finished(viewer: Viewer, step: int) -> None:
    """Show a run that is not trained any more: its step, and nothing that is about training.

    Nobody's picture waits for another person's, since there is no training step that they could disturb.
    """
    viewer.train_lock = None
    viewer.pause_train.visible = viewer.resume_train.visible = False
    viewer.update_step(step)
    panel = viewer.control_panel
    for element in (panel._train_speed, panel._train_util):
        element.set_hidden(True)


def hide_training_cameras(viewer: Viewer, known: int) -> int:
    """Hide training cameras, and nerfstudio's buttons that show them, which take the room of the list.

    A training adds its cameras when it begins, one by one, while pages may be open already.

    Args:
        known: number of cameras, the first ones, that stay as they are.
    Returns:
        Number of cameras that there are.
    """
    for button in (viewer.hide_images, viewer.show_images):
        if button.visible:
            button.visible = False
    there = _training_cameras(viewer)
    for camera in there[known:]:
        camera.visible = False
    return len(there)


def show_training_cameras(viewer: Viewer, visible: bool) -> None:
    """Show the training cameras with their photographs in the 3D scene, or hide them."""
    with viewer.viser_server.atomic():
        for camera in _training_cameras(viewer):
            camera.visible = visible


def _training_cameras(viewer: Viewer) -> list[Any]:
    """Handles of the cameras that are there so far; nerfstudio may be adding more."""
    return list(getattr(viewer, "camera_handles", {}).values())


def interrupt(drawing: threading.Thread) -> None:
    """Let a render thread give up its picture."""
    if isinstance(drawing, RenderStateMachine):
        drawing.interrupt_render_flag = True


def stop_drawing(viewer: Viewer) -> None:
    """Interrupt the render threads, and begin no more pictures."""
    viewer.ready = False
    for client in list(viewer.render_statemachines.values()):
        interrupt(client)


def draw(viewer: Viewer, names: list[str], drawn: str) -> None:
    """Draw an output of those that can be chosen; nerfstudio lists them after the first picture alone."""
    dropdown = output_dropdown(viewer)
    if list(dropdown.options) != names:
        viewer.control_panel.update_output_options(names)
    if dropdown.value != drawn:
        dropdown.value = drawn


def on_output_chosen(viewer: Viewer, chosen: Callable[[], None]) -> None:
    """Call a function when another output is drawn."""
    if (handle := output_dropdown(viewer).gui_handle) is not None:
        handle.on_update(lambda _: chosen())
