"""Films show an object alone as the edit has it stand: turned, and on a ground that is level there."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from film_scene import BALL, CENTRE, RADIUS, HandMade, hand_made, photographs
from helpers import assert_close

from disconerf_ns.filming.frames import Look, Subject
from disconerf_ns.filming.orbit import look_at, square
from disconerf_ns.filming.shots import Shot, orbit, spiral_shot
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.similarity import Quaternion, Similarity, vector

SIZE = 32
UPSIDE_DOWN, LEFT = (0.0, 1.0, 0.0, 0.0), (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))
"""Half a turn about x, and a quarter of one about z."""


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> ArrangedScene:
    """The ball is red, and its upper half green."""
    shade, green = HandMade.shade, torch.tensor([0.1, 0.9, 0.2])

    def two_coloured(field: HandMade, x: torch.Tensor, directions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        density, rgb = shade(field, x, directions)
        upper = (field.owner(x) == BALL) & (x[..., 2] > CENTRE[2])
        return density, torch.where(upper[..., None], green, rgb)

    monkeypatch.setattr(HandMade, "shade", two_coloured)
    return hand_made()


def standing(scene: ArrangedScene, turn: Quaternion) -> ArrangedScene:
    """The ball turned, half as large again, and somewhere else."""
    return scene.with_edit(Edit(places={BALL: (Similarity.about(vector(CENTRE), turn, 1.5, (1.0, 2.0, 0.5)),)}))


def first_picture(scene: ArrangedScene, shot: Shot) -> np.ndarray:
    return Subject(scene, BALL, shot.look()).picture(shot.cameras[:1])


def green_above(picture: np.ndarray) -> bool:
    """Whether the ball is green above and red below; red above and green below otherwise."""
    rows = np.arange(len(picture))[:, None] * picture[..., 3]
    middle = rows.sum() / picture[..., 3].sum()
    above = np.arange(len(picture))[:, None] < middle
    green = [np.average(picture[..., 1] - picture[..., 0], weights=picture[..., 3] * half) for half in (above, ~above)]
    assert green[0] * green[1] < 0
    return bool(green[0] > 0)


@pytest.mark.parametrize("path", [orbit, spiral_shot])
def test_a_turned_object_is_filmed_as_it_stands(scene: ArrangedScene, path) -> None:
    """It was shown as it was photographed."""
    for each, is_upright in ((scene, True), (standing(scene, LEFT), True), (standing(scene, UPSIDE_DOWN), False)):
        picture = first_picture(each, path(each, each.objects[0], photographs(), 4, SIZE))
        assert green_above(picture) is is_upright
        assert path is spiral_shot or 0.7 < (picture[..., 3] > 0.5).any(0).mean() < 0.9, "as large as ever"


def test_a_turn_about_the_vertical_changes_no_turntable(scene: ArrangedScene) -> None:
    """It begins on the side that the best photograph shows, however that stands."""
    pictures = [
        first_picture(each, orbit(each, each.objects[0], photographs(), 4, SIZE))
        for each in (scene, standing(scene, LEFT))
    ]
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.01


def test_a_path_between_photographs_goes_along_with_an_object(scene: ArrangedScene) -> None:
    """It would be out of their sight otherwise."""
    turned = standing(scene, UPSIDE_DOWN)
    shot = orbit(turned, turned.objects[0], photographs(count=1, height=30.0), 4, SIZE, photographed=True)
    assert shot.remark.startswith("no turntable") and first_picture(turned, shot)[..., 3].max() > 0.9


def test_the_side_on_which_a_person_stands_comes_first(scene: ArrangedScene) -> None:
    """Of an object that had been moved, it was the side towards which the person saw the place that it had left."""
    moved = standing(scene, LEFT)
    middle = CENTRE + torch.tensor([1.0, 2.0, 0.5])
    start = middle + torch.tensor([0.0, -3.0, 0.0])
    place = orbit(moved, moved.objects[0], photographs(), 4, SIZE, start=start).cameras.camera_to_worlds[0, :, 3]
    assert_close((place - middle)[:2] / (place - middle)[:2].norm(), torch.tensor([0.0, -1.0]), 0.02)


def test_a_given_path_shows_an_object_where_it_stands(scene: ArrangedScene) -> None:
    """Films of objects and of the edited scene on one path lie upon each other."""
    moved = standing(scene, LEFT)
    middle = CENTRE + torch.tensor([1.0, 2.0, 0.5])
    camera = square(look_at((middle + torch.tensor([0.0, -4.0, 0.5]))[None], middle), SIZE)
    alpha = Subject(moved, BALL).picture(camera)[..., 3]
    assert alpha[SIZE // 2, SIZE // 2] == 1 and alpha[0, 0] == 0


def test_the_ground_is_level_below_a_turned_object(scene: ArrangedScene) -> None:
    turned = standing(scene, (math.cos(0.6), math.sin(0.6), 0.0, 0.0))
    ground = Subject(turned, BALL, Look(shadow=True)).ground
    assert ground is not None and ground.height == pytest.approx(float(CENTRE[2]) + 0.5 - 1.5 * RADIUS, abs=0.05)
