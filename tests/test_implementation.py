"""Which implementation of the object field is taken, and what is said where it can't be had."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from disconerf_ns.errors import UserError
from disconerf_ns.field import ObjectField, ObjectFieldConfig
from disconerf_ns.hashgrid import TorchHashGrid
from disconerf_ns.kernels import choice
from disconerf_ns.kernels.choice import choose


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretend that a machine has a GPU, and packages."""

    def pretend(gpu: bool, *packages: str) -> None:
        monkeypatch.delenv("TRITON_INTERPRET", raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(choice, "_installed", packages.__contains__)

    return pretend


@pytest.mark.parametrize(
    ("gpu", "packages", "chosen"),
    [
        (True, ("tinycudann", "triton"), "tcnn"),
        (True, ("triton",), "triton"),
        (True, (), "torch"),
        (False, ("tinycudann", "triton"), "torch"),
    ],
)
def test_auto_takes_the_fastest_there_is(machine, gpu: bool, packages: tuple[str, ...], chosen: str) -> None:
    machine(gpu, *packages)
    assert choose("auto") == chosen


def test_torch_is_taken_everywhere(machine) -> None:
    machine(True, "tinycudann", "triton")
    assert choose("torch") == "torch"
    assert type(ObjectField(ObjectFieldConfig(2, 4, 8, implementation="torch"), 3).grid) is TorchHashGrid


@pytest.mark.parametrize(("gpu", "packages", "missing"), [(True, (), "package triton"), (False, ("triton",), "GPU")])
def test_triton_that_cannot_be_had_is_one_sentence_with_a_remedy(machine, gpu, packages, missing: str) -> None:
    machine(gpu, *packages)
    with pytest.raises(UserError, match=f"implementation triton needs .*{missing}.*implementation"):
        ObjectField(ObjectFieldConfig(implementation="triton"), 3)


def test_triton_with_a_gpu_is_taken(machine) -> None:
    machine(True, "triton")
    assert choose("triton") == "triton"


@pytest.mark.parametrize("error", [ImportError("No module"), OSError("Unknown compute capability")])
def test_tinycudann_that_cannot_be_had_is_one_sentence_with_a_remedy(error, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses:
        def find_spec(self, name, path=None, target=None):
            if name == "tinycudann":
                raise error

    monkeypatch.delitem(sys.modules, "tinycudann", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refuses(), *sys.meta_path])
    with pytest.raises(UserError, match=f"implementation tcnn needs tinycudann .*{error}.*implementation"):
        ObjectField(ObjectFieldConfig(implementation="tcnn"), 3)


def test_tinycudann_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", types.SimpleNamespace())
    assert choose("tcnn") == "tcnn"


def test_triton_is_not_imported_before_it_is_chosen() -> None:
    """nerfstudio's own imports do so through torchvision, which is why the field's are looked at alone."""
    code = "import sys, disconerf_ns.field; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=Path(__file__).parents[1]).split()
    assert "disconerf_ns.kernels.choice" in loaded and "triton" not in loaded
