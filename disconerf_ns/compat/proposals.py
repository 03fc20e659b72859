"""Samples of a frozen radiance field: the values of nerfstudio's proposal sampler in evaluation, in fewer passes.

nerfstudio keeps several tensors of (rays, samples, 3) and (rays, samples, 1) for every proposal network. Here samples
are nothing but their edges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.surface.intervals import Intervals, Spacing
from disconerf_ns.surface.samples import weight_quantiles

PADDING = 0.01
"""Weight that is added to every sample, so that a proposal network's mistake hides nothing (as in nerfstudio)."""
DensityAlong = Callable[[Intervals], Float[Tensor, "rays samples"]]
"""Density in the middle of each sample."""


def propose(
    rays: RayBundle, densities: Sequence[DensityAlong], counts: Sequence[int], spacing: Spacing, anneal: float = 1.0
) -> Intervals:
    """Samples of equal weight: spread evenly at first, then by the weights that one density after the other gives them.

    Args:
        rays: flat rays with `nears` and `fars`.
        densities: of the proposal networks.
        counts: samples for each of them, and after the last one.
        spacing: in which samples are spread, and move linearly within a sample.
        anneal: exponent of the weights in (0, 1], which spreads samples early in training.
    """
    near, far = spacing.of(rays.nears), spacing.of(rays.fars)

    def at(steps: Float[Tensor, "rays edges"]) -> Intervals:
        return Intervals(rays.origins, rays.directions, spacing.inverse(torch.lerp(near, far, steps)))

    steps = torch.linspace(0, 1, counts[0] + 1, dtype=near.dtype, device=near.device).expand(len(rays), -1)
    for density, count in zip(densities, counts[1:], strict=True):
        samples = at(steps)
        weights = samples.weights(density(samples))
        weights = weights if anneal == 1 else weights**anneal
        steps = weight_quantiles(weights, steps, count + 1, spread=PADDING * weights.shape[-1])
    return at(steps)
