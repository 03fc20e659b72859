"""The quick hash encoding against nerfstudio's own."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers import assert_close
from nerfstudio.field_components.encodings import HashEncoding
from torch import nn

from benchmarks.stock_encoding import slow_down
from disconerf_ns.kernels import radiance_encoding as frozen


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    encoding = HashEncoding(5, 4, 100, 10, 3, implementation="torch")
    nn.init.normal_(encoding.hash_table)
    return nn.Sequential(encoding, nn.Linear(15, 2)).eval()


def test_values_equal_nerfstudios_whatever_the_shape(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "POINTS_AT_ONCE", 64)
    positions = torch.rand(30, 7, 3)
    positions[0, 0], positions[0, 1], positions[0, 2] = torch.zeros(3), torch.ones(3), torch.tensor([0.25, 0.5, 1.0])
    with torch.no_grad():
        expected = model(positions)
        frozen.quicken(model)
        assert_close(model(positions), expected, 1e-6)
        assert_close(model(positions[0, 0]), expected[0, 0], 1e-6)
        assert model(positions[:0]).shape == (0, 7, 2)


def test_gradients_are_nerfstudios_own(model: nn.Module) -> None:
    positions, table = torch.rand(40, 3), model[0].hash_table
    (expected,) = torch.autograd.grad(model(positions).sin().sum(), table)
    frozen.quicken(model)
    assert torch.equal(torch.autograd.grad(model(positions).sin().sum(), table)[0], expected)


def test_training_is_nerfstudios_own_bit_for_bit(model: nn.Module) -> None:
    positions = torch.rand(40, 3)
    with torch.no_grad():
        expected = model.train()(positions)
        frozen.quicken(model)
        assert torch.equal(model(positions), expected)


def test_it_can_be_undone_and_copies_keep_their_own_entries(model: nn.Module) -> None:
    frozen.quicken(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].hash_table.zero_()
        assert other[0](torch.rand(4, 3)).abs().max() == 0 < model[0](torch.rand(4, 3)).abs().max()
    slow_down(model)
    assert model[0].pytorch_fwd.__func__ is HashEncoding.pytorch_fwd


@pytest.mark.parametrize("works", [True, False])
def test_triton_is_taken_where_it_works(works: bool, model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "gpu_runs_triton", lambda: works)
    frozen.quicken(model)
    assert model[0].pytorch_fwd.func is (frozen.encode_by_triton if works else frozen.encode_frozen)


def test_a_model_without_such_encodings_tries_no_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "gpu_runs_triton", lambda: pytest.fail("tried"))
    frozen.quicken(nn.Linear(2, 2))


def test_the_levels_sizes_are_beside_the_table_wherever_it_is(model: nn.Module) -> None:
    frozen.quicken(model.to("meta"))
    assert model[0].scalings.device.type == "meta"
    later = nn.Sequential(HashEncoding(2, 4, 100, 8, implementation="torch"))
    frozen.quicken(later)
    assert later.to("meta")[0].scalings.device.type == "meta"
