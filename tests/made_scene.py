"""A scene whose field is a formula: a ball with haze around it and a crumb above it, and a smaller ball beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from helpers import alike
from nerfstudio.cameras.cameras import Cameras
from scene import camera_pose
from torch import Tensor

from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.closed_surface import ClosedSurface
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.enclosure import Enclosure
from disconerf_ns.scene.objects import DiscoveredObject
from disconerf_ns.scene.seen_rays import SeenRays
from disconerf_ns.scene.trained import TrainedScene
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.surface.intervals import Intervals

CENTRE, RADIUS, COLOR = torch.tensor([0.2, 0.0, 0.1]), 0.3, (0.8, 0.3, 0.1)
OTHER, SMALL = torch.tensor([-0.5, 0.3, 0.0]), 0.15


@dataclass
class MadeRadiance:
    """Balls of density 300, hollow and black inside as trained ones are."""

    contraction: Contraction
    device = torch.device("cpu")
    fused = False
    background = torch.ones(3)

    def still(self):
        return torch.no_grad()

    def density(self, positions: Tensor) -> Tensor:
        shells = [(positions - centre).norm(dim=-1) - radius for centre, radius in ((CENTRE, RADIUS), (OTHER, SMALL))]
        solid = sum(((shell < 0) & (shell > -0.06)).float() for shell in shells)
        crumb = ((positions - CENTRE - torch.tensor([0.0, 0.0, 0.45])).norm(dim=-1) < 0.03).float()
        haze = ((positions - CENTRE).norm(dim=-1) < 0.5).float()
        return 300.0 * torch.maximum(solid, crumb) + 0.3 * haze

    def shade(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        outside = ((positions - CENTRE).norm(dim=-1) > 0.9 * RADIUS) & ((positions - OTHER).norm(dim=-1) > 0.9 * SMALL)
        return self.density(positions), outside[..., None] * torch.tensor(COLOR)

    def sample(self, rays, factor=None) -> Intervals:
        edges = torch.linspace(0.5, 4, 257).expand(len(rays), -1)
        return Intervals(rays.origins, rays.directions, edges)

    def densities(self, samples: Intervals) -> Tensor:
        return self.density(samples.positions)

    def images(self, samples: Intervals, weights: Tensor, rgb: Tensor) -> dict[str, Tensor]:
        opacity = weights.sum(-1, keepdim=True)
        depth = self.depth(samples, weights)
        color = (weights[..., None] * rgb).sum(-2) + 1 - opacity
        return {"rgb": color, "accumulation": opacity, "depth": depth, "expected_depth": depth}

    def depth(self, samples: Intervals, weights: Tensor) -> Tensor:
        before = (weights.cumsum(-1) < 0.5).sum(-1, keepdim=True).clamp(max=weights.shape[-1] - 1)
        return samples.middles.gather(-1, before)


def made_scene() -> ArrangedScene:
    """The scene: object_00 is the ball, object_01 the smaller one."""
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    contraction = Contraction(box, None)

    def field(contracted: Tensor) -> Tensor:
        positions = contraction.inverse(contracted)
        nearer = (positions - CENTRE).norm(dim=-1) < (positions - OTHER).norm(dim=-1)
        return torch.stack([nearer, ~nearer], -1).float().clamp(0.01, 0.99)

    objects = (
        DiscoveredObject(0, 0.3, 0.9, 8, **alike(((-0.35, -0.55, -0.45), (0.75, 0.55, 0.65)))),
        DiscoveredObject(1, 0.1, 0.8, 8, **alike(((-0.7, 0.1, -0.2), (-0.3, 0.5, 0.2)))),
    )
    return ArrangedScene(TrainedScene(MadeRadiance(contraction), field, ObjectTree.flat(2), objects))


def made_cameras(views: int = 10, size: int = 24) -> Cameras:
    """Cameras that circle the scene above its middle, at three heights."""
    poses = [camera_pose(2 * np.pi * view / views, 0.2 + 0.35 * (view % 3), 2.2) for view in range(views)]
    matrices = torch.tensor(np.stack(poses)[:, :3], dtype=torch.float32)
    return Cameras(matrices, fx=1.1 * size, fy=1.1 * size, cx=size / 2, cy=size / 2, width=size, height=size)


def enclosed(own: SeenRays, box: Tensor, rays: SeenRays, strangers: SeenRays) -> Enclosure:
    surface = ClosedSurface.through(own, box)
    assert surface is not None
    return Enclosure.of(surface, box, rays, strangers)
