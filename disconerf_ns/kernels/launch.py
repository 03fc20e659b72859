"""Launch of Triton's kernels on the device of their tensors.

Kernels are marked `no_type_check`, because Triton compiles their source and a run-time type checker must not wrap it.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

INTERPRETED = os.environ.get("TRITON_INTERPRET", "0") == "1"
"""True if TRITON_INTERPRET was set when this module was imported; kernels then run on the CPU, slowly."""


def runs_on(tensor: Tensor) -> bool:
    """Whether kernels can read a tensor on its device."""
    return tensor.is_cuda or INTERPRETED


def precision(tensor: Tensor) -> torch.dtype:
    """Autocast's precision on a tensor's device, float32 without autocast."""
    device = tensor.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32


def power_of_two(count: int, least: int = 1) -> int:
    """The smallest power of two that is at least `count` and `least`: the size of a Triton block of `count` values."""
    return max(1 << max(count - 1, 0).bit_length(), least)


def blocks(count: int, size: int) -> int:
    """The number of blocks of `size` values that hold `count` values."""
    return -(-count // size)


def launch(kernel, programs: int, *arguments, **options) -> None:
    """Run a kernel on the device of its first argument; for 0 programs do nothing, since CUDA refuses such a launch.

    Args:
        programs: number of programs, the kernel's grid.
        arguments, options: of the kernel.
    """
    if programs == 0:
        return
    with torch.cuda.device_of(arguments[0]):
        kernel[(programs,)](*arguments, **options)
