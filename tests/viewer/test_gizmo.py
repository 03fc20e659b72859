"""Handles in the 3D scene: they stand at the selected object, move it, and follow undo."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_control import panel, told  # noqa: F401
from viewer_presses import elements, presses

from disconerf_ns.compat.viewer import SCALE


@pytest.fixture
def element(viewer):
    """Finds an element by its label."""
    return lambda label: next(
        each.handle for each in elements(viewer.viser_server) if getattr(each.props, "label", None) == label
    )


@pytest.fixture
def ball(viewer):
    """The object in the smallest box, selected."""
    scene = viewer.pipeline.model.current.value
    found = min(scene.objects, key=lambda each: math.prod(high - low for low, high in zip(*each.box)))
    editor = viewer.pipeline.object_control.editor
    editor.ask(editor.select, [found.id])
    editor.drain()
    return found


def drag(gizmo, position, wxyz=(1.0, 0.0, 0.0, 0.0)) -> None:
    """What viser does when a client moves the handles."""
    handle = gizmo._handle
    handle._impl.position = np.array(position)
    handle._impl.wxyz = np.array(wxyz)
    for callback in handle._impl_aux.update_cb if hasattr(handle, "_impl_aux") else handle._update_cb:
        callback(handle)


def test_handles_move_and_turn_the_object(viewer, element, ball, panel, told) -> None:  # noqa: F811
    editor, gizmo = panel.editor, panel.gizmo
    presses(viewer, element("Place"), "move")
    centre = viewer.pipeline.model.current.value.solid(ball.id).box.centre
    assert gizmo.id == ball.id and np.allclose(gizmo._handle.position, SCALE * np.array(centre), atol=1e-4)
    half = math.sqrt(0.5)
    drag(gizmo, SCALE * np.add(centre, (0.1, 0.0, 0.2)), (half, 0.0, 0.0, half))
    drag(gizmo, SCALE * np.add(centre, (0.1, 0.0, 0.3)), (half, 0.0, 0.0, half))
    editor.drain()
    (place,) = editor.edit.places[ball.id]
    assert place.rotation == pytest.approx((half, 0, 0, half), abs=1e-5)
    moved = place.points(torch.tensor(centre)) - torch.tensor(centre)
    assert moved.tolist() == pytest.approx([0.1, 0.0, 0.3], abs=1e-4)
    presses(viewer, element("Size"), 2.0)
    assert editor.edit.places[ball.id][0].scale == pytest.approx(2)
    assert (editor.edit.places[ball.id][0].points(torch.tensor(centre)) - torch.tensor(centre)).tolist() == (
        pytest.approx([0.1, 0.0, 0.3], abs=1e-4)
    )
    presses(viewer, element("Place"), "put back")
    assert editor.edit.places == {} and told == []
    assert np.allclose(gizmo._handle.position, SCALE * np.array(centre), atol=1e-4), "the handles go back too"


def test_copies_stand_beside_and_the_newest_has_the_handles(viewer, element, ball, panel) -> None:  # noqa: F811
    presses(viewer, element("Place"), "move")
    presses(viewer, element("Place"), "copy")
    presses(viewer, element("Place"), "copy")
    places = panel.editor.edit.places[ball.id]
    width = ball.box[1][0] - ball.box[0][0]
    assert [place.translation[0] for place in places] == pytest.approx([0, 1.2 * width, 2.4 * width], abs=1e-5)
    centre = viewer.pipeline.model.current.value.solid(ball.id).box.centre
    assert panel.gizmo._handle.position[0] == pytest.approx(SCALE * (centre[0] + 2.4 * width), abs=1e-3)


def test_nothing_selected_is_told(viewer, element, panel, told) -> None:  # noqa: F811
    panel.editor.selected = ()
    presses(viewer, element("Place"), "move")
    assert "Select an object first" in told[0] and not panel.gizmo.on


def test_hues_are_turned(viewer, element, ball, panel) -> None:  # noqa: F811
    from disconerf_ns.scene.recolor import Hue

    presses(viewer, element("Hue"), 90.0)
    assert panel.editor.edit.colors == {ball.id: Hue(90.0)}
