"""The gaussians of a splatfacto run with an object field: a scene that was learned as splats."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.field_components.spatial_distortions import SceneContraction
from nerfstudio.model_components.renderers import RGBRenderer
from pytorch_msssim import SSIM
from torch import Tensor
from torchmetrics.image import PeakSignalNoiseRatio, lpip

from disconerf_ns.compat.lpips import without_download
from disconerf_ns.config import SplatSceneModelConfig
from disconerf_ns.gaussians.radiance import SplatRadiance
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.object_model import ObjectModel
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.training.object_outputs import ObjectOutputs

GAUSSIANS = ("means", "log_scales", "quaternions", "opacity_logits", "sh")
"""Columns of the gaussians, in the order of `Splats`; the buffer of each is called `gaussian_...`."""


class SplatSceneModel(ObjectModel):
    """Gaussians that were trained elsewhere, and an object field that their surface teaches."""

    config: SplatSceneModelConfig
    box: Float[Tensor, "2 3"]
    """The scene's box."""
    gaussian_means: Float[Tensor, "n 3"]
    of_any_size = (*ObjectModel.of_any_size, *(f"gaussian_{name}" for name in GAUSSIANS))

    def populate_modules(self) -> None:
        """Build a scene without gaussians, the object field, and nerfstudio's metrics."""
        for name, shape in zip(GAUSSIANS, ((3,), (3,), (4,), (), (1, 3))):
            self.register_buffer(f"gaussian_{name}", torch.zeros(0, *shape))
        self.register_buffer("box", self.scene_box.aabb.float(), persistent=False)
        self._radiance: SplatRadiance | None = None
        super().populate_modules()
        self.camera_optimizer = self.config.camera_optimizer.setup(num_cameras=self.num_train_data, device="cpu")
        self.camera_optimizer.requires_grad_(False)
        self.renderer_rgb = RGBRenderer(background_color=torch.tensor(self.config.background))
        self.psnr, self.ssim = PeakSignalNoiseRatio(data_range=1.0), SSIM(data_range=1.0, size_average=True, channel=3)
        with without_download():
            self.lpips = lpip.LearnedPerceptualImagePatchSimilarity(normalize=True)

    @property
    def splats(self) -> Splats:
        """The gaussians, in scene coordinates."""
        return Splats(*(getattr(self, f"gaussian_{name}") for name in GAUSSIANS))

    def take(self, splats: Splats) -> None:
        """Take gaussians as the scene.

        Args:
            splats: finite gaussians, in scene coordinates.
        """
        for name, column in zip(GAUSSIANS, splats.columns):
            setattr(self, f"gaussian_{name}", column.detach().to(self.device))
        self._renew()

    def radiance(self) -> SplatRadiance:
        """The gaussians as a radiance field; the same one, with what it has computed, while they are the same."""
        if self._radiance is None or self._radiance.splats.means is not self.gaussian_means:
            contraction = Contraction(self.box, SceneContraction(order=float("inf")))
            background = torch.tensor(self.config.background, device=self.box.device)
            self._radiance = SplatRadiance(self.splats, contraction, background, self.still)
        return self._radiance

    def get_param_groups(self) -> dict[str, list[torch.nn.Parameter]]:
        """`object_field`; nothing else learns."""
        return {"object_field": list(self.object_field.parameters())}

    def get_metrics_dict(self, outputs: Any, batch: dict) -> dict[str, Tensor]:
        """Metrics of the object field; of held-out rays, PSNR."""
        if isinstance(outputs, ObjectOutputs):
            return super().get_metrics_dict(outputs, batch)
        return {"psnr": -10 * self._squared_error(outputs, batch).log10()}

    def get_loss_dict(self, outputs: Any, batch: dict, metrics_dict: dict | None = None) -> dict[str, Tensor]:
        """Losses of the object field; of held-out rays, the mean squared error of their colours."""
        if isinstance(outputs, ObjectOutputs):
            return super().get_loss_dict(outputs, batch, metrics_dict)
        return {"rgb_loss": self._squared_error(outputs, batch)}

    def _squared_error(self, outputs: Any, batch: dict) -> Float[Tensor, ""]:
        truth = self.renderer_rgb.blend_background(batch["image"].to(self.device))
        return (outputs["rgb"].to(self.device) - truth).square().mean()
