"""A scene made by hand: a red ball with haze around it and a crumb above, on a floor, beside a wall."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from helpers import alike
from scene import camera_pose
from torch import Tensor

from disconerf_ns.filming.frames import Painter
from disconerf_ns.filming.orbit import square
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.objects import DiscoveredObject
from disconerf_ns.scene.trained import TrainedScene
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.surface.intervals import Intervals

CENTRE, RADIUS, RED = torch.tensor([0.2, 0.0, 0.35]), 0.3, (0.9, 0.2, 0.1)
CRUMB = torch.tensor([0.75, 0.5, 0.9])
BALL, FLOOR, WALL = 0, 1, 2
WALL_AT = -0.5
"""The wall stands at x < -0.5 where it is there."""


class HandMade:
    """A radiance field of those things; 128 even samples along each ray."""

    background, fused = torch.ones(3), False
    device = torch.device("cpu")
    contraction = Contraction(torch.tensor([[-4.0] * 3, [4.0] * 3]), None)

    def __init__(self, haze: float, wall: bool):
        self.haze, self.wall = haze, wall

    def still(self):
        return nullcontext()

    def owner(self, x: Tensor) -> Tensor:
        wall = torch.where(x[..., 0] < WALL_AT, WALL, BALL)
        return torch.where(x[..., 2] < 0, FLOOR, wall)

    def density(self, x: Tensor) -> Tensor:
        from_ball = (x - CENTRE).norm(dim=-1)
        ball = 300.0 * (from_ball < RADIUS) + self.haze * (from_ball < 2 * RADIUS)
        crumb = 300.0 * ((x - CRUMB).norm(dim=-1) < 0.05) * (self.haze > 0)
        floor = 300.0 * ((x[..., 2] > -0.1) & (x[..., :2].abs().amax(-1) < 1))
        wall = 300.0 * ((x[..., 0] > WALL_AT - 0.1) & (x[..., 1].abs() < 3)) * self.wall
        owner = self.owner(x)
        return torch.where(owner == FLOOR, floor, torch.where(owner == WALL, wall, ball + crumb))

    def sample(self, rays, factor=None) -> Intervals:
        edges = torch.linspace(0.01, 6, 129).expand(len(rays), -1)
        return Intervals(rays.origins, rays.directions, edges)

    def densities(self, samples: Intervals) -> Tensor:
        return self.density(samples.positions)

    def shade(self, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        colors = torch.tensor([RED, (0.5, 0.5, 0.5), (0.2, 0.3, 0.9)])
        return self.density(x), colors[self.owner(x)]

    def images(self, samples, weights, rgb) -> dict[str, Tensor]:
        white = (1 - weights.sum(-1, keepdim=True)).expand(-1, 3)
        accumulation, depth = weights.sum(-1, keepdim=True), self.depth(samples, weights)
        rgb = (weights[..., None] * rgb).sum(-2) + white
        return {"rgb": rgb, "accumulation": accumulation, "depth": depth, "expected_depth": depth}

    def depth(self, samples: Intervals, weights: Tensor) -> Tensor:
        before = (weights.cumsum(-1) < 0.5).sum(-1, keepdim=True)
        return samples.middles.gather(-1, before.clamp(max=weights.shape[-1] - 1))


def hand_made(haze: float = 0.0, wall: bool = False) -> ArrangedScene:
    """The scene; object_00 is the ball, object_01 the floor, and object_02 the wall."""
    radiance = HandMade(haze, wall)
    boxes = {
        BALL: ((-0.45, -0.7, 0.0), (1.0, 0.7, 1.0)),
        FLOOR: ((-1.0, -1.0, -0.1), (1.0, 1.0, 0.0)),
        WALL: ((WALL_AT - 0.1, -3.0, 0.0), (WALL_AT, 3.0, 3.0)),
    }
    objects = tuple(DiscoveredObject(node, 0.3, 1.0, 8, **alike(boxes[node])) for node in boxes if wall or node != WALL)

    def field(contracted: Tensor) -> Tensor:
        owner = radiance.owner(radiance.contraction.inverse(contracted))
        return torch.nn.functional.one_hot(owner, 3).float()

    return ArrangedScene(TrainedScene(radiance, field, ObjectTree.flat(3), objects))


def photographs(count: int = 8, height: float = 0.5, distance: float = 2.5, spread: float = 1.0):
    """Cameras on a part of a circle, all looking at the origin."""
    angles = [2 * torch.pi * spread * number / count for number in range(count)]
    poses = [torch.from_numpy(camera_pose(angle, height, distance)[:3]).float() for angle in angles]
    return square(torch.stack(poses), 64, 1.0)


def painter() -> Painter:
    """What a process draws the ball with."""
    return Painter(hand_made(haze=0.5))
