"""nerfacto's modules as a radiance field that rendering can look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import zip_longest
from sys import maxsize

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.models.nerfacto import NerfactoModel
from nerfstudio.utils.colors import get_color
from torch import Tensor

from disconerf_ns.compat.density_field import density_along, evaluate, fused_density
from disconerf_ns.compat.nerfacto_colors import colors
from disconerf_ns.compat.proposals import DensityAlong, networks_of, propose, spacing_of
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.radiance import Factor, distance_images, median_distance
from disconerf_ns.surface.intervals import Intervals


class NerfactoRadiance:
    """A nerfacto model's radiance field; its weights are the model's own.

    Args:
        model: the model.
        still: context in which the model may be evaluated.
        half: evaluate the networks in half precision on a GPU, as training does there.
        most: largest number of samples for each proposal network and then for the field; without it the model's.
    """

    def __init__(
        self,
        model: NerfactoModel,
        still: Callable[[], AbstractContextManager[None]],
        half: bool = True,
        most: Sequence[int] = (),
    ):
        self._model, self.still, self._half, self.most = model, still, half, most

    @property
    def background(self) -> Float[Tensor, "3"] | None:
        """RGB in [0, 1] of light that passes every sample; None if the last one is it."""
        color = self._model.config.background_color
        if color == "last_sample":
            return None
        return torch.zeros(3, device=self.device) if color == "random" else get_color(color).to(self.device)

    @property
    def contraction(self) -> Contraction:
        """Scene positions to the unit cube of nerfacto's fields."""
        return Contraction(self._model.field.aabb, self._model.field.spatial_distortion)

    @property
    def device(self) -> torch.device:
        """Device that the model computes on."""
        return self._model.field.aabb.device

    @property
    def fused(self) -> bool:
        """Whether densities along rays come in one launch, without a tensor of samples' positions or features."""
        return fused_density(self._model.field, self._half) is not None

    def _precision(self) -> torch.autocast:
        return torch.autocast("cuda", torch.float16, enabled=self._half and self.device.type == "cuda")

    def density(self, positions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Density at scene positions."""
        with self._precision():
            return evaluate(self._model.field, positions)[0]

    def sample(self, rays: RayBundle, factor: Factor | None = None) -> Intervals:
        """Samples along flat rays, from the proposal networks; `factor` conditions their densities as well."""
        sampler, used = self._model.proposal_sampler, networks_of(self._model)
        trained = *sampler.num_proposal_samples_per_ray[: len(used)], sampler.num_nerf_samples_per_ray
        counts = [
            min(count, most) for count, most in zip_longest(trained, self.most[: len(trained)], fillvalue=maxsize)
        ]
        with self._precision():
            return propose(
                self._model.collider(rays),
                [_conditioned(density_along(network, self._half), factor) for network in used],
                counts,
                spacing_of(self._model),
                sampler._anneal,
            )

    def densities(self, samples: Intervals) -> Float[Tensor, "rays samples"]:
        """Density of samples."""
        with self._precision():
            return density_along(self._model.field, self._half)(samples)

    def shade(
        self, positions: Float[Tensor, "*n 3"], directions: Float[Tensor, "*#n 3"]
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """Density at scene positions, and colour there as seen along unit directions."""
        with self._precision():
            density, geometry = evaluate(self._model.field, positions)
            return density, colors(self._model.field, directions, geometry)

    def images(
        self, samples: Intervals, weights: Float[Tensor, "rays samples"], rgb: Float[Tensor, "rays samples 3"]
    ) -> dict[str, Float[Tensor, "rays _"]]:
        """nerfacto's own images of rendering weights and colours."""
        color = self._model.renderer_rgb(rgb=rgb, weights=weights[..., None]).clamp(0, 1)
        return {"rgb": color, **distance_images(self._distances(samples), weights)}

    def depth(self, samples: Intervals, weights: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays 1"]:
        """Distance along each ray at which half of its weight is reached."""
        return median_distance(self._distances(samples), weights)

    def _distances(self, samples: Intervals) -> Float[Tensor, "rays samples"]:
        """Middles of samples; the far plane on a ray that misses a crop box, whose samples lie nowhere."""
        far = self._model.config.far_plane
        return samples.middles.nan_to_num(far, far)


def _conditioned(density: DensityAlong, factor: Factor | None) -> DensityAlong:
    if factor is None:
        return density
    return lambda samples: density(samples) * factor(samples.positions)[..., 0]
