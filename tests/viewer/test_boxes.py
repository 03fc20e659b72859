"""Boxes of objects: tight, upright, with edges where the box ends."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import viser.transforms as vtf
from helpers import alike
from test_rows import thing
from viewer_presses import chooses, presses, settle, uses, wait_for

from disconerf_ns.compat.viewer import SCALE
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.trained import TrainedScene
from disconerf_ns.viewer.boxes import ANGLES, DrawnBox, box_of, edges, fit


def inside(box: DrawnBox, points: np.ndarray) -> np.ndarray:
    """Which points lie in a box, to within a thousandth."""
    away = points - box.centre
    across = away[:, 0] * math.cos(box.angle) + away[:, 1] * math.sin(box.angle)
    along = -away[:, 0] * math.sin(box.angle) + away[:, 1] * math.cos(box.angle)
    return (np.abs(np.stack([across, along, away[:, 2]], 1)) <= box.size / 2 + 1e-3).all(1)


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.2, 2.5])
def test_a_turned_box_is_found_again(turn: float) -> None:
    size, centre = np.array([2.0, 0.7, 0.4]), np.array([1.0, -2.0, 0.5])
    points = (np.random.default_rng(0).random((4000, 3)) - 0.5) * size
    rotation = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    box = fit(points @ rotation.T + centre)
    step = math.pi / 2 / ANGLES
    apart = (box.angle - turn) % (math.pi / 2)
    assert min(apart, math.pi / 2 - apart) <= step
    assert sorted(box.size) == pytest.approx(sorted(size), abs=0.1)
    assert box.centre == pytest.approx(centre, abs=0.05)


def test_strays_do_not_widen_a_box() -> None:
    points = np.random.default_rng(1).random((1000, 3))
    box = fit(np.concatenate([points, [[50, 50, 50], [-50, 0, 0]]]))
    assert (box.size < 1.1).all() and inside(box, points).mean() > 0.9


def test_the_box_of_what_surrounds_the_scene_is_where_people_look() -> None:
    """It reached to the horizon, and its handles stood there."""
    random = np.random.default_rng(2)
    floor = torch.from_numpy(random.uniform((-1.5, -1.5, -1.0), (1.5, 1.5, -0.9), (800, 3))).float()
    horizon = torch.from_numpy(random.uniform((20.0, 30.0, -60.0), (150.0, 150.0, -20.0), (300, 3))).float()
    trained, contraction = Mock(TrainedScene), Mock()
    trained.contraction, contraction.inverse = contraction, lambda points: points
    trained.agreed_on = lambda slots: torch.cat([floor, horizon])
    outdoors = replace(thing(0, 0.5), **alike(((-2.0, -2.0, -60.0), (150.0, 150.0, 0.0))))
    for shown in (outdoors, replace(outdoors, whole=False)):
        box = box_of(trained, shown)
        assert (np.abs(box.centre - (0.0, 0.0, -0.95)) < 0.3).all() and (box.size[:2] > 1).all() and box.size.max() < 4
    room = replace(thing(1, 0.5), **alike(((-1.5, -1.5, -1.0), (1.5, 1.5, -0.9))))
    assert box_of(trained, room).size[:2] == pytest.approx((3, 3), abs=0.1), "as before"


def test_one_line_draws_all_edges_of_a_box() -> None:
    size = np.array([3.0, 2.0, 1.0])
    line = edges(size)
    assert {tuple(corner) for corner in np.abs(line)} == {(1.5, 1.0, 0.5)}
    drawn = {frozenset((tuple(one), tuple(other))) for one, other in itertools.pairwise(line.tolist())}
    assert len(drawn) == 12
    assert all(sum(x != y for x, y in zip(*edge)) == 1 for edge in drawn), "each along one axis"


def test_boxes_hold_their_objects(scene_now: ArrangedScene) -> None:
    for each in scene_now.objects:
        box = box_of(scene_now.trained, each)
        low, high = np.array(each.box)
        assert (np.abs(box.centre - (low + high) / 2) <= (high - low) / 2).all()
        assert (box.size > 0).all() and box.size.prod() <= 1.1 * 2 * (high - low).prod()


def test_the_box_of_merged_objects_holds_them_all(scene_now: ArrangedScene) -> None:
    """A merged object was framed by its first member alone: the others left the picture."""
    one, other = (each.id for each in scene_now.objects[1:3])
    apart = [box_of(scene_now.trained, scene_now.by_id[id]) for id in (one, other)]
    merged = scene_now.with_edit(Edit().merge([other], one)).by_id[one]
    box = box_of(scene_now.trained, merged)
    assert inside(box, np.stack([member.centre for member in apart])).all()
    assert box.size.max() > max(member.size.max() for member in apart)


def test_shown_boxes_follow_the_edit(seat) -> None:
    boxes, scene = seat.panel.boxes, seat.editor.scene
    first, second, *_ = every = [each.id for each in scene.objects]
    assert boxes._shown == {}, "nothing is selected"
    chooses(seat, first)
    assert boxes._shown.keys() == {first}
    presses(seat, seat.panel.in_3d, "all objects")
    assert boxes._shown.keys() == {*every}
    handles = {id: drawn for id, (_, drawn) in boxes._shown.items()}
    uses(seat, "hide")
    assert boxes._shown.keys() == {*every} - {first}
    chooses(seat, second)
    presses(seat, seat.panel.color, (1, 2, 3))
    kept = {id for id, (_, drawn) in boxes._shown.items() if drawn is handles[id]}
    assert kept == {*every} - {first, second}, "only what changed is drawn anew"
    presses(seat, seat.panel.in_3d, "nothing")
    assert boxes._shown == {}


def test_boxes_and_flights_go_where_an_object_was_moved(seat, monkeypatch) -> None:
    """The box of a moved object stayed, and the camera flew to where the object had been."""
    scene, boxes = seat.editor.scene, seat.panel.boxes
    first, goals = scene.objects[1], []
    box = box_of(scene.trained, first)
    centre, goal = tuple(box.centre.tolist()), box.centre + np.array([0.1, 0.2, 0.3])
    place = Similarity.about(centre, (math.cos(0.3), 0.0, 0.0, math.sin(0.3)), 2.0, (0.1, 0.2, 0.3))
    monkeypatch.setattr(seat, "_arrive", lambda position, look_at: goals.append(look_at))
    chooses(seat, first.id)
    seat.ask(seat.editor.change, Edit(places={first.id: (place,)}))
    settle(seat)
    (_, (lines, _)), *_ = boxes._shown.values()
    assert np.allclose(lines.position / SCALE, goal, atol=1e-5)
    assert vtf.SO3(lines.wxyz).as_matrix() == pytest.approx(
        vtf.SO3.from_z_radians(box.angle + 0.6).as_matrix(), abs=1e-5
    )
    seat.fly()
    wait_for(lambda: goals)
    assert np.allclose(goals[0], goal, atol=1e-5)
