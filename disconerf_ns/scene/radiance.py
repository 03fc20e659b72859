"""The frozen radiance field, as rendering sees it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.surface.intervals import Intervals

Factor = Callable[[Float[Tensor, "*n 3"]], Float[Tensor, "*n 1"]]
"""Scene positions to a factor on the density there, in [0, 1]."""


@runtime_checkable
class RadianceField(Protocol):
    """Densities, colours and samples of a radiance field that does not change while it is looked at."""

    @property
    def background(self) -> Float[Tensor, "3"] | None:
        """RGB in [0, 1] of light that passes every sample of a ray; None if the last one is it (nerfacto's default)."""
        ...

    @property
    def contraction(self) -> Contraction:
        """Scene positions to the unit cube in which the fields live."""
        ...

    @property
    def device(self) -> torch.device:
        """Device that the field computes on."""
        ...

    @property
    def fused(self) -> bool:
        """Whether densities along rays come in one launch, so that many more rays fit into memory."""
        ...

    def still(self) -> AbstractContextManager[None]:
        """Context in which the field may be evaluated: without gradients, and not while a training step runs."""
        ...

    def density(self, positions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Density at scene positions."""
        ...

    def sample(self, rays: RayBundle, factor: Factor | None = None) -> Intervals:
        """Samples along flat rays, from the proposal networks; `factor` conditions their densities as well."""
        ...

    def densities(self, samples: Intervals) -> Float[Tensor, "rays samples"]:
        """Density of samples."""
        ...

    def shade(
        self, positions: Float[Tensor, "*n 3"], directions: Float[Tensor, "*#n 3"]
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """Density at scene positions, and colour there as seen along unit directions."""
        ...

    def images(
        self, samples: Intervals, weights: Float[Tensor, "rays samples"], rgb: Float[Tensor, "rays samples 3"]
    ) -> dict[str, Float[Tensor, "rays _"]]:
        """The images `rgb`, `accumulation`, `depth` and `expected_depth` of rendering weights and colours."""
        ...

    def depth(self, samples: Intervals, weights: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays 1"]:
        """Distance along each ray at which half of its weight is reached."""
        ...


def median_distance(
    distances: Float[Tensor, "rays samples"], weights: Float[Tensor, "rays samples"]
) -> Float[Tensor, "rays 1"]:
    """Distance along each ray at which half of its weight is reached; of the last sample where less is."""
    return distance_of(distances, weights, 0.5)


def distance_of(
    distances: Float[Tensor, "rays samples"], weights: Float[Tensor, "rays samples"], reached: float
) -> Float[Tensor, "rays 1"]:
    """Distance along each ray at which its weights sum to `reached`; of the last sample where they do nowhere."""
    before = (weights.cumsum(-1) < reached).sum(-1, keepdim=True)
    return distances.gather(-1, before.clamp(max=weights.shape[-1] - 1))


def distance_images(
    distances: Float[Tensor, "rays samples"], weights: Float[Tensor, "rays samples"]
) -> dict[str, Float[Tensor, "rays 1"]]:
    """The images `accumulation`, `depth` (the median) and `expected_depth` (the mean), as in nerfacto."""
    accumulation = weights.sum(-1, keepdim=True)
    expected = (weights * distances).sum(-1, keepdim=True) / (accumulation + 1e-10)
    return {
        "accumulation": accumulation,
        "depth": median_distance(distances, weights),
        "expected_depth": expected.clamp(distances.min(), distances.max()),
    }
