"""nerfstudio's hash encoding by Triton against its torch code: on the GPU where there is one, otherwise interpreted.

Both sides add a few float32 numbers of order one in different orders; the bound is 1e-5 of the largest.
"""

from __future__ import annotations

import pytest
import torch
from helpers import assert_close
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.field_components.encodings import HashEncoding
from nerfstudio.models.nerfacto import NerfactoModel, NerfactoModelConfig
from torch import Tensor, nn

from benchmarks.stock_encoding import slow_down
from disconerf_ns.compat.lpips import without_download
from disconerf_ns.kernels import radiance_encoding

pytest.importorskip("triton")
from disconerf_ns.kernels import nerf_encode

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HALF_STEP = 2**-11
"""Relative error of rounding to half precision."""


@pytest.fixture(autouse=True)
def triton_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """`quicken` takes Triton, which is interpreted if there is no GPU, and has time for short runs only."""
    monkeypatch.setattr(radiance_encoding, "gpu_runs_triton", lambda: True)
    monkeypatch.setattr(nerf_encode, "RUN", 2)


def make_encoding(features: int = 2, levels: int = 2) -> HashEncoding:
    torch.manual_seed(0)
    encoding = HashEncoding(levels, 4, 100, 10, features, implementation="torch")
    nn.init.normal_(encoding.hash_table)
    return encoding.to(DEVICE)


def make_positions(count: int) -> Tensor:
    """Corners of the cube, vertices of the coarsest level along all axes and along one, a run of neighbours, others."""
    special = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.25, 0.5, 1], [0.75, 0.3, 0.6], [0.6, 0.1, 0.25]])
    neighbours = 0.4 + 1e-4 * torch.rand(20, 3)
    positions = torch.cat([special, neighbours, torch.rand(count, 3)])[:count]
    return positions.to(DEVICE).requires_grad_()


def value_and_gradients(encoding: HashEncoding, positions: Tensor) -> list[Tensor]:
    """Features, and the gradients of the positions and the table of an uneven function of them."""
    features = encoding(positions)
    weights = torch.linspace(-1, 1, features.numel(), device=DEVICE).view(features.shape)
    scalar = (features.float() * weights).sin().sum()
    return [features.detach(), *torch.autograd.grad(scalar, [positions, encoding.hash_table])]


@pytest.mark.parametrize(("count", "features"), [(1, 2), (59, 2), (33, 1), (33, 3), (33, 4)])
def test_values_and_gradients_equal_nerfstudios(count: int, features: int) -> None:
    encoding, positions = make_encoding(features), make_positions(count)
    expected = value_and_gradients(encoding, positions)
    radiance_encoding.quicken(encoding)
    for a, b in zip(value_and_gradients(encoding, positions), expected, strict=True):
        assert_close(a, b)


def test_any_order_of_programs_and_any_run_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four blocks of points in groups of three and runs of three, the last ones ragged."""
    for name, value in {"BLOCK": 8, "GROUP": 3, "RUN": 3}.items():
        monkeypatch.setattr(nerf_encode, name, value)
    encoding, positions = make_encoding(), make_positions(28)
    expected = value_and_gradients(encoding, positions)
    radiance_encoding.quicken(encoding)
    for a, b in zip(value_and_gradients(encoding, positions), expected, strict=True):
        assert_close(a, b)


def test_a_point_on_a_vertex_gets_no_gradient_along_that_axis() -> None:
    encoding = make_encoding(levels=1)
    positions = torch.tensor([[0.25, 0.3, 0.5]], device=DEVICE, requires_grad=True)
    radiance_encoding.quicken(encoding)
    gradient = value_and_gradients(encoding, positions)[1][0]
    assert gradient[0] == 0 == gradient[2] and gradient[1] != 0


def test_products_modulo_2_to_the_32_hash_as_int64_does() -> None:
    encoding = HashEncoding(1, 100_000, 100_000, 12, 1, implementation="torch").to(DEVICE)
    positions = torch.rand(50, 7, 3, device=DEVICE)
    expected = encoding(positions)
    radiance_encoding.quicken(encoding)
    assert_close(encoding(positions), expected)


def test_no_points() -> None:
    encoding, positions = make_encoding(), make_positions(0)
    radiance_encoding.quicken(encoding)
    values, of_positions, of_table = value_and_gradients(encoding, positions)
    assert values.shape == (0, 4) and of_positions.shape == (0, 3) and not of_table.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_under_autocast_features_are_rounded_and_gradients_are_float32(dtype: torch.dtype) -> None:
    encoding, positions = make_encoding(), make_positions(40)
    expected = value_and_gradients(encoding, positions)
    radiance_encoding.quicken(encoding)
    with torch.autocast(DEVICE, dtype=dtype):
        results = value_and_gradients(encoding, positions)
    assert [r.dtype for r in results] == [dtype, torch.float32, torch.float32]
    # features and incoming gradients are rounded once; the sine's slope turns a feature's error into a gradient's
    for a, b in zip(results, expected, strict=True):
        assert_close(a.float(), b, 3 * (HALF_STEP if dtype == torch.float16 else 2**-8))


@pytest.mark.parametrize("training", [True, False])
def test_only_what_learns_gets_a_gradient(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[str] = []
    monkeypatch.setattr(nerf_encode, "launch", lambda kernel, *_, **__: launched.append(kernel.__name__))
    encoding = make_encoding(levels=1).train(training)
    radiance_encoding.quicken(encoding)
    encoding(torch.rand(5, 3, device=DEVICE)).sum().backward()
    assert launched == ["nerf_encode_forward", "nerf_encode_backward_tables"]
    launched.clear()
    encoding.requires_grad_(False)
    encoding(torch.rand(5, 3, device=DEVICE, requires_grad=True)).sum().backward()
    assert launched == ["nerf_encode_forward", "nerf_encode_backward_positions"]


def test_checkpoints_are_nerfstudios_and_it_can_be_undone() -> None:
    stock, quick = make_encoding(), make_encoding()
    radiance_encoding.quicken(quick)
    radiance_encoding.quicken(quick)
    nn.init.normal_(stock.hash_table)
    quick.load_state_dict(stock.state_dict())
    assert list(quick.state_dict()) == ["hash_table"]
    positions = make_positions(10)
    assert_close(quick(positions), stock(positions))
    slow_down(quick)
    assert vars(quick).keys() == vars(stock).keys() and not quick._buffers
    assert torch.equal(quick(positions), stock(positions))


def small_nerfacto() -> NerfactoModel:
    """nerfacto with two tiny proposal networks, whose camera poses learn; surfaces are there from the start."""
    torch.manual_seed(0)
    proposal = {"hidden_dim": 8, "log2_hashmap_size": 8, "num_levels": 2, "max_res": 16, "use_linear": False}
    config = NerfactoModelConfig(
        implementation="torch",
        num_levels=3,
        log2_hashmap_size=9,
        max_res=64,
        hidden_dim=8,
        hidden_dim_color=8,
        num_proposal_samples_per_ray=(8, 6),
        num_nerf_samples_per_ray=5,
        proposal_net_args_list=[proposal, proposal],
    )
    box = SceneBox(torch.tensor([[-1.0, -1, -1], [1, 1, 1]]))
    with without_download():
        model = config.setup(scene_box=box, num_train_data=3, metadata={})
    for encoding in radiance_encoding.encodings(model):
        nn.init.normal_(encoding.hash_table)
    nn.init.normal_(model.camera_optimizer.pose_adjustment, std=0.01)
    return model.to(DEVICE).train()


def gradients_of_a_step(model: NerfactoModel) -> dict[str, Tensor]:
    """Gradients of all parameters in a training step with 7 rays of 3 cameras."""
    torch.manual_seed(1)
    rays = RayBundle(
        origins=torch.randn(7, 3).to(DEVICE),
        directions=nn.functional.normalize(torch.randn(7, 3), dim=-1).to(DEVICE),
        pixel_area=torch.ones(7, 1, device=DEVICE),
        camera_indices=torch.arange(7, device=DEVICE)[:, None] % 3,
    )
    batch = {"image": torch.rand(7, 3).to(DEVICE)}
    model.zero_grad(set_to_none=True)
    outputs = model(rays)
    losses = model.get_loss_dict(outputs, batch, model.get_metrics_dict(outputs, batch))
    torch.stack(list(losses.values())).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_poses_and_tables_of_a_nerfacto_step_learn_as_with_torch() -> None:
    model = small_nerfacto()
    expected = gradients_of_a_step(model)
    radiance_encoding.quicken(model)
    results = gradients_of_a_step(model)
    assert results.keys() == expected.keys() and results["camera_optimizer.pose_adjustment"].any(dim=1).all()
    for name, gradient in results.items():
        assert_close(gradient, expected[name], 1e-4)  # samples are drawn from densities, whose rounding moves them
