"""Which render thread of nerfstudio's viewer is calling, and what it is about to draw."""

from __future__ import annotations

import threading

from nerfstudio.viewer.render_state_machine import RenderStateMachine


def rendering_client() -> RenderStateMachine | None:
    """The viewer's render thread that calls this; None in any other thread."""
    thread = threading.current_thread()
    return thread if isinstance(thread, RenderStateMachine) else None


def displayed_outputs() -> list[str]:
    """Names that the calling thread is about to draw, where it is a render thread of the viewer; else none.

    The viewer holds its lock, measures its speed and can be interrupted only while it asks for a camera's outputs, and
    reads them afterwards. So what it draws has to be computed before it gets them.
    """
    client = rendering_client()
    if client is None:
        return []
    panel = client.viewer.control_panel
    names = [panel.output_render]
    if panel.split:
        names.append(panel.split_output_render)
    if panel.layer_depth:
        names.append("depth")
    return names
