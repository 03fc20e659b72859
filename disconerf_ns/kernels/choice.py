"""Choice of the object field's implementation: tinycudann, Triton or torch, each imported only if it is chosen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Literal

import torch
from nerfstudio.utils.rich_utils import CONSOLE

from disconerf_ns.errors import UserError, reason
from disconerf_ns.kernels import composite
from disconerf_ns.kernels.hash_grid import TcnnHashGrid, TorchHashGrid

Implementation = Literal["torch", "tcnn", "triton"]
REMEDY = (
    "Choose auto or torch with --pipeline.model.object-field.implementation of `ns-train`, or as `implementation` in a "
    "finished run's config.yml"
)


def choose(wanted: Literal["auto"] | Implementation) -> Implementation:
    """The wanted implementation, or for "auto" the fastest one that works on this machine.

    Raises:
        UserError: the wanted implementation cannot run here.
    """
    gpu = torch.cuda.is_available()
    if wanted == "auto":
        return "tcnn" if gpu and tinycudann_works() else "triton" if gpu_runs_triton() else "torch"
    if wanted == "tcnn":
        _import_tinycudann()
    if wanted == "triton" and not _installed("triton"):
        raise UserError(
            "The object field's implementation triton needs the package triton, which comes with torch on Linux. "
            f"{REMEDY}."
        )
    if wanted == "triton" and not (gpu or os.environ.get("TRITON_INTERPRET") == "1"):
        raise UserError(
            f"The object field's implementation triton needs a CUDA GPU, and torch finds none. {REMEDY}: the "
            "checkpoints are the same."
        )
    return wanted


def grid_class(implementation: Implementation) -> type[TorchHashGrid | TcnnHashGrid]:
    """The hash grid's class."""
    if implementation == "triton":
        from disconerf_ns.kernels.grid import TritonHashGrid

        return TritonHashGrid
    return {"torch": TorchHashGrid, "tcnn": TcnnHashGrid}[implementation]


def compositor(implementation: Implementation) -> Callable:
    """The function for the last layer, the softmax and the sum along the ray; tinycudann has none and uses Triton's."""
    if implementation == "torch" or (implementation == "tcnn" and not triton_works()):
        return composite.composite
    from disconerf_ns.kernels import composite_triton

    return composite_triton.composite


def loss_of_unions(on_gpu: bool) -> Callable:
    """The function for the losses of masks against unions of slots."""
    name = "union_losses_triton" if on_gpu and gpu_runs_triton() else "union_losses"
    return import_module(f"disconerf_ns.kernels.{name}").union_losses


def gpu_runs_triton() -> bool:
    """Whether there is a GPU on which Triton's kernels agree with torch."""
    return torch.cuda.is_available() and triton_works()


def triton_works() -> bool:
    """Whether Triton is installed and agrees with torch."""
    if not _installed("triton"):
        return False
    from disconerf_ns.kernels.check import triton_agrees

    return triton_agrees()


@cache
def tinycudann_works() -> bool:
    """Whether tinycudann can be imported; where it is installed and cannot, that is said once."""
    if not _installed("tinycudann"):
        return False
    try:
        import_module("tinycudann")
    except Exception as error:  # its build decides what it raises
        CONSOLE.log(f"tinycudann is installed, but cannot be imported ({reason(error)}), so it is left out.")
        return False
    return True


def _installed(package: str) -> bool:
    return package in sys.modules or find_spec(package) is not None


def _import_tinycudann() -> None:
    """Import the package, which fails without a GPU that it was built for."""
    try:
        import_module("tinycudann")
    except Exception as error:  # its build decides what it raises
        raise UserError(
            f"The object field's implementation tcnn needs tinycudann and its CUDA GPU ({error}). {REMEDY}, "
            "or install tinycudann."
        ) from error
