"""Resampling rays in Triton, against its torch twin."""

from __future__ import annotations

import pytest
import torch
from helpers import assert_close

from disconerf_ns.compat.proposals import resample, resample_by_triton
from disconerf_ns.surface.intervals import PIECEWISE, UNIFORM, Intervals, Spacing

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def case(samples: int, spacing: Spacing, rays: int = 7) -> tuple:
    """Densities of rays, rough, none, infinite or no number somewhere, or all at the front, with their samples."""
    generator = torch.Generator().manual_seed(samples)
    density = torch.randn(rays, samples, generator=generator).mul(4).exp()
    density[1], density[2, samples // 2], density[3, samples // 3], density[4, 1:] = 0, float("inf"), float("nan"), 0
    steps = torch.rand(rays, samples + 1, generator=generator).sort(-1).values
    near, far = (
        spacing.of(torch.full((rays, 1), distance)) for distance in (0.05, 1000.0 if spacing is PIECEWISE else 6.0)
    )
    near[5] = far[5] = spacing.of(torch.tensor(2.0))
    edges = spacing.inverse(torch.lerp(near, far, steps))
    there = [each.to(DEVICE) for each in (density, edges, steps, near, far)]
    origins = torch.zeros(rays, 3, device=DEVICE)
    return there[0], Intervals(origins, origins, there[1]), *there[2:]


@pytest.mark.parametrize("spacing", [PIECEWISE, UNIFORM], ids=["piecewise", "uniform"])
@pytest.mark.parametrize(("samples", "count"), [(1, 1), (5, 18), (48, 49), (96, 49), (100, 3)])
def test_triton_resamples_as_torch_does(samples: int, count: int, spacing: Spacing) -> None:
    given = *case(samples, spacing), count, spacing, 1.0
    (edges, steps), (distances, expected) = resample_by_triton(*given), resample(*given)
    assert_close(steps, expected, 3e-5)
    assert steps.diff(dim=-1).ge(0).all() and edges.isfinite().all()
    assert_close(spacing.of(edges), spacing.of(distances), 3e-5)


def test_a_ray_beside_the_scene_has_no_samples() -> None:
    density, samples, steps, near, far = case(6, PIECEWISE)
    near[:], far[:] = 1.0, 1.0
    edges, _ = resample_by_triton(density.nan_to_num(0, 0), samples, steps, near, far, 4, PIECEWISE, 1.0)
    assert edges.isinf().all()
