"""Solid voxels of things of known place and volume, without crumbs and haze."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import assert_close

from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.occupancy import Occupancy
from disconerf_ns.scene.solid import OPAQUE, Solid, UprightBox

CUBE = Contraction(torch.tensor([[-2.0] * 3, [2.0] * 3]), None)
BOX = torch.tensor([[-1.0] * 3, [1.0] * 3])
YAW = math.radians(30)


def solid(density) -> Solid:
    return Solid.of(Occupancy.build(density, CUBE, BOX, 64, threshold=OPAQUE, grown=False))


def shell(x: torch.Tensor) -> torch.Tensor:
    """A hollow ball of radius 0.5 about (0.2, 0, 0), haze around it, and a crumb far away."""
    distance = (x - torch.tensor([0.2, 0.0, 0.0])).norm(dim=-1)
    crumb = (x - torch.tensor([-0.9, 0.9, 0.9])).norm(dim=-1) < 0.06
    return 200.0 * (((distance - 0.45).abs() < 0.05) | crumb) + 0.5


def test_a_hollow_ball_is_filled_and_clean() -> None:
    ball = solid(shell)
    assert ball.volume == pytest.approx(4 / 3 * math.pi * 0.5**3, rel=0.08)
    assert_close(torch.tensor(ball.centre), torch.tensor([0.2, 0.0, 0.0]), 0.02)
    assert (ball.points - torch.tensor([0.2, 0.0, 0.0])).norm(dim=-1).max() < 0.55


def test_a_brick_stands_in_its_box() -> None:
    axes = UprightBox((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), YAW).axes

    def brick(x: torch.Tensor) -> torch.Tensor:
        return 500.0 * ((x @ axes.T).abs() < torch.tensor([0.6, 0.2, 0.3])).all(-1)

    box = solid(brick).box
    assert box is not None
    assert box.yaw == pytest.approx(YAW, abs=0.03)
    assert box.size == pytest.approx((1.2, 0.4, 0.6), abs=0.09)
    assert box.centre == pytest.approx((0, 0, 0), abs=0.02)


def test_the_first_axis_is_the_longer_one() -> None:
    wide = torch.cartesian_prod(torch.tensor([-1.0, 1]), torch.tensor([-3.0, 3]), torch.tensor([0.0, 1]))
    box = UprightBox.around(wide)
    assert box.size == pytest.approx((6, 2, 1)) and box.yaw == pytest.approx(math.pi / 2)
    expected = {tuple(corner) for corner in wide.tolist()}
    assert {tuple(round(c, 4) + 0.0 for c in corner) for corner in box.corners.tolist()} == expected


def test_nothing_is_solid() -> None:
    fog = solid(lambda x: torch.full(x.shape[:-1], 0.1))
    assert len(fog) == 0 and fog.box is None and fog.volume == 0
