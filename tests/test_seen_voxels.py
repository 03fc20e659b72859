"""Which objects a point may belong to, against a search through all points."""

from __future__ import annotations

import pytest
import torch

from disconerf_ns.scene.seen_voxels import SeenVoxels


@pytest.mark.parametrize("resolution", [5, 9])
def test_slots_are_those_seen_in_the_voxels_around_or_in_the_nearest_ones(resolution: int) -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(12, 3, generator=generator) ** 2
    slot = torch.randint(4, (12,), generator=generator)
    asked = torch.cat([torch.rand(100, 3, generator=generator), torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])])
    found = SeenVoxels.of(points, slot, slots=4, resolution=resolution)(asked)

    def voxel(x: torch.Tensor) -> torch.Tensor:
        return (x * resolution).floor().clamp(max=resolution - 1)

    def slots_around(v: torch.Tensor) -> frozenset[int]:
        return frozenset(int(s) for p, s in zip(points, slot) if (voxel(p) - v).abs().max() <= 1)

    grid = torch.cartesian_prod(*[torch.arange(resolution).float()] * 3)
    known = [(v, slots) for v in grid if (slots := slots_around(v))]
    assert len(known) < len(grid)
    for position, allowed in zip(asked, found):
        here = voxel(position)
        away = [float((v - here).norm()) for v, _ in known]
        choices = {slots for distance, (_, slots) in zip(away, known) if distance < min(away) + 1e-4}
        assert frozenset(allowed.nonzero()[:, 0].tolist()) in choices


def test_a_slot_that_was_never_seen_is_nowhere() -> None:
    found = SeenVoxels.of(torch.rand(5, 3), torch.tensor([0, 2, 2, 0, 2]), slots=3)(torch.rand(100, 3))
    assert not found[:, 1].any() and found.any(1).all()
