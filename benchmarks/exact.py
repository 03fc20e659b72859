"""The true surface of a made scene in the place of the learned one, which shows what geometry costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.scene.radiance import RadianceField

BEYOND = 100.0
"""Distance, in the scene's units, of what rays that meet nothing are said to meet."""


class TrueScene:
    """A made scene, seen in the coordinates that nerfstudio gave to its dataset."""

    def __init__(self, layout: str, pipeline: DiscoNerfPipeline):
        from examples.scenes.layouts import LAYOUTS
        from examples.scenes.render import Renderer, choose_variant

        choose_variant()
        self.renderer = Renderer(LAYOUTS[layout]())
        parsed = pipeline.datamanager.train_dataparser_outputs
        self.turn, self.shift = parsed.dataparser_transform.split([3, 1], dim=1)
        self.scale = parsed.dataparser_scale

    def meet(self, rays: RayBundle) -> tuple[Float[Tensor, "rays 3"], Bool[Tensor, "rays"]]:
        """The first points of the scene on rays, and whether there are any."""
        origins = (rays.origins.cpu() / self.scale - self.shift[:, 0]) @ self.turn
        directions = rays.directions.cpu() @ self.turn
        distances = torch.from_numpy(self.renderer.distances(origins.numpy(), directions.numpy()))
        met = distances.isfinite().to(rays.origins.device)
        distances = distances.nan_to_num(posinf=BEYOND).clamp(max=BEYOND).to(rays.origins) * self.scale
        return rays.origins + rays.directions * distances[:, None], met


@contextmanager
def true_surfaces(layout: str, pipeline: DiscoNerfPipeline) -> Iterator[None]:
    """Training samples and labels come from the true surface; colours and objects alone are not to be had."""
    scene = TrueScene(layout, pipeline)

    def surface(radiance: RadianceField, rays: RayBundle) -> tuple[Tensor, Tensor]:
        points, met = scene.meet(rays)
        return radiance.contraction(points)[:, None], met.float()

    def render_surface(radiance: RadianceField, rays: RayBundle, count: int) -> dict[str, Tensor]:
        points, opacity = surface(radiance, rays)
        return {"points": points.expand(-1, count, -1), "accumulation": opacity}

    def render_scene(radiance: RadianceField, rays: RayBundle, points_per_ray: int) -> tuple[dict[str, Tensor], None]:
        points, opacity = surface(radiance, rays)
        return {"points": points, "surface_opacity": opacity}, None

    with (
        mock.patch("disconerf_ns.object_stage.render_surface", render_surface),
        mock.patch("disconerf_ns.rendering.rays.render_scene", render_scene),
    ):
        yield
