"""Which implementation of the object field is taken, and what is said where it can't be had."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from disconerf_ns.errors import UserError
from disconerf_ns.field import ObjectField, ObjectFieldConfig
from disconerf_ns.kernels import check, choice, composite
from disconerf_ns.kernels.choice import choose
from disconerf_ns.kernels.hash_grid import TorchHashGrid


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretend that a machine has a GPU, and packages."""

    def pretend(gpu: bool, *packages: str) -> None:
        monkeypatch.delenv("TRITON_INTERPRET", raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(choice, "_installed", packages.__contains__)
        monkeypatch.setitem(sys.modules, "tinycudann", types.SimpleNamespace() if "tinycudann" in packages else None)
        choice.tinycudann_works.cache_clear()
        monkeypatch.setattr(check, "triton_agrees", lambda: True)

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


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's interpreter has no time for long ones."""
    pytest.importorskip("triton")
    for module in ("encode", "nerf_encode"):
        monkeypatch.setattr(f"disconerf_ns.kernels.{module}.RUN", 2)


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch):
    """As in a new process on a machine with a GPU and Triton, whose log is kept."""
    said: list[str] = []
    monkeypatch.setattr(check.CONSOLE, "log", said.append)
    monkeypatch.setattr(choice, "_installed", ("triton",).__contains__)
    check.triton_agrees.cache_clear()
    yield said
    check.triton_agrees.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available() and not os.environ.get("TRITON_INTERPRET"), reason="no Triton")
@pytest.mark.usefixtures("short_runs")
def test_triton_is_tried_before_auto_takes_it_and_agrees(untried: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    measured, difference = {}, check.difference
    monkeypatch.setattr(check, "difference", lambda half: measured.setdefault(half, difference(half)))
    before = torch.random.get_rng_state()
    assert check.triton_agrees() and untried == []
    assert measured.keys() == {False, True} and measured[False] < 1e-4
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (RuntimeError("ptxas: no such GPU\nmore"), "do not run here .*ptxas: no such GPU"),
        (0.2, "differ from torch's by 2.0e-01"),
        (float("nan"), "differ"),
    ],
)
def test_triton_that_fails_or_is_wrong_gives_way_to_torch_and_says_so_once(
    untried, monkeypatch, outcome, fault
) -> None:
    def difference(half: bool) -> float:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(check, "difference", difference)
    with monkeypatch.context() as machine:
        machine.setattr(torch.cuda, "is_available", lambda: True)
        assert [choose("auto"), choose("auto")] == ["torch", "torch"]
        assert choose("triton") == "triton"  # who asks for it gets it
    assert choice.compositor("tcnn") is composite.composite
    assert len(untried) == 1 and "\n" not in untried[0]
    assert re.search(f"kernels {fault}.*so torch computes the fields", untried[0])


@pytest.mark.usefixtures("short_runs")
@pytest.mark.parametrize(("module", "part"), [("grid", "_object_fields"), ("nerf_encode", "_radiance_encodings")])
def test_a_wrong_gradient_is_seen(module: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip(f"disconerf_ns.kernels.{module}")
    encode = module.encode
    for other in {"_object_fields", "_radiance_encodings", "_densities", "_union_losses"} - {part}:
        monkeypatch.setattr(check, other, lambda *_: [])

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, features):
            return features.clone()

        @staticmethod
        def backward(ctx, grad):
            return 2 * grad

    monkeypatch.setattr(module, "encode", lambda *arguments: Twice.apply(encode(*arguments)))
    assert check.difference(half=False) > 0.1


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


@pytest.fixture(params=[ImportError("No module"), OSError("Unknown compute capability"), RuntimeError("broken")])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """tinycudann is installed and raises this error where it is imported."""

    class Refuses:
        def find_spec(self, name, path=None, target=None):
            if name == "tinycudann":
                raise request.param

    monkeypatch.delitem(sys.modules, "tinycudann", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refuses(), *sys.meta_path])
    return request.param


def test_auto_leaves_a_broken_tinycudann_out_and_says_so_once(broken, untried: list[str], monkeypatch) -> None:
    monkeypatch.setattr(choice, "_installed", ("tinycudann",).__contains__)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    choice.tinycudann_works.cache_clear()
    assert [choose("auto"), choose("auto")] == ["torch", "torch"]
    (said,) = untried
    assert f"tinycudann is installed, but cannot be imported ({broken})" in said
    choice.tinycudann_works.cache_clear()


def test_tinycudann_that_cannot_be_had_is_one_sentence_with_a_remedy(broken) -> None:
    with pytest.raises(UserError, match=f"implementation tcnn needs tinycudann .*{broken}.*implementation"):
        ObjectField(ObjectFieldConfig(implementation="tcnn"), 3)


def test_tinycudann_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", types.SimpleNamespace())
    assert choose("tcnn") == "tcnn"


def test_triton_is_not_imported_before_it_is_chosen() -> None:
    """nerfstudio's own imports do so through torchvision, which is why the field's are looked at alone."""
    code = "import sys, disconerf_ns.field; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=Path(__file__).parents[1]).split()
    assert "disconerf_ns.kernels.choice" in loaded and "triton" not in loaded
