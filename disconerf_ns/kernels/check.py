"""Test of Triton's kernels on this machine, which runs before "auto" relies on them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

import torch
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor, nn

from disconerf_ns.kernels import composite
from disconerf_ns.kernels.hash_grid import TorchHashGrid

BOUNDS = {False: 1e-3, True: 0.15}
"""Largest accepted difference from torch, relative to each tensor's largest entry, without (False) and with (True) half
precision. In half precision two correct results differ by 5% if a gradient is a sum whose terms cancel."""

_log = logging.getLogger(__name__)


@cache
def triton_agrees() -> bool:
    """Whether Triton's kernels give torch's values and gradients on a small field, tested once per process.

    If they do not, one sentence on the console says so.
    """
    try:
        differences = {half: difference(half) for half in BOUNDS}
    except Exception as error:  # a compiler or driver may fail with anything, and torch can do the work
        _log.debug("Triton's kernels fail", exc_info=True)
        fault = f"do not run here ({[*str(error).strip().splitlines(), type(error).__name__][0]})"
    else:
        wrong = [value for half, value in differences.items() if not value <= BOUNDS[half]]
        if not wrong:
            return True
        fault = f"differ from torch's by {max(wrong):.1e}"
    CONSOLE.log(f"Triton's kernels {fault}, so torch computes the object field, which is slower but correct.")
    return False


class SmallField(nn.Module):
    """An object field with three levels and seven slots, built like `disconerf_ns.field.ObjectField`.

    Args:
        grid: class of the hash grid.
        composite: function for the last layer, the softmax and the sum along the ray.
    """

    def __init__(self, grid: type[TorchHashGrid], composite: Callable[..., Tensor]):
        super().__init__()
        self.grid, self.composite = grid(levels=3, coarsest=4, finest=24, log2_table=10, features=2), composite
        self.grid.randomize(3)
        self.hidden = nn.Sequential(nn.Linear(self.grid.out_dim, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.last = nn.Linear(32, 7)
        self.last.weight.data *= 10

    def forward(self, positions: Tensor, accumulation: Tensor) -> Tensor:
        """Slots rendered along the rays, (rays, slots)."""
        return self.composite(self.hidden(self.grid(positions)), self.last.weight, self.last.bias, accumulation)


def difference(half: bool) -> float:
    """Largest difference between Triton and torch in values and gradients, relative to each tensor's largest entry.

    The state of torch's random number generator is restored.

    Args:
        half: compute under autocast to half precision, as in `disconerf`'s training on a GPU.
    """
    from disconerf_ns.kernels import composite_triton
    from disconerf_ns.kernels.grid import TritonHashGrid

    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fields = [
            SmallField(TorchHashGrid, composite.composite).to(device),
            SmallField(TritonHashGrid, composite_triton.composite).to(device),
        ]
        positions, accumulation = torch.rand(128, 3).to(device), torch.rand(64).to(device)
    fields[1].load_state_dict(fields[0].state_dict())
    expected, computed = (_results(field, positions, accumulation, half) for field in fields)
    relative = [(a - b).abs().max() / b.abs().max() for a, b in zip(computed, expected)]
    return float(torch.stack(relative).max())


def _results(field: SmallField, positions: Tensor, accumulation: Tensor, half: bool) -> list[Tensor]:
    """Rendered slots, total variation, the gradients of a weighted sum of the slots, and the variation's gradients."""
    with torch.autocast(positions.device.type, torch.float16, enabled=half):
        image = field(positions, accumulation)
    variation = field.grid.total_variation(positions)
    uneven = torch.linspace(-1, 1, image.numel(), device=image.device).view(image.shape)
    gradients = torch.autograd.grad((image * uneven).sum(), list(field.parameters()))
    of_variation = torch.autograd.grad(variation, list(field.grid.parameters()))
    return [result.float() for result in (image, variation[None], *gradients, *of_variation)]
