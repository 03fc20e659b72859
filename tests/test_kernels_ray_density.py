"""Densities along rays in one launch against nerfstudio's own: on the GPU where there is one, otherwise interpreted."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from helpers import assert_close
from nerfstudio.field_components.spatial_distortions import SceneContraction
from nerfstudio.fields.density_fields import HashMLPDensityField
from nerfstudio.fields.nerfacto_field import NerfactoField
from torch import Tensor, nn

from disconerf_ns.kernels import ray_density
from disconerf_ns.kernels.radiance_encoding import encodings
from disconerf_ns.kernels.ray_density import RayDensity

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BOX = torch.tensor([[-1.0, -1, -2], [1, 2, 1]])
CONTRACTION = SceneContraction(order=float("inf"))
SHAPE = {"max_res": 64, "log2_hashmap_size": 8, "implementation": "torch", "average_init_density": 0.5}
FIELDS = {
    "proposal": partial(HashMLPDensityField, hidden_dim=16, num_levels=5, **SHAPE),
    "linear": partial(HashMLPDensityField, use_linear=True, num_levels=5, **SHAPE),
    "one layer": partial(HashMLPDensityField, num_layers=1, num_levels=3, features_per_level=4, **SHAPE),
    "nerfacto": partial(NerfactoField, num_images=1, hidden_dim=64, num_levels=9, **SHAPE),
    "ragged": partial(NerfactoField, num_images=1, hidden_dim=40, num_levels=3, features_per_level=1, **SHAPE),
}


@pytest.fixture(autouse=True)
def triton_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_density, "gpu_runs_triton", lambda: True)


def make_field(kind: str, space: nn.Module | None = CONTRACTION, **changes):
    """A field whose densities are of order one and differ from place to place."""
    torch.manual_seed(0)
    field = FIELDS[kind](BOX, spatial_distortion=space, **changes).to(DEVICE)
    for encoding in encodings(field):
        nn.init.normal_(encoding.hash_table, std=3)
    return field


def make_rays(rays: int = 9, samples: int = 17) -> tuple[Tensor, Tensor, Tensor]:
    """Rays that start within the box, and samples up to three times its size away."""
    torch.manual_seed(1)
    directions = nn.functional.normalize(torch.randn(rays, 3), dim=-1)
    tensors = 0.3 * torch.randn(rays, 3), directions, 6 * torch.rand(rays, samples).sort(-1).values
    return tuple(tensor.to(DEVICE) for tensor in tensors)


@torch.no_grad()
def nerfstudios(field, origins: Tensor, directions: Tensor, middles: Tensor) -> Tensor:
    return field.density_fn(origins[:, None] + directions[:, None] * middles[..., None])[..., 0]


@pytest.mark.parametrize("space", [CONTRACTION, None], ids=["contracted", "in a box"])
@pytest.mark.parametrize("kind", FIELDS)
def test_densities_equal_nerfstudios(kind: str, space: nn.Module | None) -> None:
    field, rays = make_field(kind, space), make_rays()
    density, expected = RayDensity.of(field, torch.float32)(*rays), nerfstudios(field, *rays)
    assert density.dtype == torch.float32 and not density.requires_grad
    assert_close(density, expected)
    assert (expected == 0).any() == (space is None) and expected.std() > 0.05


@pytest.mark.parametrize(("kind", "frozen"), [("proposal", False), ("proposal", True), ("nerfacto", True)])
def test_densities_of_half_precision(kind: str, frozen: bool) -> None:
    field, rays = make_field(kind), make_rays()
    # entries, features and weights are rounded, 3 x 2^-11 of a logit of order one
    assert_close(RayDensity.of(field, torch.float16, frozen)(*rays), nerfstudios(field, *rays), 3 * 2**-11)


def test_on_the_border_and_outside_there_is_nothing() -> None:
    """Points of the box's corner, its face, its inside and beyond, by hand."""
    field = make_field("proposal", None)
    points = torch.tensor([[-1.0, -1, -2], [0, 2, 0], [0, 0, 0], [0, 0, 1.5], [0, 1.9, 0.9]], device=DEVICE)
    density = RayDensity.of(field, torch.float32).at(points)
    assert (density > 0).tolist() == [False, False, True, False, True]
    assert_close(density, field.density_fn(points).detach()[:, 0])


def test_no_rays_and_no_samples() -> None:
    density = RayDensity.of(make_field("proposal"), torch.float32)
    assert density(*make_rays(rays=0)).shape == (0, 17)
    assert density(*make_rays(samples=0)).shape == (9, 0)


@pytest.mark.parametrize("frozen", [False, True])
def test_what_the_field_learns_is_seen_except_in_a_frozen_table(frozen: bool) -> None:
    field, rays = make_field("proposal"), make_rays(rays=2)
    density, before = RayDensity.of(field, torch.float32, frozen), nerfstudios(field, *rays)
    with torch.no_grad():
        field.encoding.hash_table.normal_()
    assert_close(density(*rays), before if frozen else nerfstudios(field, *rays))
    with torch.no_grad():
        field.mlp_base[1].layers[1].bias += 1
    assert_close(density(*rays), before * torch.e if frozen else nerfstudios(field, *rays))


def deeper():
    return make_field("proposal", num_layers=3)


def of_another_activation():
    field = make_field("proposal")
    field.mlp_base[1].activation = nn.SiLU()
    return field


def of_tinycudann():
    field = make_field("nerfacto")
    field.mlp_base.model = nn.Identity()
    return field


def in_a_ball():
    return make_field("proposal", SceneContraction())


def with_its_own_density():
    field = make_field("proposal")
    field.__class__ = type("Own", (HashMLPDensityField,), {})
    return field


@pytest.mark.parametrize("make", [deeper, of_another_activation, of_tinycudann, in_a_ball, with_its_own_density])
def test_what_is_not_supported_is_left_to_nerfstudio(make) -> None:
    assert RayDensity.of(make(), torch.float16) is None


def test_without_triton_everything_is_left_to_nerfstudio(monkeypatch: pytest.MonkeyPatch) -> None:
    field = make_field("proposal")
    monkeypatch.setattr(ray_density, "gpu_runs_triton", lambda: False)
    assert RayDensity.of(field, torch.float16) is None
