"""Assertions and slow, readable twins that several tests share."""

from __future__ import annotations

import itertools
import os
import random

import pytest
import torch
from torch import Tensor

from disconerf_ns.scene.objects import Box


def needs_system_package(package: str, there: bool) -> None:
    """Skip a test, and say which package brings it back; in CI, which installs all packages, fail instead."""
    if there:
        return
    reason = f"needs the system package {package}; on Debian: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def assert_close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    """Equal up to `tolerance` relative to the larger tensor's largest entry."""
    scale = max(float(a.abs().max()), float(b.abs().max()), 1e-12)
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * scale)


def alike(box: Box) -> dict[str, Box]:
    """What says of an object that its box is also its reach."""
    return {"box": box, "reach": box}


def edit_scene(model, edit) -> None:
    """Make an edit current, as the viewer's editor does."""
    model.current.replace(lambda scene: scene.with_edit(edit))


def affinity_by_loops(slots: Tensor, masks: Tensor) -> Tensor:
    """Eq. 4 as it is written: sums of pixelwise minima and maxima."""
    alpha = torch.zeros(masks.shape[1], slots.shape[1])
    for m, n in itertools.product(range(masks.shape[1]), range(slots.shape[1])):
        low = torch.minimum(slots[:, n], masks[:, m]).sum()
        high = torch.maximum(slots[:, n], masks[:, m]).sum()
        alpha[m, n] = low / high if masks[:, m].any() else 0.0
    return alpha


def best_assignment(alpha: Tensor) -> tuple[int, ...]:
    """The assignment of masks to different slots with the largest total, by trying them all."""
    return max(
        itertools.permutations(range(alpha.shape[1]), alpha.shape[0]),
        key=lambda gamma: sum(float(alpha[m, n]) for m, n in enumerate(gamma)),
    )


def matching_loss_by_loops(slots: Tensor, masks: Tensor, gamma: tuple[int, ...]) -> Tensor:
    """Eq. 5, divided by the number of pixels."""
    total = sum((masks[:, m] - slots[:, n]).square().sum() for m, n in enumerate(gamma))
    return total / len(gamma) / len(slots)


def false_positive_loss_by_loops(slots: Tensor, masks: Tensor, gamma: tuple[int, ...]) -> Tensor:
    """Eq. 6, divided by the number of pixels."""
    total = sum(
        (masks[:, m] * slots[:, n]).square().sum()
        for m in range(len(gamma))
        for n in range(slots.shape[1])
        if n != gamma[m]
    )
    return total / len(gamma) / len(slots)


def grid_by_loops(grid, positions: Tensor) -> Tensor:
    """Trilinear interpolation of the hash grid, one corner of one level at a time."""
    levels = []
    for level, resolution in enumerate(grid.resolutions):
        scaled = positions * resolution
        cell = scaled.floor().clamp(0, resolution - 1)
        total = 0.0
        for corner in itertools.product((0, 1), repeat=3):
            corner = torch.tensor(corner)
            weight = torch.where(corner.bool(), scaled - cell, 1 - (scaled - cell)).prod(-1, keepdim=True)
            total = total + weight * grid.vertex_features(level, cell.long() + corner)
        levels.append(total)
    return torch.cat(levels, -1)


def total_variation_by_loops(grid, vertices: list[Tensor]) -> Tensor:
    """Mean squared difference of neighbouring vertices, pair by pair."""
    total = torch.zeros(())
    for level, base in enumerate(vertices):
        pairs = []
        for vertex, axis in itertools.product(base, range(3)):
            step = torch.zeros_like(vertex)
            step[axis] = 1
            ends = grid.vertex_features(level, torch.stack([vertex, vertex + step]))
            pairs.append((ends[0] - ends[1]).square().sum())
        total = total + torch.stack(pairs).mean()
    return total


def nerfstudio_samples(rays, samples):
    """Samples of rays as nerfstudio's fields take them."""
    return rays.get_ray_samples(samples.edges[:, :-1, None], samples.edges[:, 1:, None])


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Bytes cut, changed, doubled, or a number replaced by one that is out of every range."""
    at = chance.randrange(max(len(content), 1))
    end = min(at + chance.randrange(1, 20), len(content))
    strange = (b"1e999", b"NaN", b"null", b"-1", b"[]", b"{}", b'"x"', b"1" * 400, b"[" * 2000, b"\xff")
    middle = chance.choice((b"", content[at:end] * 2, bytes([chance.randrange(256)]), chance.choice(strange)))
    return content[:at] + middle + content[end:]
