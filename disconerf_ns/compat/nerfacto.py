"""nerfacto's modules as a radiance field that rendering can look at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle, RaySamples
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.models.nerfacto import NerfactoModel
from torch import Tensor

from disconerf_ns.scene.contraction import Contraction


class NerfactoRadiance:
    """A nerfacto model's radiance field; its weights are the model's own.

    Args:
        model: the model.
        still: context in which the model may be evaluated.
    """

    def __init__(self, model: NerfactoModel, still: Callable[[], AbstractContextManager[None]]):
        self._model, self.still = model, still
        self.last_sample_is_background = model.config.background_color == "last_sample"

    @property
    def contraction(self) -> Contraction:
        """Scene positions to the unit cube of nerfacto's fields."""
        return Contraction(self._model.field.aabb, self._model.field.spatial_distortion)

    @property
    def device(self) -> torch.device:
        """Device that the model computes on."""
        return self._model.field.aabb.device

    def density(self, positions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Density at scene positions."""
        return self._model.field.density_fn(positions)[..., 0]

    def sample(self, rays: RayBundle, factor: Callable[[Tensor], Tensor] | None = None) -> RaySamples:
        """Samples along flat rays, from the proposal networks; `factor` conditions their densities as well."""
        densities = self._model.density_fns
        if factor is not None:
            densities = [lambda x, density=density, factor=factor: density(x) * factor(x) for density in densities]
        samples, _, _ = self._model.proposal_sampler(self._model.collider(rays), density_fns=densities)
        return samples

    def shade(self, samples: RaySamples) -> tuple[Float[Tensor, "*n 1"], Float[Tensor, "*n 3"]]:
        """Density and colour of samples."""
        outputs = self._model.field(samples)
        return outputs[FieldHeadNames.DENSITY], outputs[FieldHeadNames.RGB]

    def densities(self, samples: RaySamples) -> Float[Tensor, "*n 1"]:
        """Density of samples."""
        return self._model.field.get_density(samples)[0]

    def images(
        self, samples: RaySamples, weights: Float[Tensor, "rays samples 1"], rgb: Float[Tensor, "rays samples 3"]
    ) -> dict[str, Float[Tensor, "rays _"]]:
        """nerfacto's own images of rendering weights and colours."""
        model = self._model
        return {
            "rgb": model.renderer_rgb(rgb=rgb, weights=weights).clamp(0, 1),
            "accumulation": model.renderer_accumulation(weights=weights),
            "depth": model.renderer_depth(weights=weights, ray_samples=samples),
            "expected_depth": model.renderer_expected_depth(weights=weights, ray_samples=samples),
        }

    def depth(self, samples: RaySamples, weights: Float[Tensor, "rays samples 1"]) -> Float[Tensor, "rays 1"]:
        """Distance along each ray at which half of its weight is reached."""
        return self._model.renderer_depth(weights=weights, ray_samples=samples)
