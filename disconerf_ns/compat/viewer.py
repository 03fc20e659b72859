"""Private names of nerfstudio's viewer and of viser, in one place."""

from __future__ import annotations

import sys
import threading
from collections.abc import Container

import viser
from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.render_state_machine import RenderStateMachine
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO as SCALE
from nerfstudio.viewer.viewer import Viewer
from nerfstudio.viewer.viewer_elements import ViewerDropdown
from nerfstudio.viewer_legacy.server.viewer_utils import IOChangeException

from disconerf_ns.compat.calling_frame import calling_frame

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


def redraw(viewer: Viewer, drawing: Container[object]) -> None:
    """Draw the picture of every client anew.

    nerfstudio asks for an interruption even where nothing is being drawn; it would be the new picture that is
    interrupted then, and drawn a fifth of a second later.

    Args:
        drawing: the render threads that are computing a picture.
    """
    viewer._trigger_rerender()
    for client in viewer.render_statemachines.values():
        if client not in drawing:
            client.interrupt_render_flag = False


def add_tab(server: viser.ViserServer, label: str) -> viser.GuiTabHandle:
    """A tab beside nerfstudio's own, whose group of tabs is not handed out; in a group of its own without one."""
    names = "_container_handle_from_id", "_container_handle_from_uuid"  # in viser 0.2 and in viser 1
    containers = next(getattr(server.gui, name) for name in names if hasattr(server.gui, name))
    groups = [handle._parent for handle in containers.values() if isinstance(handle, viser.GuiTabHandle)]
    group = groups[0] if groups else server.gui.add_tab_group()
    return group.add_tab(label, viser.Icon.STACK_2)
