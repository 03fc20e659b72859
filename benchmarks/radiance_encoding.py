"""The radiance field's kernels beside nerfstudio's torch code: hash encoding both ways, and densities along rays; and
the object grid's kernels by the number of points that a thread takes.

    python -m benchmarks.radiance_encoding               # milliseconds on a CUDA GPU, under autocast as in training
    python -m benchmarks.radiance_encoding --self-test   # values and gradients first

Points are the samples of rays, in their order, because neighbours share cells; `random` ones share none.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
import tyro
from nerfstudio.field_components.encodings import HashEncoding
from nerfstudio.field_components.spatial_distortions import SceneContraction
from nerfstudio.fields.density_fields import HashMLPDensityField
from nerfstudio.fields.nerfacto_field import NerfactoField
from torch import Tensor, nn

from benchmarks.kernels import surface_points
from disconerf_ns.kernels import check, encode, nerf_encode, ray_density_triton
from disconerf_ns.kernels.grid import TritonHashGrid
from disconerf_ns.kernels.radiance_encoding import quicken
from disconerf_ns.kernels.ray_density import RayDensity

VARIANTS = (
    (torch.float16, True, 64),
    (torch.float16, True, 128),
    (torch.float16, True, 256),
    (torch.float16, False, 128),
    (torch.float32, False, 128),
)
"""Precision, whether the table is a copy in it, and points per program of the densities that are timed."""


@dataclass
class RadianceEncoding:
    """Time the radiance field's kernels."""

    rays: int = 4096
    """Rays of a training step."""
    samples: int = 48
    """Samples per ray of a training step."""
    surface_rays: int = 32_768
    """Rays whose densities are computed at once."""
    surface_samples: int = 256
    """Samples per ray whose densities are computed at once."""
    runs: tuple[int, ...] = (1, 4, 8, 16)
    """Runs of points that a thread of the backward kernel sums up, each is timed."""
    groups: tuple[int, ...] = (1, 256, 1024, 2**20)
    """Programs in a row at the same level, each is timed."""
    repeats: int = 20
    """Measurements, of which the median counts."""
    self_test: bool = False
    """Compare values and gradients with torch first."""


def milliseconds(run: Callable[[], object], repeats: int) -> float:
    """Median time on the GPU, after three runs that do not count."""
    times = []
    for _ in range(repeats + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times[3:])


def rays(count: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """Origins, directions and sorted distances of the rays of a camera on the contracted scene's inner border."""
    side = torch.linspace(-0.5, 0.5, count, device="cuda")
    directions = torch.stack([side, (37 * side).frac() / 2, torch.ones_like(side)], -1)
    origins = torch.tensor([0.0, 0, -1], device="cuda").expand_as(directions).contiguous()
    return origins, nn.functional.normalize(directions, dim=-1), 3 * torch.rand(count, samples).sort(-1).values.cuda()


def time_encoding(trial: RadianceEncoding) -> None:
    """nerfacto's 16 levels; "poses" is a backward pass with the positions' gradient."""
    origins, directions, middles = rays(trial.rays, trial.samples)
    along = ((origins[:, None] + directions[:, None] * middles[..., None]) / 4 + 0.5).flatten(0, 1)
    encoding = HashEncoding(16, 16, 2048, 19, 2, implementation="torch").cuda()
    for places, points in (("rays", along), ("random", torch.rand_like(along))):
        time_one(encoding, points, f"{places}: torch", trial.repeats)
    quicken(encoding)
    for places, points in (("rays", along), ("random", torch.rand_like(along))):
        for nerf_encode.RUN in trial.runs:
            time_one(encoding, points, f"{places}: triton, RUN {nerf_encode.RUN}", trial.repeats)
        nerf_encode.RUN = 8
        for nerf_encode.GROUP in trial.groups:
            time_one(encoding, points, f"{places}: triton, GROUP {nerf_encode.GROUP}", trial.repeats)
        nerf_encode.GROUP = 1024
        with torch.no_grad():
            halved = encoding.hash_table.half()
            copy = milliseconds(encoding.hash_table.half, trial.repeats)
            read = milliseconds(
                lambda: nerf_encode.encode(points, halved, encoding.scalings, torch.float16),  # noqa: B023
                trial.repeats,
            )
        print(f"{places}: triton from a copy in half precision: copy {copy:.3f} ms, forward {read:.3f}")


def time_one(encoding: HashEncoding, points: Tensor, name: str, repeats: int) -> None:
    moved = points.clone().requires_grad_()
    with torch.autocast("cuda", torch.float16):
        times = [milliseconds(lambda: encoding(points), repeats)]
        for given, learned in ((points, [encoding.hash_table]), (moved, [encoding.hash_table, moved])):
            out = encoding(given)
            grad = torch.randn_like(out)
            times.append(milliseconds(lambda: torch.autograd.grad(out, learned, grad, retain_graph=True), repeats))  # noqa: B023
    forward, backward, poses = times
    print(f"{name:32} forward {forward:7.3f} ms, backward {backward:7.3f}, backward with poses {poses:7.3f}")


@torch.no_grad()
def time_density(trial: RadianceEncoding) -> None:
    """Densities by nerfstudio with Triton's encoding, and in one launch."""
    given = rays(trial.surface_rays, trial.surface_samples)
    origins, directions, middles = given
    box, space = torch.tensor([[-1.0, -1, -1], [1, 1, 1]]), SceneContraction(order=float("inf"))
    shared = {"spatial_distortion": space, "implementation": "torch"}
    proposal = HashMLPDensityField(box, hidden_dim=16, num_levels=5, max_res=128, log2_hashmap_size=17, **shared)
    for name, field in (("proposal", proposal), ("nerfacto", NerfactoField(box, 1, **shared))):
        quicken(field.cuda())

        def separate(field=field) -> Tensor:
            with torch.autocast("cuda", torch.float16):
                points = origins[:, None] + directions[:, None] * middles[..., None]
                return torch.cat([field.density_fn(chunk) for chunk in points.split(4096)])

        print(f"{name}: separate {milliseconds(separate, trial.repeats):8.3f} ms")
        for dtype, frozen, ray_density_triton.BLOCK in VARIANTS:
            fused = cast("RayDensity", RayDensity.of(field, dtype, frozen))
            time = milliseconds(partial(fused, *given), trial.repeats)
            print(f"{name}: {dtype}, frozen {frozen}, BLOCK {ray_density_triton.BLOCK} {time:8.3f} ms")
        ray_density_triton.BLOCK = 128


def time_object_grid(trial: RadianceEncoding) -> None:
    """Five views of the reference scene with two points a ray, in the views' order."""
    grid, points = TritonHashGrid(8, 16, 512, 19, 2).cuda(), surface_points(5 * 779 * 519, 2, "cuda")
    chosen = encode.RUN
    for encode.RUN in (*trial.runs, 32):
        with torch.autocast("cuda", torch.float16):
            out = grid(points)
        grad, tables = torch.randn_like(out), list(grid.tables)
        time = milliseconds(lambda: torch.autograd.grad(out, tables, grad, retain_graph=True), trial.repeats)  # noqa: B023
        print(f"object grid: RUN {encode.RUN} backward {time:.3f} ms")
    encode.RUN = chosen


def main(trial: RadianceEncoding) -> None:
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks.radiance_encoding measures a CUDA GPU, and torch finds none.")
    torch.manual_seed(0)
    if trial.self_test:
        for half, bound in check.BOUNDS.items():
            print(f"half {half}: differs from torch by {check.difference(half):.1e}, bound {bound}")
    time_encoding(trial)
    time_density(trial)
    time_object_grid(trial)


if __name__ == "__main__":
    main(tyro.cli(RadianceEncoding))
