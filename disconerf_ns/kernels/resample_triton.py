"""From densities along rays to the next samples, in one launch: weights, their cumulative sum, and its inverse.

Its torch twin is `compat.proposals.resample`, in some thirty launches, each of which reads and writes all samples.
"""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from disconerf_ns.kernels.launch import launch, power_of_two

TILE = 16
"""Edges that a program finds at a time; it compares each of them with all samples of its ray."""


@triton.jit
@no_type_check
def resample_ray(
    density,
    edges,
    steps,
    near,
    far,
    out_edges,
    out_steps,
    SAMPLES: tl.constexpr,
    LANES: tl.constexpr,
    COUNT: tl.constexpr,
    TILE: tl.constexpr,
    SPREAD: tl.constexpr,
    PIECEWISE: tl.constexpr,
):
    """out_steps[j], where the sum of weights reaches (j + 1/2) / COUNT of its total, and its distance out_edges[j]."""
    ray = tl.program_id(0).to(tl.int64)
    sample = tl.arange(0, LANES)
    inside = sample < SAMPLES
    depth = optical_depth(density, edges, ray, sample, inside, SAMPLES)
    before = tl.cumsum(optical_depth(density, edges, ray, sample - 1, inside & (sample > 0), SAMPLES), 0)
    weight = tl.exp(-before) - tl.exp(-(before + depth))
    weight = tl.where(weight == weight, weight, 0.0) + SPREAD / SAMPLES
    reached = tl.cumsum(tl.where(inside, weight, 0.0), 0)
    total = tl.max(reached)
    row = steps + ray * (SAMPLES + 1)
    first, last = tl.load(row), tl.load(row + sample + 1, mask=inside, other=0.0)
    low, high = tl.load(near + ray), tl.load(far + ray)
    for tile in range(0, COUNT, TILE):
        wanted = tile + tl.arange(0, TILE)
        level = (wanted + 0.5) / COUNT * total
        # sums and steps both increase, so the sample that a level lies in begins with the largest one that is not above
        under = (reached[:, None] <= level[None, :]) & inside[:, None]
        over = (reached[:, None] > level[None, :]) & inside[:, None]
        below = tl.max(tl.where(under, reached[:, None], 0.0), 0)
        above = tl.min(tl.where(over, reached[:, None], float("inf")), 0)
        start = tl.max(tl.where(under, last[:, None], first), 0)
        end = tl.min(tl.where(over, last[:, None], float("inf")), 0)
        step = start + (level - below) / (above - below) * (end - start)
        place = low + step * (high - low)
        distance = tl.where(place < 0.5, 2 * place, 0.5 / (1 - place)) if PIECEWISE else place
        at = ray * COUNT + wanted
        tl.store(out_steps + at, step, mask=wanted < COUNT)
        tl.store(out_edges + at, distance, mask=wanted < COUNT)


@triton.jit
@no_type_check
def optical_depth(density, edges, ray, sample, mask, SAMPLES: tl.constexpr):
    """Density times length of samples of a ray."""
    edge = edges + ray * (SAMPLES + 1) + sample
    length = tl.load(edge + 1, mask=mask, other=0.0) - tl.load(edge, mask=mask, other=0.0)
    return tl.load(density + ray * SAMPLES + sample, mask=mask, other=0.0) * length


def resample(
    density: Float[Tensor, "rays samples"],
    edges: Float[Tensor, "rays edges"],
    steps: Float[Tensor, "rays edges"],
    near: Float[Tensor, "rays 1"],
    far: Float[Tensor, "rays 1"],
    count: int,
    spread: float,
    piecewise: bool,
) -> tuple[Float[Tensor, "rays count"], Float[Tensor, "rays count"]]:
    """The next samples' edges, as distances and as steps; see `compat.proposals.resample`, of which it is the twin."""
    rays, samples = density.shape
    out_edges, out_steps = (density.new_empty(rays, count) for _ in range(2))
    given = (t.contiguous() for t in (density, edges, steps, near, far))
    lanes = power_of_two(samples)
    sizes = {"SAMPLES": samples, "LANES": lanes, "COUNT": count, "TILE": TILE, "SPREAD": spread, "PIECEWISE": piecewise}
    launch(resample_ray, rays, *given, out_edges, out_steps, **sizes, num_warps=max(lanes // 64, 1))
    return out_edges, out_steps
