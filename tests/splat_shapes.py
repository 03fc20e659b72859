"""Gaussians of simple shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from scene import BALLS
from torch import Tensor
from torch.nn.functional import normalize

from disconerf_ns.gaussians.spherical_harmonics import C0
from disconerf_ns.gaussians.splats import Splats


def sphere(centre: Sequence[float], radius: float, rgb: Sequence[float], count: int) -> Splats:
    """Flat opaque gaussians all over a sphere, of one colour in [0, 1]."""
    turn = torch.arange(count) * math.pi * (3 - math.sqrt(5))
    z = 1 - 2 * (torch.arange(count) + 0.5) / count
    normal = torch.stack([(1 - z * z).sqrt() * turn.cos(), (1 - z * z).sqrt() * turn.sin(), z], -1)
    half = normalize(normal + torch.tensor([0.0, 0.0, 1.0]), dim=-1)  # a half turn about it takes z to the normal
    across = 1.2 * radius * math.sqrt(4 * math.pi / count) / 2
    return Splats(
        torch.tensor(centre) + radius * normal,
        torch.tensor([across, across, 0.02 * radius]).log().expand(count, 3),
        torch.cat([torch.zeros(count, 1), half], 1),
        torch.full((count,), 4.0),
        ((torch.tensor(rgb) - 0.5) / C0).expand(count, 1, 3),
    )


def wall(half: float, height: float, spacing: float, rgb: Callable[[Tensor, Tensor], Tensor]) -> Splats:
    """Flat opaque gaussians on a square across z, coloured by x and y."""
    ticks = torch.arange(-half + spacing / 2, half, spacing)
    x, y = (each.flatten() for each in torch.meshgrid(ticks, ticks, indexing="ij"))
    return Splats(
        torch.stack([x, y, torch.full_like(x, height)], -1),
        torch.tensor([0.6 * spacing, 0.6 * spacing, 0.002]).log().expand(len(x), 3),
        torch.eye(1, 4).expand(len(x), 4),
        torch.full((len(x),), 4.0),
        ((rgb(x, y) - 0.5) / C0)[:, None],
    )


def balls_as_splats() -> Splats:
    """The scene of `scene.py` as gaussians, in the capture's coordinates."""

    def checkered(x: Tensor, y: Tensor) -> Tensor:
        bright = ((x * 3).floor() + (y * 3).floor()) % 2 > 0
        return torch.where(bright[:, None], torch.tensor([180.0, 160, 130]), torch.tensor([120.0, 100, 80])) / 255

    balls = [sphere(centre, radius, [value / 255 for value in rgb], 1500) for centre, radius, rgb in BALLS]
    return Splats.cat([*balls, wall(1.2, 0.0, 0.04, checkered)])
