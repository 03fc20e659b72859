"""Where Triton's kernels run, and how they are launched.

Kernels are marked `no_type_check`: Triton compiles their source, which a type checker must not wrap.
"""

from __future__ import annotations

import os

import torch
import triton
from torch import Tensor

INTERPRETED = os.environ.get("TRITON_INTERPRET", "0") == "1"
"""Whether TRITON_INTERPRET was set when this module was imported: kernels then run on the CPU, slowly."""


def runs_on(tensor: Tensor) -> bool:
    """Whether kernels can read a tensor where it lies."""
    return tensor.is_cuda or INTERPRETED


def power_of_two(count: int, least: int = 1) -> int:
    """The smallest power of two that is at least `count` and `least`: lanes that hold `count` values, some masked."""
    return max(triton.next_power_of_2(count), least)


def launch(kernel, programs: int, *arguments, **options) -> None:
    """Run a kernel on the device of its first argument; no programs are no launch, which CUDA would refuse."""
    if programs == 0:
        return
    with torch.cuda.device_of(arguments[0]):
        kernel[(programs,)](*arguments, **options)
