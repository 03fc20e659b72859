"""The hash grid against interpolation by loops, in value and gradient; laws of interpolation and total variation."""

from __future__ import annotations

import math
import sys
import types

import pytest
import torch
from helpers import assert_close, grid_by_loops, total_variation_by_loops
from torch import nn

from disconerf_ns.field import LANES, ObjectField, ObjectFieldConfig, softmax_of_rows
from disconerf_ns.kernels import choice
from disconerf_ns.kernels.hash_grid import TcnnHashGrid, TorchHashGrid, level_resolutions, total_variation


@pytest.fixture
def grid() -> TorchHashGrid:
    """Two dense and two hashed levels with features of order one."""
    torch.manual_seed(0)
    grid = TorchHashGrid(levels=4, coarsest=4, finest=40, log2_table=10, features=2)
    for table in grid.tables:
        table.data.normal_()
    return grid


def test_values_and_gradients_equal_the_loops(grid: TorchHashGrid) -> None:
    positions = torch.rand(200, 3)
    positions[:4] = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0.5], [0.25, 0.5, 1]])
    readout = torch.randn(grid.out_dim)
    results = []
    for encode in (grid, lambda x: grid_by_loops(grid, x)):
        grid.zero_grad()
        features = encode(positions)
        (features @ readout).sin().sum().backward()
        results.append((features.detach(), [table.grad.clone() for table in grid.tables]))
    assert_close(results[0][0], results[1][0])
    for fast, slow in zip(results[0][1], results[1][1]):
        assert_close(fast, slow)


def test_dense_levels_do_not_collide_and_hashed_levels_fill_the_table(grid: TorchHashGrid) -> None:
    for level, resolution in enumerate(grid.resolutions):
        side = torch.arange(resolution + 1)
        vertices = torch.cartesian_prod(side, side, side)
        rows = grid._rows(level, *vertices.unbind(-1))
        assert rows.min() >= 0 and rows.max() < grid.sizes[level]
        if len(vertices) == grid.sizes[level]:
            assert len(rows.unique()) == len(vertices)
        else:
            assert len(rows.unique()) > 0.95 * grid.sizes[level]


def test_vertices_reproduce_what_they_store(grid: TorchHashGrid) -> None:
    for level, resolution in enumerate(grid.resolutions):
        vertices = torch.randint(0, resolution + 1, (50, 3))
        features = grid(vertices / resolution).reshape(50, 4, 2)[:, level]
        assert_close(features, grid.vertex_features(level, vertices), 1e-4)


def test_linear_fields_are_interpolated_exactly() -> None:
    grid = TorchHashGrid(levels=1, coarsest=8, finest=8, log2_table=12, features=1)
    side = torch.arange(9)
    vertices = torch.cartesian_prod(side, side, side)
    slope = torch.tensor([1.0, -2.0, 0.5])
    grid.tables[0].data[grid._rows(0, *vertices.unbind(-1))] = (vertices / 8 @ slope)[:, None]
    positions = torch.rand(100, 3)
    assert_close(grid(positions)[:, 0], positions @ slope)


def test_total_variation_equals_the_loops(grid: TorchHashGrid) -> None:
    vertices = [torch.randint(0, resolution, (20, 3)) for resolution in grid.resolutions]
    results = []
    for variation in (total_variation, total_variation_by_loops):
        grid.zero_grad()
        value = variation(grid, vertices)
        value.backward()
        results.append((value.detach(), [table.grad.clone() for table in grid.tables]))
    assert_close(results[0][0], results[1][0])
    for fast, slow in zip(results[0][1], results[1][1]):
        assert_close(fast, slow)


def test_total_variation_of_a_ramp_by_hand() -> None:
    grid = TorchHashGrid(levels=1, coarsest=4, finest=4, log2_table=12, features=1)
    side = torch.arange(5)
    vertices = torch.cartesian_prod(side, side, side)
    grid.tables[0].data[grid._rows(0, *vertices.unbind(-1))] = 3.0 * vertices[:, :1]
    # of each vertex's three neighbours the one along x differs by 3, the others by 0
    value = total_variation(grid, [torch.randint(0, 4, (30, 3))])
    assert float(value) == pytest.approx(3.0**2 / 3)


def test_resolutions_are_a_geometric_progression() -> None:
    assert level_resolutions(1, 16, 16) == [16]
    assert level_resolutions(8, 16, 2048) == [16, 32, 64, 128, 256, 512, 1024, 2048]


class StandInEncoding(nn.Module):
    """What tinycudann's HashGrid computes for one level after the other, from its own description, densely stored."""

    def __init__(self, n_input_dims: int, encoding_config: dict):
        super().__init__()
        assert n_input_dims == 3 and encoding_config["otype"] == "HashGrid"
        growth, base = encoding_config["per_level_scale"], encoding_config["base_resolution"]
        self.scales = [base * growth**level - 1 for level in range(encoding_config["n_levels"])]
        shape = encoding_config["n_features_per_level"]
        self.sides = [math.ceil(s) + 1 for s in self.scales]
        self.params = nn.Parameter(torch.randn(sum(-(-(side**3) // 8) * 8 for side in self.sides) * shape))
        self.features = shape

    @property
    def tables(self) -> list[torch.Tensor]:
        """Views of the flat parameter, level by level, (x, y, z, features)."""
        tables, start = [], 0
        for side in self.sides:
            count = side**3 * self.features
            tables.append(self.params[start : start + count].view(side, side, side, self.features).permute(2, 1, 0, 3))
            start += -(-(side**3) // 8) * 8 * self.features
        return tables

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        out = []
        for scale, table in zip(self.scales, self.tables):
            grid_position = positions * scale + 0.5
            low = grid_position.floor().long()
            total = 0.0
            for corner in torch.cartesian_prod(*[torch.arange(2)] * 3):
                weight = torch.where(corner.bool(), grid_position - low, 1 - (grid_position - low)).prod(
                    -1, keepdim=True
                )
                total = total + weight * table[(low + corner).clamp(max=len(table) - 1).unbind(-1)]
            out.append(total)
        return torch.cat(out, -1).half()


@pytest.fixture
def tcnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that stands in for tinycudann, which needs a GPU; Triton's kernels are not tried."""
    monkeypatch.setitem(sys.modules, "tinycudann", types.SimpleNamespace(Encoding=StandInEncoding))
    monkeypatch.setattr(choice, "triton_works", lambda: False)


def test_tcnn_vertices_are_read_through_the_encoding(tcnn: None) -> None:
    torch.manual_seed(0)
    grid = TcnnHashGrid(levels=3, coarsest=8, finest=20, log2_table=15, features=2)
    for level, resolution in enumerate(grid.resolutions):
        vertices = torch.randint(0, resolution + 1, (40, 3))
        stored = grid.encoding.tables[level][(vertices + 1).unbind(-1)]
        assert_close(grid.vertex_features(level, vertices), stored, 1e-3)


def test_field_with_tcnn_trains(tcnn: None) -> None:
    field = ObjectField(ObjectFieldConfig(levels=3, coarsest=8, finest=20, implementation="tcnn"), slots=4)
    positions = torch.rand(50, 3)
    (field(positions)[:, 0].sum() + field.total_variation(positions)).backward()
    assert field.grid.encoding.params.grad.abs().sum() > 0


def test_only_the_coarsest_levels_start_at_random(tcnn: None) -> None:
    tcnn_grid = TcnnHashGrid(levels=4, coarsest=8, finest=30, log2_table=15, features=2)
    with torch.no_grad():
        tcnn_grid.encoding.params.fill_(1e-4)
    tcnn_grid.randomize(2)
    torch_grid = TorchHashGrid(levels=4, coarsest=8, finest=30, log2_table=15, features=2)
    torch_grid.randomize(2)
    for tables in (tcnn_grid.encoding.tables, torch_grid.tables):
        assert [bool(table.abs().mean() > 0.3) for table in tables] == [True, True, False, False]


def test_field_gives_probabilities_and_resizes() -> None:
    field = ObjectField(ObjectFieldConfig(levels=2, coarsest=4, finest=8), slots=5)
    rows = field(torch.rand(30, 3))
    assert rows.shape == (30, 5)
    assert_close(rows.sum(-1), torch.ones(30))
    parameter = field.mlp[-1].weight
    field.resize(9)
    assert field.slots == 9 and field(torch.rand(3, 3)).shape == (3, 9) and field.mlp[-1].weight is parameter


@pytest.mark.parametrize("columns", [1, LANES - 1, LANES, LANES + 1])
def test_rows_of_any_length_have_torchs_softmax(columns: int) -> None:
    """With the same gradients where something learns, and without them the same to the last digits."""
    values = 20 * torch.randn(50, columns)
    with torch.no_grad():
        assert_close(softmax_of_rows(values), values.softmax(-1), 1e-6)
    assert torch.equal(softmax_of_rows(values.requires_grad_()), values.softmax(-1))
