"""nerfacto with an object field: the radiance stage, and the scene that it leaves."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.models.nerfacto import NerfactoModel
from torch import Tensor

from disconerf_ns.compat.lpips import without_download
from disconerf_ns.compat.nerfacto import NerfactoRadiance
from disconerf_ns.compat.radiance_step import RadianceOutputs, radiance_losses, radiance_metrics, radiance_outputs
from disconerf_ns.config import DiscoNerfModelConfig
from disconerf_ns.errors import UserError
from disconerf_ns.kernels.choice import tinycudann_works
from disconerf_ns.kernels.radiance_encoding import by_triton, quicken
from disconerf_ns.object_model import BACKGROUNDS, ObjectModel
from disconerf_ns.training.coarse_to_fine import CoarseToFine
from disconerf_ns.training.object_outputs import ObjectOutputs

ALWAYS_LEARN = 10
"""Number of first steps in which the proposal networks learn in any case, as in nerfacto."""


class DiscoNerfModel(ObjectModel, NerfactoModel):
    """A radiance field that is frozen after its stage, and an object field that its surface teaches."""

    config: DiscoNerfModelConfig
    anneal: Float[Tensor, ""]
    """Exponent of the proposal networks' weights in this step of the radiance stage."""

    def populate_modules(self) -> None:
        """Build nerfacto, the object field, and the table of discovered objects."""
        if min(self.config.frozen_samples, default=1) < 1:
            raise UserError(
                f"frozen_samples has {min(self.config.frozen_samples)}; pass numbers of at least 1 with "
                "--pipeline.model.frozen-samples, or leave it out."
            )
        if self.config.implementation == "tcnn" and not tinycudann_works():
            self.config.implementation = "torch"  # so does nerfstudio, but then our kernels stay out too
        with without_download():
            super().populate_modules()
        quicken(self)
        self.coarse_to_fine = CoarseToFine(self.field.mlp_base)
        self.proposals_learn = True
        """Whether the proposal networks get gradients in this step of the radiance stage."""
        self.register_buffer("anneal", torch.ones(()), persistent=False)

    def radiance(self) -> NerfactoRadiance:
        """nerfacto's field, as rendering sees it."""
        return NerfactoRadiance(self, self.still, self.config.half_precision, self.config.frozen_samples)

    @property
    def capturable(self) -> bool:
        """Whether a CUDA graph can capture a step of the radiance stage: nothing in it is copied from the host."""
        copies = self.config.background_color in BACKGROUNDS or self.config.predict_normals
        return self.config.implementation == "torch" and by_triton(self) and not copies

    def get_param_groups(self) -> dict[str, list[torch.nn.Parameter]]:
        """nerfacto's groups and `object_field`."""
        return {**super().get_param_groups(), "object_field": list(self.object_field.parameters())}

    def freeze_radiance(self, frozen: bool) -> None:
        """Exclude everything but the object field from training, or include it; a frozen field is sampled sharply."""
        super().freeze_radiance(frozen)
        if frozen:
            self.proposal_sampler.set_anneal(1.0)

    # ---------------------------------------------------------------- training

    def get_outputs(self, ray_bundle: RayBundle) -> Any:
        """Rendered rays for the losses while training; otherwise every output of the scene by name, on demand."""
        if not self.training or self.config.predict_normals:
            return super().get_outputs(ray_bundle)
        return radiance_outputs(self, ray_bundle, self.proposals_learn, self.anneal)

    def begin_radiance_step(self) -> None:
        """Decide whether the proposal networks learn in the next step, by nerfacto's schedule of their updates."""
        sampler = self.proposal_sampler
        if self.config.predict_normals:  # nerfacto's own step decides
            return
        waited = sampler._steps_since_update > sampler.update_sched(sampler._step)
        self.proposals_learn = bool(waited or sampler._step < ALWAYS_LEARN)
        if self.proposals_learn:
            sampler._steps_since_update = 0
        self.anneal.fill_(sampler._anneal)

    def _random_densities(self) -> Float[Tensor, "points"]:
        """Densities at uniformly random points of the contracted cube (DiscoNeRF, 7.2)."""
        points = torch.rand(self.devices.portion(self.config.floater_points), 3, device=self.device)
        raw = self.field.mlp_base(points)[:, 0].float()
        return self.field.average_init_density * torch.exp(raw.clamp(max=15))

    def get_metrics_dict(self, outputs: Any, batch: dict) -> dict[str, Tensor]:
        """Metrics of nerfacto in the radiance stage, and of the object field in its own."""
        if isinstance(outputs, RadianceOutputs):
            return radiance_metrics(self, outputs, batch["image"].to(self.device))
        return super().get_metrics_dict(outputs, batch)

    def get_loss_dict(self, outputs: Any, batch: dict, metrics_dict: dict | None = None) -> dict[str, Tensor]:
        """nerfacto's losses and the floater loss, or the losses of the object field."""
        if isinstance(outputs, ObjectOutputs):
            return super().get_loss_dict(outputs, batch, metrics_dict)
        if isinstance(outputs, RadianceOutputs):
            losses = radiance_losses(self, outputs, batch["image"].to(self.device), metrics_dict or {})
        else:
            losses = super().get_loss_dict(outputs, batch, metrics_dict)
        if self.training:
            losses["floater_loss"] = self.config.floater_mult * self._random_densities().mean()
        return losses

    def to_go_on(self) -> dict[str, Any]:
        """When the proposal networks learn next."""
        sampler = self.proposal_sampler
        return {"proposals": (sampler._step, sampler._steps_since_update)}

    def go_on(self, stored: dict[str, Any]) -> None:
        """Take over what `to_go_on` gave."""
        sampler = self.proposal_sampler
        sampler._step, sampler._steps_since_update = stored["proposals"]
