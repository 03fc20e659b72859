"""Test of Triton's kernels on this machine, which runs before "auto" relies on them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

import torch
from nerfstudio.field_components.encodings import HashEncoding
from nerfstudio.field_components.spatial_distortions import SceneContraction
from nerfstudio.fields.density_fields import HashMLPDensityField
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor, nn

from disconerf_ns.kernels import composite, union_losses
from disconerf_ns.kernels.hash_grid import TorchHashGrid

BOUNDS = {False: 1e-3, True: 0.15}
"""Largest accepted difference from torch, relative to each tensor's largest entry, without (False) and with (True) half
precision. In half precision two correct results differ by 5% if a gradient is a sum whose terms cancel."""

_log = logging.getLogger(__name__)


@cache
def triton_agrees() -> bool:
    """Whether Triton's kernels give torch's values and gradients on small fields, tested once per process.

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
    CONSOLE.log(f"Triton's kernels {fault}, so torch computes the fields, which is slower but correct.")
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
        half: compute under autocast to half precision, as in training on a GPU.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(0)
        parts = (_object_fields, _union_losses, _radiance_encodings, _densities)
        pairs = [pair for part in parts for pair in part(device, half)]
    relative = [(a.float() - b.float()).abs().max() / b.float().abs().max() for a, b in pairs]
    return float(torch.stack(relative).detach().max())


def _object_fields(device: str, half: bool) -> list[tuple[Tensor, Tensor]]:
    """Triton's and torch's rendered slots, total variations and all their gradients."""
    from disconerf_ns.kernels import composite_triton
    from disconerf_ns.kernels.grid import TritonHashGrid

    fields = [
        SmallField(TritonHashGrid, composite_triton.composite).to(device),
        SmallField(TorchHashGrid, composite.composite).to(device),
    ]
    fields[0].load_state_dict(fields[1].state_dict())
    positions, accumulation = torch.rand(128, 3).to(device), torch.rand(64).to(device)
    computed, expected = (_of_object_field(field, positions, accumulation, half) for field in fields)
    return list(zip(computed, expected))


def _of_object_field(field: SmallField, positions: Tensor, accumulation: Tensor, half: bool) -> list[Tensor]:
    with torch.autocast(positions.device.type, torch.float16, enabled=half):
        image = field(positions, accumulation)
    variation = field.grid.total_variation(positions)
    gradients = torch.autograd.grad(_uneven_sum(image), list(field.parameters()))
    of_variation = torch.autograd.grad(variation, list(field.grid.parameters()))
    return [image, variation[None], *gradients, *of_variation]


def _union_losses(device: str, half: bool) -> list[tuple[Tensor, Tensor]]:
    """Triton's and torch's losses of masks against unions of slots, and their gradients of the slots."""
    from disconerf_ns.kernels import union_losses_triton

    slots, sets = torch.rand(2, 40, 7).to(device).requires_grad_(), (torch.rand(2, 5, 7) < 0.3).float().to(device)
    masks = (torch.rand(2, 40, 5) < 0.5).to(device, torch.float16 if half else torch.float32)
    rest = masks, sets, torch.ones(2, 5, 1).to(device), torch.ones(2).to(device)
    values = [module.union_losses(slots, *rest) for module in (union_losses_triton, union_losses)]
    computed, expected = ([*v, *torch.autograd.grad(torch.stack(v).sum(), [slots])] for v in values)
    return list(zip(computed, expected))


def _radiance_encodings(device: str, half: bool) -> list[tuple[Tensor, Tensor]]:
    """Triton's and nerfstudio's encodings, and their gradients of the table and the positions."""
    from disconerf_ns.kernels.nerf_encode import encode

    encoding = HashEncoding(2, 4, 24, 10, 2, hash_init_scale=1, implementation="torch").to(device)
    positions, table = torch.rand(128, 3).to(device).requires_grad_(), encoding.hash_table
    dtype = torch.float16 if half else torch.float32
    values = encode(positions, table, encoding.scalings.to(device), dtype), encoding.pytorch_fwd(positions)
    computed, expected = ([v, *torch.autograd.grad(_uneven_sum(v), [positions, table])] for v in values)
    return list(zip(computed, expected))


@torch.no_grad()
def _densities(device: str, half: bool) -> list[tuple[Tensor, Tensor]]:
    """Triton's and nerfstudio's densities of a proposal network along rays."""
    from disconerf_ns.kernels.ray_density_triton import density

    space, dtype = SceneContraction(order=float("inf")), torch.float16 if half else torch.float32
    shape = {"num_levels": 2, "base_res": 4, "max_res": 24, "log2_hashmap_size": 10, "implementation": "torch"}
    field = HashMLPDensityField(torch.zeros(2, 3), hidden_dim=16, spatial_distortion=space, **shape).to(device)
    table, scalings = field.encoding.hash_table, field.encoding.scalings.to(device)
    layers = tuple(module for module in field.mlp_base.modules() if isinstance(module, nn.Linear))
    nn.init.uniform_(table, -1, 1)
    rays = torch.randn(16, 3).to(device), torch.randn(16, 3).to(device), torch.randn(16, 8).to(device)
    computed = density(*rays, None, table, scalings, layers, 1.0, dtype)
    origins, directions, middles = rays
    expected = field.density_fn(origins[:, None] + directions[:, None] * middles[..., None])
    return [(computed, expected[..., 0])]


def _uneven_sum(values: Tensor) -> Tensor:
    return (values * torch.linspace(-1, 1, values.numel(), device=values.device).view(values.shape)).sum()
