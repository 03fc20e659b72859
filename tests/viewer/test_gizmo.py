"""Handles in the 3D scene: they stand at the selected object, move it, and follow undo."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from viewer_presses import chooses, presses, uses

from disconerf_ns.compat.viewer import SCALE
from disconerf_ns.viewer.boxes import box_of
from disconerf_ns.viewer.gizmo import numbers_of, place_of
from disconerf_ns.viewer.picking import object_at

FROM_ABOVE = (0.0, 1.0, 0.0, 0.0)
"""Orientation of a camera that looks straight down, with the scene's x axis to the right."""


@pytest.fixture
def ball(seat):
    """The object in the smallest box, selected."""
    found = min(seat.editor.scene.objects, key=lambda each: math.prod(high - low for low, high in zip(*each.box)))
    chooses(seat, found.id)
    return found


def drag(gizmo, position, wxyz=(1.0, 0.0, 0.0, 0.0)) -> None:
    """What viser does when a client moves the handles."""
    handle = gizmo._handle
    handle._impl.position = np.array(position)
    handle._impl.wxyz = np.array(wxyz)
    for callback in handle._impl_aux.update_cb if hasattr(handle, "_impl_aux") else handle._update_cb:
        callback(handle)


def test_handles_move_and_turn_the_object(seat, ball, said) -> None:
    editor, gizmo = seat.editor, seat.panel.gizmo
    uses(seat, "move")
    centre = box_of(seat.editor.scene.trained, ball).centre
    assert gizmo.id == ball.id and np.allclose(gizmo._handle.position, SCALE * np.array(centre), atol=1e-4)
    half = math.sqrt(0.5)
    drag(gizmo, SCALE * np.add(centre, (0.1, 0.0, 0.2)), (half, 0.0, 0.0, half))
    drag(gizmo, SCALE * np.add(centre, (0.1, 0.0, 0.3)), (half, 0.0, 0.0, half))
    editor.drain()
    (place,) = editor.edit.places[ball.id]
    assert place.rotation == pytest.approx((half, 0, 0, half), abs=1e-5)
    moved = place.points(torch.tensor(centre)) - torch.tensor(centre)
    assert moved.tolist() == pytest.approx([0.1, 0.0, 0.3], abs=1e-4)
    presses(seat, seat.panel.places.size, 2.0)
    assert editor.edit.places[ball.id][0].scale == pytest.approx(2)
    assert (editor.edit.places[ball.id][0].points(torch.tensor(centre)) - torch.tensor(centre)).tolist() == (
        pytest.approx([0.1, 0.0, 0.3], abs=1e-4)
    )
    uses(seat, "put back")
    assert editor.edit.places == {} and said == []
    assert np.allclose(gizmo._handle.position, SCALE * np.array(centre), atol=1e-4), "the handles go back too"


def test_copies_stand_beside_and_the_newest_has_the_handles(seat, ball) -> None:
    seat.client.camera.wxyz = FROM_ABOVE
    uses(seat, "move")
    uses(seat, "copy")
    uses(seat, "copy")
    places = seat.editor.edit.places[ball.id]
    width = ball.box[1][0] - ball.box[0][0]
    assert [place.translation[0] for place in places] == pytest.approx([0, 1.2 * width, 2.4 * width], abs=1e-5)
    centre = box_of(seat.editor.scene.trained, ball).centre
    assert seat.panel.gizmo._handle.position[0] == pytest.approx(SCALE * (centre[0] + 2.4 * width), abs=1e-3)


def test_each_copy_is_moved_and_taken_away_by_itself(seat, ball, said) -> None:
    """Only the newest copy could be moved, and no copy could be taken away but by undo."""
    fields, rows, id = seat.panel.places, seat.panel.rows, ball.id
    places = lambda: seat.editor.edit.places_of(id)
    uses(seat, "move")
    assert not rows._copies
    uses(seat, "copy")
    uses(seat, "copy")
    assert seat.selection.which == 2, "the newest one"
    itself, first, second = places()
    presses(seat, rows._copies[id, 1].button.handle, True)
    centre = torch.tensor(fields.gizmo.centre)
    assert np.allclose(fields.gizmo._handle.position, SCALE * first.points(centre).numpy(), atol=1e-3)
    x, y, z = fields.middle.value
    presses(seat, fields.middle, (x, y, z + 0.5))
    assert places()[0] == itself and places()[2] == second and places()[1].points(centre)[2] > first.points(centre)[2]
    presses(seat, fields.size, 2.0)
    assert [place.scale for place in places()] == pytest.approx([1, 2, 1])
    moved = places()[1]
    chooses(seat, id)
    assert fields.size.value == 1.0
    presses(seat, rows._copies[id, 1].button.handle, True)
    assert fields.size.value == 2.0
    presses(seat, rows._copies[id, 2].ends[1].handle, True)
    assert places() == (itself, moved) and seat.selection.which == 1, "the one that is meant stays"
    presses(seat, rows._copies[id, 1].ends[1].handle, True)
    assert places() == (itself,) and not rows._copies and fields.size.value == 1.0
    seat.selection.editor.attempt(lambda: seat.selection.take_away(id, 1), seat.tell)
    assert said == ["This copy is gone already."]
    uses(seat, "undo")
    assert places() == (itself, moved)


def test_each_place_of_an_object_is_hidden_and_taken_away_by_itself(seat, ball, said) -> None:
    """An eye hid the object with all copies, and the object could not be taken away while copies stayed."""
    rows, boxes, gizmo, id = seat.panel.rows, seat.panel.boxes, seat.panel.gizmo, ball.id
    edit = lambda: seat.editor.edit
    uses(seat, "move")
    uses(seat, "copy")
    itself, copy = edit().places_of(id)
    presses(seat, rows._copies[id, 1].ends[0].handle, True)
    assert edit().seen_places(id) == [0] and gizmo._handle is None and boxes._shown == {}, "the copy was selected"
    chooses(seat, id)
    assert gizmo._handle is not None and boxes._shown.keys() == {id}
    presses(seat, rows._copies[id, 0].ends[0].handle, True)
    assert edit().hidden == {id}, "nothing is left to be seen"
    presses(seat, rows._copies[id, 1].ends[0].handle, True)
    assert edit().seen_places(id) == [1] and not edit().hidden
    uses(seat, "show all")
    assert edit().seen_places(id) == [0, 1] and edit().places_of(id) == (itself, copy)
    presses(seat, rows._copies[id, 0].ends[1].handle, True)
    assert edit().places_of(id) == (copy,) and not rows._copies and said == []
    assert np.allclose(gizmo._handle.position, SCALE * copy.points(torch.tensor(gizmo.centre)).numpy(), atol=1e-3)
    seat.selection.editor.attempt(lambda: seat.selection.toggle_one(id, 0), seat.tell)
    assert said == ["This copy is gone already."]
    uses(seat, "undo")
    assert edit().places_of(id) == (itself, copy)


def test_a_click_means_the_copy_that_it_meets(seat, ball, monkeypatch) -> None:
    seat.client.camera.wxyz = FROM_ABOVE
    uses(seat, "copy")
    scene, (itself, copy) = seat.editor.scene, seat.editor.edit.places_of(ball.id)
    middle = torch.tensor(ball.box).mean(0)
    for number, place in enumerate((itself, copy)):
        there = place.points(middle)
        camera = there + torch.tensor([0.0, 0.0, 2.0])
        met = object_at(scene, tuple(camera.tolist()), tuple((there - camera).tolist()), edited=True)
        assert met == (ball.id, number)
        monkeypatch.setattr("disconerf_ns.viewer.seat.object_at", lambda *_, met=met, **options: met)
        seat.pick((0.5, 0.5))
        assert seat.selection.which == number


def test_nothing_selected_is_told(seat, said) -> None:
    uses(seat, "move")
    assert "Select an object first" in said[0] and not seat.panel.gizmo.on


def test_numbers_move_and_turn_the_object(seat, ball) -> None:
    panel = seat.panel.places
    assert not panel.middle.visible and not panel.turns.visible
    uses(seat, "move")
    centre = box_of(seat.editor.scene.trained, ball).centre
    assert panel.middle.visible and panel.middle.value == pytest.approx(centre, abs=1e-3)
    presses(seat, panel.middle, tuple(round(x + 0.1, 3) for x in centre))
    presses(seat, panel.turns, (0.0, 0.0, 90.0))
    (place,) = seat.editor.edit.places[ball.id]
    half = math.sqrt(0.5)
    assert place.rotation == pytest.approx((half, 0, 0, half), abs=1e-5)
    assert place.points(torch.tensor(centre)).tolist() == pytest.approx([x + 0.1 for x in centre], abs=1e-3)
    assert np.allclose(panel.gizmo._handle.position, SCALE * (np.array(centre) + 0.1), atol=0.02), "the handles follow"
    uses(seat, "undo")
    assert panel.middle.value == pytest.approx(centre, abs=1e-3) and panel.turns.value == (0, 0, 0)


@pytest.mark.parametrize("turns", [(0.0, 0.0, 0.0), (10.0, -20.0, 30.0), (0.0, 0.0, -170.0)])
def test_numbers_are_those_of_the_place(turns: tuple[float, float, float]) -> None:
    middle, centre = (1.0, -2.0, 0.5), (0.2, 0.3, 0.4)
    place = place_of(middle, turns, 1.5, centre)
    assert place.scale == 1.5
    there, turned = numbers_of(place, centre)
    assert there == pytest.approx(middle, abs=1e-6) and turned == pytest.approx(turns, abs=1e-4)


def test_hues_are_turned(seat, ball) -> None:
    from disconerf_ns.scene.recolor import Hue

    presses(seat, seat.panel.hue, 90.0)
    assert seat.editor.edit.colors == {ball.id: Hue(90.0)}
