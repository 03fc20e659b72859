"""Whether Triton's kernels work on this machine, tried before "auto" relies on them."""

from __future__ import annotations

from functools import cache

import torch
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

BOUNDS = {False: 1e-3, True: 0.15}
"""Largest difference from torch, relative to each tensor's largest entry, without and with half precision, in which two
right answers differ by a twentieth where a gradient is a sum that cancels."""


@cache
def triton_agrees() -> bool:
    """Try the kernels once per process on a small field: torch's values and gradients, or one sentence of warning."""
    try:
        differences = {half: difference(half) for half in BOUNDS}
    except Exception as error:
        fault = f"do not run here ({[*str(error).strip().splitlines(), type(error).__name__][0]})"
    else:
        wrong = [value for half, value in differences.items() if not value <= BOUNDS[half]]
        if not wrong:
            return True
        fault = f"differ from torch's by {max(wrong):.1e}"
    CONSOLE.log(f"Triton's kernels {fault}, so the object field is computed by torch, which is slower but right.")
    return False


def difference(half: bool) -> float:
    """Largest difference between Triton and torch in the values and gradients of a small field, relative to each
    tensor's largest entry; nothing random happens to others.

    Args:
        half: under autocast to half precision, as `disconerf` trains on a GPU.
    """
    from disconerf_ns.field import ObjectField, ObjectFieldConfig

    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fields = [
            ObjectField(ObjectFieldConfig(3, 4, 24, 10, implementation=kind), slots=7).to(device)
            for kind in ("torch", "triton")
        ]
        positions, accumulation = torch.rand(128, 3).to(device), torch.rand(64).to(device)
    fields[1].load_state_dict(fields[0].state_dict())
    expected, found = (_results(field, positions, accumulation, half) for field in fields)
    apart = [(a - b).abs().max() / b.abs().max() for a, b in zip(found, expected)]
    return float(torch.stack(apart).max())


def _results(field, positions: Tensor, accumulation: Tensor, half: bool) -> list[Tensor]:
    """Rendered slots, total variation, and the gradients of an uneven function of the one and of the other."""
    with torch.autocast(positions.device.type, torch.float16, enabled=half):
        image = field.composite(field.hidden(positions), accumulation)
    variation = field.total_variation(positions)
    uneven = torch.linspace(-1, 1, image.numel(), device=image.device).view(image.shape)
    gradients = torch.autograd.grad((image * uneven).sum(), list(field.parameters()))
    of_variation = torch.autograd.grad(variation, list(field.grid.parameters()))
    return [result.float() for result in (image, variation[None], *gradients, *of_variation)]
