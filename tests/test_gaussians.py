"""Gaussians as a radiance field: beside sums over all of them, drawn splats, and opacities by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.field_components.spatial_distortions import SceneContraction
from splat_shapes import sphere, wall
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.rasterizer import rasterize
from disconerf_ns.gaussians import density, radiance, touched
from disconerf_ns.gaussians.density import Clouds, peaks, thickened
from disconerf_ns.gaussians.radiance import SplatRadiance
from disconerf_ns.gaussians.spherical_harmonics import C0
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.gaussians.touched import REACH, TouchedVoxels
from disconerf_ns.rendering.rays import render_scene
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.surface.intervals import Intervals

BOX = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
CONTRACTED = Contraction(BOX, SceneContraction(order=float("inf")))
BOUNDED = Contraction(2 * BOX, None)
SPACES = pytest.mark.parametrize("space", [CONTRACTED, BOUNDED], ids=["contracted", "bounded"])
BLACK = torch.zeros(3)


def random_splats(count: int = 60, degree: int = 2, seed: int = 0, spread: float = 1.0) -> Splats:
    """Gaussians near the origin, with `spread` above 1 also far away and large."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    far = spread ** torch.rand(count, 1, generator=random)
    scales = (0.05 * far * (0.5 * normal(count, 3)).exp()).log()
    return Splats(
        0.5 * normal(count, 3) * far,
        scales,
        normal(count, 4),
        2 * normal(count),
        0.3 * normal(count, (degree + 1) ** 2, 3),
    )


def field(splats: Splats, space: Contraction = CONTRACTED) -> SplatRadiance:
    return SplatRadiance(splats, space, BLACK, nullcontext)


def clouds(splats: Splats, space: Contraction = CONTRACTED, resolution: int = 32) -> Clouds:
    return Clouds.of(splats, TouchedVoxels.of(splats, space, resolution), space)


def slow_density(splats: Splats, positions: Tensor) -> Tensor:
    """Every gaussian at every point, as the formula says."""
    steps = positions[:, None] - splats.means
    distance = torch.einsum("pni,nij,pnj->pn", steps, splats.covariances.inverse(), steps)
    return peaks(splats) * torch.exp(-distance / 2)


# -------------------------------------------------------------------- contracted space


@SPACES
def test_the_contracted_box_is_around_all_points_of_a_box_and_touches_them(space: Contraction) -> None:
    random = torch.Generator().manual_seed(3)
    middle = 3 * torch.randn(40, 3, generator=random)
    half = torch.randn(40, 3, generator=random).exp()
    within = torch.rand(40, 4000, 3, generator=random).round(decimals=1) * 2 - 1
    points = space(middle[:, None] + half[:, None] * within)
    low, high = space.around(middle - half, middle + half).unbind(1)
    assert (points.amin(1) >= low - 1e-6).all() and (points.amax(1) <= high + 1e-6).all()
    slack = torch.maximum(points.amin(1) - low, high - points.amax(1))
    assert slack.max() < 0.02


@SPACES
def test_a_short_step_is_stretched_by_the_factor(space: Contraction) -> None:
    random = torch.Generator().manual_seed(4)
    points = torch.rand(200, 3, generator=random, dtype=torch.float64) * 0.9 + 0.05
    outwards = torch.nn.functional.one_hot((points - 0.5).abs().argmax(-1), 3) * 1e-6
    length = (space.inverse(points + outwards) - space.inverse(points)).abs().amax(-1) / 1e-6
    torch.testing.assert_close(length, space.stretch(points).double(), rtol=1e-3, atol=0)


# -------------------------------------------------------------------- voxels


def thin(splats: Splats) -> Splats:
    """The same, half of them needles and half of them plates."""
    log_scales = splats.log_scales.clone()
    log_scales[::2, 1:] = log_scales[::2, :1] - math.log(50)
    log_scales[1::2, 2] = log_scales[1::2, :2].amin(-1) - math.log(50)
    return replace(splats, log_scales=log_scales)


@SPACES
@pytest.mark.parametrize(
    ("spread", "resolution", "shaped"),
    [(1.0, 32, lambda splats: splats), (30.0, 32, lambda splats: splats), (1.0, 256, thin)],
    ids=["near", "far", "thin"],
)
def test_a_gaussian_is_found_wherever_it_reaches(
    space: Contraction, spread: float, resolution: int, shaped: Callable[[Splats], Splats]
) -> None:
    """Thin ones were missed in a part of the voxels at their ends: an ellipsoid does not grow by a sphere's radius."""
    splats = shaped(random_splats(80, spread=spread))
    touched = TouchedVoxels.of(splats, space, resolution)
    on_sphere = normalize(torch.randn(80, 60, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    reach = REACH * torch.linspace(0, 1, 60)[:, None] ** 0.5
    points = splats.means[:, None] + (on_sphere * reach) @ (splats.axes * splats.scales[:, None]).mT
    index = touched.index(space(points.flatten(0, 1)))
    row, gaussian = touched.pairs(index, touched.count(index))
    found = torch.zeros(len(index), 80, dtype=torch.bool)
    found[row, gaussian] = True
    own = torch.arange(80).repeat_interleave(60)
    inside = torch.ones(len(index), dtype=torch.bool)
    if space is BOUNDED:
        inside = (points.flatten(0, 1).abs() < 2).all(-1)
    assert found[torch.arange(len(index)), own][inside].all()


def test_a_voxel_lists_few_gaussians() -> None:
    """Halving keeps what touches a voxel, and not much more: its sphere is larger than it by the square root of 3."""
    splats = replace(random_splats(200), log_scales=torch.full((200, 3), math.log(0.01)))
    touched = TouchedVoxels.of(splats, CONTRACTED, 64)
    edge = 4 / 64
    volume = (2 * REACH * 0.01 + math.sqrt(3) * edge) ** 3 / edge**3
    assert len(touched.gaussian) < 200 * volume
    assert (touched.first.diff() >= 0).all() and int(touched.first[-1]) == len(touched.gaussian)


def test_voxels_are_larger_where_large_gaussians_would_be_in_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gaussian over the whole scene is in millions of small voxels; thousands of them filled all memory."""
    huge = replace(random_splats(40), log_scales=torch.full((40, 3), 30.0))
    monkeypatch.setattr(touched, "MOST_ENTRIES", 40 * 16**3)
    found = TouchedVoxels.of(Splats.cat([huge, random_splats(degree=2)]), CONTRACTED, 64)
    assert found.resolution == 8 and len(found.gaussian) <= 40 * 16**3
    assert (found.first.diff() >= 40).all() and torch.equal(found.occupied(16), torch.arange(16**3))


def test_a_scene_in_larger_voxels_looks_the_same(fewer_voxels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = marched(field(ball()), camera(32, 24))["accumulation"]
    monkeypatch.setattr(touched, "MOST_ENTRIES", 60_000)
    coarse = field(ball())
    assert coarse.clouds.touched.resolution < 128
    assert (marched(coarse, camera(32, 24))["accumulation"] - fine).abs().max() < 0.02


# -------------------------------------------------------------------- density and colour


@SPACES
@pytest.mark.parametrize("at_once", [2**23, 50])
def test_density_and_colour_are_those_of_the_sum_over_all(
    space: Contraction, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(density, "PAIRS_AT_ONCE", at_once)
    splats, random = random_splats(), torch.Generator().manual_seed(5)
    positions = splats.means.repeat(8, 1) + 0.05 * torch.randn(480, 3, generator=random)
    positions = positions[(positions.abs() < 1.9).all(-1)]
    directions = normalize(torch.randn(len(positions), 3, generator=random), dim=-1)
    each = slow_density(splats, positions)
    reached = each * (each >= peaks(splats) * math.exp(-(REACH**2) / 2))
    found, rgb = clouds(splats, space).shade(positions, directions)
    torch.testing.assert_close(clouds(splats, space).density(positions), found)
    assert (found >= (1 - 1e-4) * reached.sum(1) - 1e-4).all() and (found <= (1 + 1e-4) * each.sum(1)).all()
    colors = torch.stack([splats.colors(d.expand(60, 3)) for d in directions])
    expected = torch.einsum("pn,pnc->pc", each, colors) / each.sum(1, keepdim=True)
    near = reached.sum(1) > 0.98 * each.sum(1)
    assert near.sum() > 300
    torch.testing.assert_close(rgb[near], expected[near], rtol=0, atol=0.05)


def test_where_no_gaussian_is_nothing_is() -> None:
    far = torch.tensor([[0.9, 0.9, -0.9], [float("inf"), 0.0, 0.0], [float("nan"), 0.0, 0.0]])
    one = Splats(torch.zeros(1, 3), torch.full((1, 3), -4.0), torch.eye(1, 4), torch.ones(1), torch.zeros(1, 1, 3))
    found, rgb = clouds(one).shade(far, normalize(torch.ones(3, 3), dim=-1))
    assert torch.equal(found, torch.zeros(3)) and torch.equal(rgb, torch.zeros(3, 3))


def flat(opacity: float, thickness: float = 0.01, at: float = 0.0) -> Splats:
    """A large gaussian across z."""
    scales = torch.tensor([[0.4, 0.4, thickness]]).log()
    logit = torch.tensor([opacity]).logit()
    return Splats(torch.tensor([[0.0, 0.0, at]]), scales, torch.eye(1, 4), logit, torch.full((1, 1, 3), 0.3 / C0))


def along_z(count: int = 4000) -> Intervals:
    edges = torch.linspace(0, 2, count + 1)[None]
    return Intervals(torch.tensor([[0.0, 0.0, -1.0]]), torch.tensor([[0.0, 0.0, 1.0]]), edges)


@pytest.mark.parametrize("opacity", [0.05, 0.5, 0.98])
def test_a_ray_through_a_gaussian_loses_its_opacity(opacity: float) -> None:
    samples = along_z()
    weights = samples.weights(field(flat(opacity)).densities(samples))
    assert float(weights.sum()) == pytest.approx(opacity, abs=0.01)


def test_gaussians_one_behind_the_other_are_composited() -> None:
    samples, both = along_z(), Splats.cat([flat(0.5, at=-0.3), flat(0.6, at=0.3)])
    weights = samples.weights(field(both).densities(samples))
    assert float(weights.sum()) == pytest.approx(1 - 0.5 * 0.4, abs=0.01)


def test_a_thicker_gaussian_is_as_opaque_seen_from_the_front() -> None:
    thin = flat(0.7, thickness=1e-5)
    thick = thickened(thin, torch.tensor([0.02]))
    torch.testing.assert_close(thick.scales, torch.tensor([[0.4, 0.4, 0.02]]), rtol=1e-4, atol=0)
    samples = along_z()
    assert float(samples.weights(field(thick).densities(samples)).sum()) == pytest.approx(0.7, abs=0.01)


def test_a_gaussian_whose_width_vanishes_has_finite_density() -> None:
    """Where two of three standard deviations were 0 in single precision, everything in their voxels was NaN."""
    mean = torch.tensor([[0.001, 0.002, 0.003]])
    needle = replace(flat(0.7), means=mean, log_scales=torch.tensor([[-2.0, -110.0, -90.0]]))
    found = field(Splats.cat([needle, flat(0.5)])).density(torch.cat([mean, mean + 0.001]))
    assert (found.isfinite() & (found > 0)).all()


# -------------------------------------------------------------------- pictures


def camera(width: int = 64, height: int = 48) -> Cameras:
    """A camera 2.4 before the origin, which looks along -z."""
    pose = torch.eye(4)[None, :3]
    pose[0, 2, 3] = 2.4
    return Cameras(pose, fx=70.0, fy=70.0, cx=width / 2, cy=height / 2, width=width, height=height)[0]


def ball() -> Splats:
    """A yellow ball before a grey wall."""

    def grey(x: Tensor, _: Tensor) -> Tensor:
        return torch.full((len(x), 3), 0.7)

    return Splats.cat([sphere((0.0, 0.0, 0.0), 0.5, (0.9, 0.7, 0.1), 3000), wall(1.5, -0.9, 0.05, grey)])


@pytest.fixture
def fewer_voxels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radiance, "RESOLUTION", 128)


def marched(scene: SplatRadiance, seen_by: Cameras) -> dict[str, Tensor]:
    rays = seen_by.generate_rays(0, keep_shape=True)
    shape = rays.origins.shape[:2]
    images, _ = render_scene(scene, rays.flatten(), 8)
    return {name: image.view(*shape, -1) for name, image in images.items() if image.ndim == 2}


def test_marched_gaussians_look_like_drawn_ones(fewer_voxels: None) -> None:
    splats = ball()
    drawn, found = rasterize(splats, camera()), marched(field(splats), camera())
    assert (found["accumulation"][..., 0] - drawn.alpha).abs().mean() < 0.02
    error = (found["rgb"] - drawn.rgb.clamp(0, 1)).square().mean()
    assert -10 * math.log10(float(error)) > 25
    middle = found["depth"][24, 32, 0]
    assert float(middle) == pytest.approx(2.4 - 0.5, abs=0.03)


def test_no_ray_meets_no_gaussian(fewer_voxels: None) -> None:
    scene, rays = field(ball()), camera(2, 2).generate_rays(0, keep_shape=True).flatten()[:0]
    samples = scene.sample(rays)
    assert scene.densities(samples).shape == samples.middles.shape and len(samples.middles) == 0
    _, rgb = scene.shade(samples.positions, samples.directions[:, None])
    assert rgb.shape == samples.positions.shape


def test_light_that_passes_all_gaussians_has_the_colour_of_the_background(fewer_voxels: None) -> None:
    green = torch.tensor([0.1, 0.9, 0.2])
    nowhere = Splats(
        torch.full((1, 3), 0.9), torch.full((1, 3), -5.0), torch.eye(1, 4), torch.ones(1), torch.zeros(1, 1, 3)
    )
    images = marched(replace(field(nowhere), background=green), camera(8, 6))
    torch.testing.assert_close(images["rgb"], green.expand(6, 8, 3))
    assert torch.equal(images["accumulation"], torch.zeros(6, 8, 1))


def test_rays_past_a_border_reach_what_is_behind_it(fewer_voxels: None) -> None:
    """Samples that a coarse grid puts at the ball's border left none for the wall behind: its outline was dark."""
    shown = marched(field(ball()), camera())["accumulation"]
    assert float(shown.amin()) > 0.8


def test_a_factor_takes_density_away_where_rays_are_sampled_too(fewer_voxels: None) -> None:
    scene = field(ball())
    rays = camera().generate_rays(0, keep_shape=True).flatten()[24 * 64 + 32 : 24 * 64 + 33]

    def without_ball(positions: Tensor) -> Tensor:
        return (positions[..., 2:] < -0.7).float()

    samples = scene.sample(rays, without_ball)
    kept = scene.densities(samples) * without_ball(samples.positions)[..., 0]
    assert float(scene.depth(samples, samples.weights(kept))) == pytest.approx(2.4 + 0.9, abs=0.05)


def test_rays_keep_to_their_own_ends(fewer_voxels: None) -> None:
    rays = RayBundle(
        torch.tensor([[0.0, 0.0, 2.4]]), torch.tensor([[0.0, 0.0, -1.0]]), torch.ones(1, 1),
        nears=torch.tensor([[2.5]]), fars=torch.tensor([[4.0]]),
    )  # fmt: skip
    edges = field(ball()).sample(rays).edges
    assert 2.5 <= float(edges[0, 0]) < 2.7 and 3.5 < float(edges[0, -1]) <= 4.0
