"""What surrounds a scene, rendered alone: thin walls in a box whose voxels are larger than the room."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from helpers import alike
from made_scene import MadeRadiance, made_cameras, made_scene
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.field_components.spatial_distortions import SceneContraction
from torch import Tensor

from disconerf_ns.rendering.alone import render_object
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.objects import DiscoveredObject, ObjectId
from disconerf_ns.scene.trained import TrainedScene
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.surface.intervals import Intervals

AT, THICK, REACH = 3.0, 0.1, 120.0


@dataclass
class Walls(MadeRadiance):
    """A box of thin walls around the cameras, with fog far behind it, as trained fields have."""

    def density(self, positions: Tensor) -> Tensor:
        outside = positions.abs().amax(-1)
        return 200.0 * ((outside > AT) & (outside < AT + THICK)) + 0.01 * (outside > 2 * AT)

    def shade(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        return self.density(positions), torch.tensor([0.2, 0.4, 0.6]).expand(positions.shape)

    def sample(self, rays: RayBundle, factor=None) -> Intervals:
        return Intervals(rays.origins, rays.directions, torch.linspace(0.05, 12, 385).expand(len(rays), -1))


def walls() -> ArrangedScene:
    contraction = Contraction(torch.tensor([[-1.0] * 3, [1.0] * 3]), SceneContraction(order=float("inf")))
    far = DiscoveredObject(0, 0.9, 0.9, 8, **alike(((-REACH,) * 3, (REACH,) * 3)))
    trained = TrainedScene(Walls(contraction), lambda x: torch.ones(len(x), 1), ObjectTree.flat(1), (far,))
    return made_scene().with_trained(trained)


@pytest.mark.parametrize("view", range(4))
def test_walls_around_the_cameras_are_opaque_and_where_they_are(view: int) -> None:
    """Voxels of the box were larger than the room, so most samples lay behind the walls: they were full of holes."""
    rays = made_cameras()[view].generate_rays(0, keep_shape=True).flatten()
    shown = render_object(walls(), rays, ObjectId(0))
    assert float(shown["accumulation"].min()) > 0.9
    points = rays.origins + rays.directions * shown["depth"]
    assert (points.abs().amax(-1) - AT).abs().max() < 0.2
