"""Quantile points of the rendering weights: hand-worked cases, laws, and the quadrature error."""

from __future__ import annotations

import pytest
import torch
from helpers import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st

from disconerf_ns.surface.samples import SurfaceSamples, render_slots, weight_quantiles


def test_quantiles_by_hand() -> None:
    edges = torch.tensor([[0.0, 1.0, 2.0, 4.0]])
    # half of the weight in [0, 1], half in [2, 4]: quartiles at 1/4, 3/4 lie in the middle of each
    assert_close(weight_quantiles(torch.tensor([[0.4, 0.0, 0.4]]), edges, 2), torch.tensor([[0.5, 3.0]]), 1e-4)
    # all of the weight in [1, 2]
    assert_close(
        weight_quantiles(torch.tensor([[0.0, 1.0, 0.0]]), edges, 4), 1 + torch.tensor([[1, 3, 5, 7]]) / 8, 1e-4
    )


@given(seed=st.integers(0, 10_000), count=st.integers(1, 6))
@settings(max_examples=40)
def test_quantiles_split_the_weight_evenly(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(5, 12, generator=generator) ** 6
    edges = torch.rand(5, 13, generator=generator).cumsum(-1)
    distances = weight_quantiles(weights, edges, count)
    assert (distances.diff(dim=-1) >= 0).all()
    # the weight before point j, by integrating the piecewise constant density
    length = edges.diff(dim=-1)
    before = ((distances[..., None] - edges[:, None, :-1]) / length[:, None]).clamp(0, 1)
    share = (before * weights[:, None]).sum(-1) / weights.sum(-1, keepdim=True)
    assert_close(share, ((torch.arange(count) + 0.5) / count).expand(5, -1), 1e-3)


def test_a_ray_without_weight_has_points_all_the_same() -> None:
    distances = weight_quantiles(torch.zeros(1, 4), torch.tensor([[0.0, 1, 2, 3, 4]]), 2)
    assert_close(distances, torch.tensor([[1.0, 3.0]]))


def test_packing_keeps_positions_to_half_a_step() -> None:
    positions = torch.rand(100, 2, 3)
    samples = SurfaceSamples.pack(positions, torch.rand(100))
    assert (samples.positions - positions).abs().max() <= 0.5 / 65535 + 1e-7
    assert samples.nbytes == 100 * (2 * 3 * 2 + 2)
    ends = SurfaceSamples.pack(torch.tensor([[[0.0, 1.0, 0.5]]]), torch.ones(1))
    assert ends.positions.flatten().tolist() == pytest.approx([0.0, 1.0, 0.5], abs=1e-5)


def test_slots_rendered_from_equal_weight_points_by_hand() -> None:
    probabilities = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.0, 1.0]])
    image = render_slots(probabilities, torch.tensor([0.8, 1.0]))
    assert_close(image, torch.tensor([[0.8 * 0.75, 0.8 * 0.25], [0.0, 1.0]]))


@pytest.mark.parametrize(("count", "bound"), [(1, 0.08), (2, 0.035), (4, 0.015)])
def test_quadrature_error_against_all_samples(count: int, bound: float) -> None:
    """A soft surface crossed by the boundary between two slots at a random depth, 48 samples: mean error of O."""
    generator = torch.Generator().manual_seed(0)
    rays, samples = 4000, 48
    edges = torch.linspace(0, 1, samples + 1).expand(rays, -1)
    middle = (edges[:, 1:] + edges[:, :-1]) / 2
    surface = 0.3 + 0.4 * torch.rand(rays, 1, generator=generator)
    density = 60 * ((middle - surface) * 30).sigmoid()
    alpha = 1 - (-density / samples).exp()
    weights = alpha * torch.cumprod(torch.cat([torch.ones(rays, 1), 1 - alpha], -1), -1)[:, :-1]
    boundary = surface + 0.1 * torch.randn(rays, 1, generator=generator)

    def slot(distance):
        return ((distance - boundary) * 40).sigmoid()

    exact = (weights * slot(middle)).sum(-1)
    points = weight_quantiles(weights, edges, count)
    quick = render_slots(slot(points).view(-1, 1), weights.sum(-1))[:, 0]
    assert (quick - exact).abs().mean() < bound
