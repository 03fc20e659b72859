"""Triton's kernels against torch in value and gradient: on the GPU where there is one, otherwise interpreted.

Both sides add a few float32 numbers of order one in different orders, so they agree to a few 1e-7 of the largest; the
bound is 1e-5 of it, of which softmax's gradient takes the most, being a difference of numbers that are nearly the same.
"""

from __future__ import annotations

import copy

import pytest
import torch
from helpers import assert_close
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from disconerf_ns.field import ObjectField, ObjectFieldConfig
from disconerf_ns.kernels import composite as twin
from disconerf_ns.kernels.hash_grid import TorchHashGrid
from disconerf_ns.surface.samples import render_slots

pytest.importorskip("triton")
from disconerf_ns.kernels import composite_triton, encode, launch
from disconerf_ns.kernels.grid import TritonHashGrid

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HALF_STEP = 2**-11
"""Relative error of rounding to half precision."""


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter has no time for long ones."""
    monkeypatch.setattr(encode, "RUN", 2)


def make_grid(features: int = 2, log2_table: int = 10) -> TritonHashGrid:
    """Two dense and two hashed levels with features of order one."""
    torch.manual_seed(0)
    grid = TritonHashGrid(levels=4, coarsest=4, finest=40, log2_table=log2_table, features=features)
    for table in grid.tables:
        table.data.normal_()
    dense = [size == (resolution + 1) ** 3 for size, resolution in zip(grid.sizes, grid.resolutions)]
    assert dense == [True, True, False, False]
    return grid.to(DEVICE)


def make_positions(count: int) -> Tensor:
    """Random points after corners, edges and faces of the unit cube and vertices of the coarsest level."""
    special = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0.5], [0.25, 0.5, 1], [0.3, 0, 1], [0.75, 0.25, 0.6]])
    return torch.cat([special, torch.rand(count, 3)])[:count].to(DEVICE)


def value_and_gradients(compute, parameters) -> list[Tensor]:
    """A result, and gradients of an uneven function of it."""
    for parameter in parameters:
        parameter.grad = None
    result = compute()
    weights = torch.linspace(-1, 1, result.numel(), device=result.device).view(result.shape)
    (result.float() * weights).sin().sum().backward()
    return [result.detach(), *(parameter.grad.clone() for parameter in parameters)]


def assert_same(results: list[Tensor], expected: list[Tensor], tolerance: float = 1e-5) -> None:
    for a, b in zip(results, expected, strict=True):
        assert_close(a, b, tolerance)


def test_without_a_gpu_kernels_are_interpreted() -> None:
    assert torch.cuda.is_available() != launch.INTERPRETED


# ---------------------------------------------------------------- hash grid


@pytest.mark.parametrize(("count", "features"), [(1, 2), (57, 1), (57, 3), (257, 2), (512, 4)])
def test_grid_equals_torch(count: int, features: int) -> None:
    grid, positions = make_grid(features), make_positions(count)
    fast = value_and_gradients(lambda: grid(positions), grid.tables)
    slow = value_and_gradients(lambda: TorchHashGrid.forward(grid, positions), grid.tables)
    assert_same(fast, slow)


def test_runs_of_neighbours_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points along a line share cells for a while; runs end within blocks, and blocks and runs end with the points."""
    monkeypatch.setattr(encode, "BLOCK", 8)
    monkeypatch.setattr(encode, "RUN", 3)
    grid, along = make_grid(), torch.linspace(0, 0.4, 31, device=DEVICE)
    positions = torch.stack([along, along.square(), 0.3 + along / 9], -1)
    assert_same(
        value_and_gradients(lambda: grid(positions), grid.tables),
        value_and_gradients(lambda: TorchHashGrid.forward(grid, positions), grid.tables),
    )


def test_tables_share_memory_also_after_they_were_moved_and_copied() -> None:
    grid, positions = make_grid(), make_positions(20)
    expected, memory = grid(positions), grid.entries().data_ptr()
    grid.load_state_dict(TorchHashGrid(4, 4, 40, 10, 2).state_dict())
    assert grid.entries().data_ptr() == memory and not grid(positions).equal(expected)
    other = copy.deepcopy(grid).double().float()
    assert_close(other(positions), grid(positions))
    other.tables[2].data.zero_()
    assert not other(positions)[:, 4:6].any() and grid(positions)[:, 4:6].any()
    assert list(grid.state_dict()) == list(TorchHashGrid(4, 4, 40, 10, 2).state_dict())


def test_what_an_optimizer_changes_is_seen() -> None:
    grid, positions = make_grid(), make_positions(20)
    optimizer = torch.optim.Adam(grid.parameters(), lr=0.1, fused=True)
    before, memory = grid(positions), grid.entries().data_ptr()
    before.sum().backward()
    optimizer.step()
    assert_close(grid(positions), TorchHashGrid.forward(grid, positions))
    assert not grid(positions).equal(before) and grid.entries().data_ptr() == memory


def test_grid_reads_strided_and_double_positions() -> None:
    grid, positions = make_grid(), make_positions(40)
    expected = TorchHashGrid.forward(grid, positions)
    assert_close(grid(positions.T.contiguous().T), expected)
    assert_close(grid(positions.double()), expected)


def test_grid_of_no_points() -> None:
    grid = make_grid()
    features = grid(make_positions(0))
    features.sum().backward()
    assert features.shape == (0, 8)
    assert all((table.grad == 0).all() for table in grid.tables)


def test_points_outside_of_the_cube_read_the_table_alone() -> None:
    grid = make_grid()
    outside = torch.tensor([[-0.5, 0.5, 1.5], [2.0, -3.0, 0.1]], device=DEVICE)
    assert_close(grid(outside), TorchHashGrid.forward(grid, outside))
    assert grid(torch.full((1, 3), torch.nan, device=DEVICE)).shape == (1, 8)


def test_products_modulo_2_to_the_32_hash_as_int64_does() -> None:
    """Coordinates up to 2^17 times a prime up to 2.7 x 10^9 pass 2^32 and 2^47; side^3 passes 2^32 as well.

    Positions are multiples of 2^-20, so their products with 2^17 are exact. Other products are rounded by torch but not
    by a GPU, which multiplies and subtracts at once; on so fine a grid the weights then differ by up to 2^-8.
    """
    torch.manual_seed(0)
    grid = TritonHashGrid(levels=1, coarsest=2**17, finest=2**17, log2_table=12, features=1).to(DEVICE)
    grid.tables[0].data.normal_()
    positions = (make_positions(300) * 2**20).floor() / 2**20
    assert_close(grid(positions), TorchHashGrid.forward(grid, positions))
    vertices = torch.randint(0, 2**31 - 1, (10_000, 3))
    exact = grid._rows(0, *vertices.unbind(-1))
    x, y, z = ((vertices * torch.tensor([1, 2_654_435_761, 805_459_861])) % 2**32).unbind(-1)
    assert torch.equal((x ^ y ^ z) & 4095, exact)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_grid_under_autocast_reads_and_returns_half_precision_and_learns_in_float32(dtype: torch.dtype) -> None:
    grid, positions = make_grid(), make_positions(100)
    step = HALF_STEP if dtype == torch.float16 else 2**-8
    with torch.autocast(DEVICE, dtype=dtype):
        fast = value_and_gradients(lambda: grid(positions), grid.tables)
    slow = value_and_gradients(lambda: TorchHashGrid.forward(grid, positions).to(dtype), grid.tables)
    assert fast[0].dtype == dtype and all(table.grad.dtype == torch.float32 for table in grid.tables)
    # entries, features and incoming gradients are each rounded once
    assert_same([r.float() for r in fast], [r.float() for r in slow], 3 * step)


@pytest.mark.parametrize("count", [1, 57, 129])
def test_total_variation_equals_torch(count: int) -> None:
    grid, positions = make_grid(features=3), make_positions(count)
    positions[count // 2 :] = positions[0]  # vertices that many pairs share
    fast = value_and_gradients(lambda: grid.total_variation(positions), grid.tables)
    slow = value_and_gradients(lambda: TorchHashGrid.total_variation(grid, positions), grid.tables)
    assert_same(fast, slow)


def test_total_variation_of_no_points_is_as_undefined_as_in_torch() -> None:
    grid, nowhere = make_grid(), make_positions(0)
    assert grid.total_variation(nowhere).isnan() and TorchHashGrid.total_variation(grid, nowhere).isnan()


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_a_grid_on_the_cpu_is_the_torch_grid() -> None:
    grid, positions = make_grid().cpu(), make_positions(20).cpu()
    assert torch.equal(grid(positions), TorchHashGrid.forward(grid, positions))


# ---------------------------------------------------------------- last layer, softmax and sum along the ray


def head(rays: int, points: int, width: int, slots: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Hidden features, W, b and accumulations."""
    torch.manual_seed(0)
    tensors = torch.randn(rays * points, width), torch.randn(slots, width), torch.randn(slots)
    learned = [t.to(DEVICE, dtype).requires_grad_() for t in tensors]
    return [*learned, torch.rand(rays, dtype=dtype if dtype == torch.float64 else torch.float32, device=DEVICE)]


def plainly(hidden: Tensor, weight: Tensor, bias: Tensor, accumulation: Tensor) -> Tensor:
    """The formula, with the probabilities of all points in memory."""
    return render_slots((hidden @ weight.T + bias).softmax(-1), accumulation)


SHAPES = [(37, 2, 32, 120), (1, 1, 32, 2), (16, 8, 20, 130), (50, 3, 16, 17), (33, 2, 32, 300), (5, 1, 64, 512)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("composite", [twin.composite, composite_triton.composite], ids=["torch", "triton"])
def test_composite_equals_the_formula(composite, shape: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composite_triton, "PARTS", 2)  # so that a program sees several blocks of rays
    monkeypatch.setitem(twin.PROBABILITIES_AT_ONCE, "cpu", 2000)  # several chunks, the last one ragged
    monkeypatch.setitem(twin.PROBABILITIES_AT_ONCE, "gpu", 2000)
    inputs = head(*shape)
    fast = value_and_gradients(lambda: composite(*inputs), inputs[:3])
    # the sums over all slots of a one-hot point's gradient cancel, so this one bound is wider
    assert_same(fast, value_and_gradients(lambda: plainly(*inputs), inputs[:3]), 1e-4)


@pytest.mark.parametrize("composite", [twin.composite, composite_triton.composite], ids=["torch", "triton"])
def test_a_single_slot_gets_all_of_each_ray_and_learns_nothing(composite) -> None:
    """Its probability is 1 whatever the logits are.

    A GPU may round a logit differently in each kernel, and leaves a few rounding steps of the gradients that cancel:
    of g in b's, and of g times an entry of W or of h in the others'.
    """
    inputs = head(1, 1, 32, 1)
    slots, *gradients = value_and_gradients(lambda: composite(*inputs), inputs[:3])
    assert_close(slots, inputs[3][:, None])
    steps = 8 * torch.finfo(torch.float32).eps
    for gradient, factor in zip(gradients, (inputs[1], inputs[0], torch.ones(1))):
        assert gradient.abs().max() <= steps * factor.abs().max()


def test_gradients_of_the_twin_by_finite_differences() -> None:
    assert torch.autograd.gradcheck(twin.composite, tuple(head(5, 3, 8, 7, torch.float64)))


@pytest.mark.parametrize("composite", [twin.composite, composite_triton.composite], ids=["torch", "triton"])
def test_composite_of_half_precision(composite) -> None:
    inputs = head(20, 2, 32, 40)
    rounded = [t.detach().half().requires_grad_() for t in inputs[:3]]
    fast = value_and_gradients(lambda: composite(*rounded, inputs[3]), rounded)
    exact = [t.detach().float().requires_grad_() for t in rounded]
    slow = value_and_gradients(lambda: plainly(*exact, inputs[3]), exact)
    assert fast[0].dtype == torch.float32
    # logits of up to 30 are rounded to half before the twin's softmax; products in TF32 keep the same 11 bits
    assert_same([r.float() for r in fast], slow, 30 * HALF_STEP)


@pytest.mark.parametrize("composite", [twin.composite, composite_triton.composite], ids=["torch", "triton"])
def test_composite_of_extremes(composite) -> None:
    """No rays; logits far beyond what exp can hold, in rays of which some are masked out of the last block."""
    nothing = [*head(3, 2, 32, 7)[:3], torch.zeros(0, device=DEVICE)]
    nothing[0] = nothing[0].detach()[:0].requires_grad_()
    results = value_and_gradients(lambda: composite(*nothing), nothing[:3])
    assert results[0].shape == (0, 7) and not any(gradient.any() for gradient in results[1:])
    hidden, weight, bias, accumulation = head(18, 2, 32, 5)
    inputs = [hidden, weight, (bias.detach() + 500).requires_grad_(), accumulation]
    fast = value_and_gradients(lambda: composite(*inputs), inputs[:3])
    # logits of 500 keep 3e-5 of absolute precision
    assert_same(fast, value_and_gradients(lambda: plainly(*inputs), inputs[:3]), 1e-3)


def test_composite_leaves_to_torch_what_is_not_for_triton() -> None:
    for inputs in (head(3, 2, 8, 513), head(3, 2, 8, 5, torch.float64)):
        fast = value_and_gradients(lambda: composite_triton.composite(*inputs), inputs[:3])  # noqa: B023
        assert_same(fast, value_and_gradients(lambda: plainly(*inputs), inputs[:3]), 1e-4)  # noqa: B023


def test_gradients_of_w_and_b_are_the_same_each_time() -> None:
    inputs = head(200, 2, 32, 40)
    first, second = (value_and_gradients(lambda: composite_triton.composite(*inputs), inputs[:3]) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second))


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that torch makes."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.elements = max(self.elements, out.numel())
        return out


def test_the_twin_never_has_all_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(twin.PROBABILITIES_AT_ONCE, "cpu", 1000)
    monkeypatch.setitem(twin.PROBABILITIES_AT_ONCE, "gpu", 1000)
    hidden, weight, bias, accumulation = head(rays=200, points=8, width=4, slots=50)
    with Largest() as fused:
        twin.composite(hidden, weight, bias, accumulation).sum().backward()
    with Largest() as plain:
        plainly(hidden, weight, bias, accumulation).sum().backward()
    assert plain.elements == 200 * 8 * 50
    assert fused.elements == 200 * 50  # O itself


# ---------------------------------------------------------------- the field


def make_field(implementation: str) -> ObjectField:
    torch.manual_seed(0)
    return ObjectField(ObjectFieldConfig(4, 4, 40, 10, implementation=implementation), slots=9).to(DEVICE)


@pytest.mark.parametrize("implementation", ["torch", "triton"])
def test_field_renders_what_its_probabilities_say(implementation: str) -> None:
    field, positions, accumulation = make_field(implementation), make_positions(30), torch.rand(15, device=DEVICE)
    parameters = list(field.parameters())
    fast = value_and_gradients(lambda: field.composite(field.hidden(positions), accumulation), parameters)
    slow = value_and_gradients(lambda: render_slots(field(positions), accumulation), parameters)
    assert_same(fast, slow, 5e-5)


@pytest.mark.parametrize("implementation", ["torch", "triton"])
def test_field_renders_under_autocast(implementation: str) -> None:
    field, positions, accumulation = make_field(implementation), make_positions(30), torch.rand(15, device=DEVICE)
    parameters = list(field.parameters())
    exact = value_and_gradients(lambda: field.composite(field.hidden(positions), accumulation), parameters)
    with torch.autocast(DEVICE, dtype=torch.float16):
        half = value_and_gradients(lambda: field.composite(field.hidden(positions), accumulation), parameters)
    assert half[0].dtype == torch.float32
    # three layers round what comes in and what goes out, both ways
    assert_same(half, exact, 12 * HALF_STEP)


@pytest.mark.parametrize(("saved", "loaded"), [("torch", "triton"), ("triton", "torch")])
def test_checkpoints_of_torch_and_triton_are_the_same(saved: str, loaded: str) -> None:
    source, target = make_field(saved), make_field(loaded)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.normal_()
    target.load_state_dict(source.state_dict())
    assert list(source.state_dict()) == list(target.state_dict())
    positions = make_positions(30)
    assert_close(source(positions), target(positions))
    assert_close(source.total_variation(positions), target.total_variation(positions))
