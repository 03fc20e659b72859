"""Whether Triton's kernels work on this machine, tried before "auto" relies on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor, nn

from disconerf_ns.kernels import composite
from disconerf_ns.kernels.hash_grid import TorchHashGrid

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


class SmallField(nn.Module):
    """An object field of three levels and seven slots, as `disconerf_ns.field` puts it together.

    Args:
        grid: class of the hash grid.
        composite: the last layer, softmax and sum along the ray.
    """

    def __init__(self, grid: type[TorchHashGrid], composite: Callable[..., Tensor]):
        super().__init__()
        self.grid, self.composite = grid(levels=3, coarsest=4, finest=24, log2_table=10, features=2), composite
        self.grid.randomize(3)
        self.hidden = nn.Sequential(nn.Linear(self.grid.out_dim, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.last = nn.Linear(32, 7)
        self.last.weight.data *= 10

    def forward(self, positions: Tensor, accumulation: Tensor) -> Tensor:
        """Rendered slots."""
        return self.composite(self.hidden(self.grid(positions)), self.last.weight, self.last.bias, accumulation)


def difference(half: bool) -> float:
    """Largest difference between Triton and torch in values and gradients, relative to each tensor's largest entry.

    The state of torch's random numbers stays as it was.

    Args:
        half: under autocast to half precision, as `disconerf` trains on a GPU.
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
    apart = [(a - b).abs().max() / b.abs().max() for a, b in zip(computed, expected)]
    return float(torch.stack(apart).max())


def _results(field: SmallField, positions: Tensor, accumulation: Tensor, half: bool) -> list[Tensor]:
    """Rendered slots, total variation, and the gradients of an uneven function of each."""
    with torch.autocast(positions.device.type, torch.float16, enabled=half):
        image = field(positions, accumulation)
    variation = field.grid.total_variation(positions)
    uneven = torch.linspace(-1, 1, image.numel(), device=image.device).view(image.shape)
    gradients = torch.autograd.grad((image * uneven).sum(), list(field.parameters()))
    of_variation = torch.autograd.grad(variation, list(field.grid.parameters()))
    return [result.float() for result in (image, variation[None], *gradients, *of_variation)]
