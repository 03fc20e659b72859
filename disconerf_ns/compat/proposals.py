"""Samples of a frozen radiance field: the values of nerfstudio's proposal sampler in evaluation, in fewer passes.

nerfstudio keeps several tensors of (rays, samples, 3) and (rays, samples, 1) for every proposal network. Here samples
are nothing but their edges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.fields.density_fields import HashMLPDensityField
from nerfstudio.model_components.ray_samplers import UniformSampler
from nerfstudio.models.nerfacto import NerfactoModel
from torch import Tensor

from disconerf_ns.kernels.choice import gpu_runs_triton
from disconerf_ns.surface.intervals import PIECEWISE, UNIFORM, Intervals, Spacing
from disconerf_ns.surface.samples import weight_quantiles

PADDING = 0.01
"""Weight that is added to every sample where proposal networks say where to sample (as in nerfstudio)."""
DensityAlong = Callable[[Intervals], Float[Tensor, "rays samples"]]
"""Density in the middle of each sample."""


def networks_of(model: NerfactoModel) -> list[HashMLPDensityField]:
    """The proposal network of each round of samples; one network may serve several rounds."""
    networks = cast("Sequence[HashMLPDensityField]", model.proposal_networks)
    return [networks[min(turn, len(networks) - 1)] for turn in range(model.config.num_proposal_iterations)]


def spacing_of(model: NerfactoModel) -> Spacing:
    """The spacing in which a model's first samples are spread evenly."""
    return UNIFORM if isinstance(model.proposal_sampler.initial_sampler, UniformSampler) else PIECEWISE


def propose(
    rays: RayBundle,
    densities: Sequence[DensityAlong],
    counts: Sequence[int],
    spacing: Spacing,
    anneal: float = 1.0,
    padding: float = PADDING,
) -> Intervals:
    """Samples of equal weight: spread evenly at first, then by the weights that one density after the other gives them.

    Args:
        rays: flat rays with `nears` and `fars`.
        densities: of the proposal networks.
        counts: samples for each of them, and after the last one.
        spacing: in which samples are spread, and move linearly within a sample.
        anneal: exponent of the weights in (0, 1], which spreads samples early in training.
        padding: weight that is added to every sample, so that a density's mistake hides nothing.
    """
    near, far = (spacing.of(cast("Tensor", distance)) for distance in (rays.nears, rays.fars))
    again = resample_by_triton if anneal == 1 and near.is_cuda and gpu_runs_triton() else resample
    steps = torch.linspace(0, 1, counts[0] + 1, dtype=near.dtype, device=near.device).expand(len(rays), -1)
    samples = Intervals(rays.origins, rays.directions, spacing.inverse(torch.lerp(near, far, steps)))
    for density, count in zip(densities, counts[1:], strict=True):
        edges, steps = again(density(samples), samples, steps, near, far, count + 1, spacing, anneal, padding)
        samples = replace(samples, edges=edges)
    return samples


def resample(
    density: Float[Tensor, "rays samples"],
    samples: Intervals,
    steps: Float[Tensor, "rays edges"],
    near: Float[Tensor, "rays 1"],
    far: Float[Tensor, "rays 1"],
    count: int,
    spacing: Spacing,
    anneal: float,
    padding: float = PADDING,
) -> tuple[Float[Tensor, "rays count"], Float[Tensor, "rays count"]]:
    """Edges between samples of equal weight, as distances and as steps.

    Args:
        density: in the middle of each sample.
        samples: that the density belongs to.
        steps: their edges, in steps from 0 to 1 that move evenly from near to far in the spacing.
        near, far: the ends of each ray, in the spacing.
        count: edges that are wanted.
        spacing: of the rays.
        anneal: exponent of the weights in (0, 1].
        padding: weight that is added to every sample.
    """
    weights = samples.weights(density)
    weights = weights if anneal == 1 else weights**anneal
    steps = weight_quantiles(weights, steps, count, spread=padding * weights.shape[-1])
    return spacing.inverse(torch.lerp(near, far, steps)), steps


def resample_by_triton(
    density: Float[Tensor, "rays samples"],
    samples: Intervals,
    steps: Float[Tensor, "rays edges"],
    near: Float[Tensor, "rays 1"],
    far: Float[Tensor, "rays 1"],
    count: int,
    spacing: Spacing,
    anneal: float,
    padding: float = PADDING,
) -> tuple[Float[Tensor, "rays count"], Float[Tensor, "rays count"]]:
    """`resample` in one launch, with an exponent of 1."""
    from disconerf_ns.kernels import resample_triton

    spread, edges = padding * density.shape[-1], samples.edges
    return resample_triton.resample(density, edges, steps, near, far, count, spread, spacing is PIECEWISE)
