"""Samples and colours of a frozen field, against nerfstudio's own sampler, weights, head and renderers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from helpers import assert_close, nerfstudio_samples
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.models.nerfacto import NerfactoModel, NerfactoModelConfig
from torch.nn.functional import normalize

from disconerf_ns.compat import density_field
from disconerf_ns.compat.nerfacto import NerfactoRadiance
from disconerf_ns.kernels.ray_density import RayDensity
from disconerf_ns.surface.intervals import Intervals, piecewise

RAYS = 40
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def model_of(**options) -> NerfactoModel:
    """An untrained nerfacto with dense places, so that weights are anything but even."""
    torch.manual_seed(0)
    networks = [{"hidden_dim": 16, "log2_hashmap_size": 10, "num_levels": 3, "max_res": 32, "use_linear": False}] * 2
    sizes = {"num_levels": 4, "max_res": 64, "log2_hashmap_size": 10, "hidden_dim": 16, "hidden_dim_color": 16}
    counts = {"num_proposal_samples_per_ray": (40, 20), "num_nerf_samples_per_ray": 12}
    config = NerfactoModelConfig(
        implementation="torch", **{"proposal_net_args_list": networks, **sizes, **counts, **options}
    )
    model = NerfactoModel(config, SceneBox(torch.tensor([[-1.0] * 3, [1.0] * 3])), num_train_data=3)
    for field in (*model.proposal_networks, model.field):
        for table in field.modules():
            if hasattr(table, "hash_table"):
                table.hash_table.data *= 3e4
    return model.eval()


@pytest.fixture(autouse=True)
def in_double_precision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Differences are then of formulas, and not of rounding, which two rounds of sampling make a thousandfold."""
    monkeypatch.setattr("torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", lambda **_: None)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def rays_of() -> RayBundle:
    generator = torch.Generator().manual_seed(1)
    origins = 0.3 * torch.randn(RAYS, 3, generator=generator)
    directions = normalize(torch.randn(RAYS, 3, generator=generator), dim=-1)
    return RayBundle(origins, directions, torch.ones(RAYS, 1), torch.zeros(RAYS, 1, dtype=torch.long))


CASES = {
    "as nerfacto": {},
    "uniform": {"proposal_initial_sampler": "uniform", "far_plane": 6.0},
    "one network twice": {"use_same_proposal_network": True, "proposal_net_args_list": [{"hidden_dim": 16}]},
    "one network": {"num_proposal_iterations": 1},
    "in a box": {"disable_scene_contraction": True},
    "without appearance": {"use_appearance_embedding": False},
    "of no image": {"use_average_appearance_embedding": False},
    "linear networks": {"proposal_net_args_list": [{"num_levels": 3, "use_linear": True}] * 2},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
@torch.no_grad()
def test_samples_and_images_are_nerfstudios(options: dict) -> None:
    model, rays = model_of(**options), rays_of()
    radiance = NerfactoRadiance(model, torch.no_grad)
    expected, *_ = model.proposal_sampler(model.collider(rays), density_fns=model.density_fns)
    samples = radiance.sample(rays)
    check_edges(samples, expected)

    theirs, outputs = nerfstudio_samples(rays, samples), model.field(nerfstudio_samples(rays, samples))
    density, rgb = radiance.shade(samples.positions, samples.directions[:, None])
    assert_close(density, outputs[FieldHeadNames.DENSITY][..., 0], 1e-9)
    assert_close(radiance.densities(samples), density, 1e-9)
    assert_close(rgb, outputs[FieldHeadNames.RGB], 1e-9)
    weights = theirs.get_weights(outputs[FieldHeadNames.DENSITY])
    assert_close(samples.weights(density), weights[..., 0], 1e-9)
    images = radiance.images(samples, weights[..., 0], outputs[FieldHeadNames.RGB])
    assert_close(images["rgb"], model.renderer_rgb(outputs[FieldHeadNames.RGB], weights), 1e-9)
    assert_close(images["accumulation"], model.renderer_accumulation(weights), 1e-9)
    assert_close(images["depth"], model.renderer_depth(weights, theirs), 1e-9)
    assert_close(images["expected_depth"], model.renderer_expected_depth(weights, theirs), 1e-9)


@pytest.mark.parametrize(
    ("most", "counts"),
    [((), (40, 20, 12)), ((30,), (30, 20, 12)), ((99, 10, 8), (40, 10, 8)), ((30, 10, 8, 1), (30, 10, 8))],
)
@torch.no_grad()
def test_a_density_field_may_take_fewer_samples(most: tuple[int, ...], counts: tuple[int, ...]) -> None:
    model, rays = model_of(), rays_of()
    samples = NerfactoRadiance(model, torch.no_grad, most=most).sample(rays)
    *model.proposal_sampler.num_proposal_samples_per_ray, model.proposal_sampler.num_nerf_samples_per_ray = counts
    expected, *_ = model.proposal_sampler(model.collider(rays), density_fns=model.density_fns)
    check_edges(samples, expected)


@pytest.mark.parametrize("case", ["half the density", "between planes", "early in training"])
@torch.no_grad()
def test_what_conditions_samples(case: str) -> None:
    model, rays, factor = model_of(), rays_of(), None
    radiance, densities = NerfactoRadiance(model, torch.no_grad), model.density_fns
    if case == "half the density":
        factor = lambda x: (x[..., :1] > 0.2).float() / 2
        densities = [lambda x, density=density: density(x) * factor(x) for density in densities]
    if case == "between planes":
        rays.nears, rays.fars = torch.rand(RAYS, 1), 1 + 4 * torch.rand(RAYS, 1)
    if case == "early in training":
        model.proposal_sampler.set_anneal(0.3)
    expected, *_ = model.proposal_sampler(model.collider(rays), density_fns=densities)
    check_edges(radiance.sample(rays, factor), expected)


def check_edges(samples: Intervals, expected) -> None:
    """Edges are compared in the spacing, where distances of a thousand weigh no more than those of one."""
    starts, ends = expected.frustums.starts[..., 0], expected.frustums.ends[..., -1:, 0]
    assert_close(piecewise(samples.edges), piecewise(torch.cat([starts, ends], -1)), 1e-9)
    assert samples.edges.diff(dim=-1).std() > 0.01 * samples.edges.diff(dim=-1).mean()


def test_weights_by_hand() -> None:
    # lengths 1 and 2, densities ln 2 and ln 2 / 2: half of the light stays in each sample, and a quarter passes
    samples = Intervals(torch.zeros(1, 3), torch.ones(1, 3), torch.tensor([[1.0, 2.0, 4.0]]))
    ln2 = torch.tensor(2.0).log()
    assert_close(samples.weights(torch.stack([ln2, ln2 / 2])[None]), torch.tensor([[0.5, 0.25]]))
    assert samples.middles.tolist() == [[1.5, 3.0]] and samples.positions[0, 1].tolist() == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_density_that_is_no_number_weighs_nothing_and_an_infinite_one_takes_all(bad: float) -> None:
    samples = Intervals(torch.zeros(1, 3), torch.ones(1, 3), torch.tensor([[0.0, 1, 2, 3]]))
    ln2 = float(torch.tensor(2.0).log())
    weights = samples.weights(torch.tensor([[ln2, bad, 1.0]]))
    assert_close(weights, torch.tensor([[0.5, 0.5 if bad == float("inf") else 0.0, 0.0]]))


@pytest.mark.parametrize("half", [False, True])
def test_samples_are_the_same_where_densities_along_rays_come_in_one_launch(
    half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_default_dtype(torch.float32)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model_of(num_proposal_samples_per_ray=(8, 6), num_nerf_samples_per_ray=5).requires_grad_(False).to(device)
    rays = rays_of()[:6].to(device)
    radiance = NerfactoRadiance(model, torch.no_grad, half)
    expected = radiance.sample(rays)
    densities = radiance.densities(expected)
    dtype, asked = torch.float16 if half else torch.float32, []

    def fused(field, of_half: bool) -> RayDensity:
        asked.append((field, of_half))
        found = RayDensity.of(field, dtype, frozen=half)
        assert found is not None
        return found

    monkeypatch.setattr("disconerf_ns.kernels.ray_density.gpu_runs_triton", lambda: True)  # or its interpreter
    monkeypatch.setattr(density_field, "fused_density", fused)
    model.to(DEVICE)
    samples = radiance.sample(rays.to(DEVICE))
    tolerance = 0.02 if half else 1e-4
    assert [each for each, _ in asked] == list(model.proposal_networks) and all(of_half is half for _, of_half in asked)
    difference = (piecewise(samples.edges.cpu()) - piecewise(expected.edges)).abs()
    assert difference.mean() < tolerance / 4 and difference.max() < 10 * tolerance
    there = Intervals(*(each.to(DEVICE) for each in (expected.origins, expected.directions, expected.edges)))
    assert_close(radiance.densities(there).cpu(), densities, tolerance)
