"""What nerfstudio's viewer needs beyond outputs by name."""

from __future__ import annotations

import threading

from nerfstudio.viewer.render_state_machine import RenderStateMachine


def displayed_outputs() -> list[str]:
    """Names that the calling thread is about to draw, where it is a render thread of the viewer; else none.

    The viewer holds its lock, measures its speed and can be interrupted only while it asks for a camera's outputs, and
    reads them afterwards. So what it draws has to be computed before it gets them.
    """
    thread = threading.current_thread()
    if not isinstance(thread, RenderStateMachine):
        return []
    panel = thread.viewer.control_panel
    names = [panel.output_render]
    if panel.split:
        names.append(panel.split_output_render)
    if panel.layer_depth:
        names.append("depth")
    return names
