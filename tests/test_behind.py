"""Behind what is gone, what a photograph saw is shown rather than what none did: a plate floats above a floor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from helpers import alike
from made_scene import MadeRadiance
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from scene import camera_pose
from torch import Tensor

from disconerf_ns.rendering.behind import behind_gone, known
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.bodies import Bodies
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import DiscoveredObject, ObjectId
from disconerf_ns.scene.trained import TrainedScene
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.surface.intervals import Intervals

FLOOR, PLATE = ObjectId(0), ObjectId(1)
WHITE, RED, JUNK = torch.tensor([0.8, 0.8, 0.7]), torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.0, 1.0, 0.0])
SIZE = 24


def in_plate(x: Tensor) -> Tensor:
    return (x[..., :2].abs().amax(-1) < 0.4) & (x[..., 2] > 0.3) & (x[..., 2] < 0.36)


def in_junk(x: Tensor) -> Tensor:
    """Closely below the plate, where no camera looks."""
    return (x[..., :2].abs().amax(-1) < 0.2) & (x[..., 2] > 0.2) & (x[..., 2] < 0.3)


@dataclass
class Floating(MadeRadiance):
    """A plate above a floor, if there is one, and green junk below the plate."""

    floor: bool = True

    def density(self, positions: Tensor) -> Tensor:
        floor = (positions[..., 2] < 0) & (positions[..., 2] > -0.2) & self.floor
        return 200.0 * (in_plate(positions) | in_junk(positions) | floor).float()

    def shade(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        color = torch.where(in_plate(positions)[..., None], RED, WHITE)
        return self.density(positions), torch.where(in_junk(positions)[..., None], JUNK, color)

    def sample(self, rays: RayBundle, factor=None) -> Intervals:
        """As a proposal network that never looked past the plate: samples of rays through it end closely below it."""
        height = lambda z: (rays.origins[:, 2] - z) / -rays.directions[:, 2]
        middle, last = height(0.33), height(0.15)
        over = in_plate(rays.origins + rays.directions * middle[:, None])
        ends = torch.where(over, last, 4.0)[:, None]
        return Intervals(rays.origins, rays.directions, 0.5 + (ends - 0.5) * torch.linspace(0, 1, 257))


def cameras(heights: tuple[float, ...], views: int, size: int = SIZE) -> Cameras:
    poses = [camera_pose(2 * np.pi * view / views, heights[view % len(heights)], 2.0) for view in range(views)]
    matrices = torch.tensor(np.stack(poses)[:, :3], dtype=torch.float32)
    return Cameras(matrices, fx=1.4 * size, fy=1.4 * size, cx=size / 2, cy=size / 2, width=size, height=size)


def floating(floor: bool) -> ArrangedScene:
    contraction = Contraction(torch.tensor([[-2.0] * 3, [2.0] * 3]), None)

    def field(contracted: Tensor) -> Tensor:
        plate = in_plate(contraction.inverse(contracted))
        return torch.stack([~plate, plate], -1).float().clamp(0.01, 0.99)

    def rays() -> Iterator[RayBundle]:
        views = cameras((0.75, 1.0, 1.3), 12, 3 * SIZE)
        for view in range(len(views)):
            yield views.generate_rays(view, keep_shape=True).flatten()

    objects = (
        DiscoveredObject(0, 0.7, 0.9, 8, **alike(((-9.0, -9.0, -0.2), (9.0, 9.0, 0.3)))),
        DiscoveredObject(1, 0.3, 0.9, 8, **alike(((-0.42, -0.42, 0.28), (0.42, 0.42, 0.38)))),
    )
    trained = TrainedScene(Floating(contraction, floor), field, ObjectTree.flat(2), objects, training_rays=rays)
    places = cameras((0.75, 1.0, 1.3), 12).camera_to_worlds[..., 3]
    return ArrangedScene(replace(trained, camera_positions=lambda: places))


def where_the_junk_is(scene: ArrangedScene) -> Tensor:
    """Pixels, (n, 3), of the edited scene in which the junk would be seen."""
    rays = cameras((1.2,), 1).generate_rays(0, keep_shape=True).flatten()
    through = rays.origins[:, None] + rays.directions[:, None] * torch.linspace(0.5, 4, 500)[:, None]
    met = in_junk(through).any(-1)
    assert met.sum() > 20
    return Frame(scene, rays, (SIZE, SIZE)).edited()[met]


@pytest.mark.parametrize("extraction", ["hard", "soft"])
def test_without_a_table_the_floor_is_seen_and_not_what_the_field_made_up_below_the_table(extraction: str) -> None:
    """A table that was removed left shreds in its colours, which hid the floor behind them."""
    scene = floating(True).with_options(extraction=extraction)
    without = scene.with_edit(Edit().hide(PLATE))
    assert (where_the_junk_is(scene) - RED).abs().amax(-1).median() < 0.1
    assert ((where_the_junk_is(without) - WHITE).abs().amax(-1) < 0.15).float().mean() > 0.9
    raw = without.with_options(complete=False)
    assert ((where_the_junk_is(raw) - JUNK).abs().amax(-1) < 0.15).float().mean() > 0.9


def test_where_nothing_is_known_behind_it_the_field_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bodies, "patch", lambda *_: None)  # too little was seen of what surrounds the scene
    without = floating(False).with_edit(Edit().hide(PLATE))
    assert ((where_the_junk_is(without) - JUNK).abs().amax(-1) < 0.15).float().mean() > 0.9


def test_known_is_what_photographs_looked_into_and_all_in_front_of_what_is_gone() -> None:
    scene = floating(True)
    down = Intervals(
        torch.tensor([[0.25, 0.0, 1.5], [1.2, 1.2, 1.5]]),
        torch.tensor([[0.0, 0.0, -1.0]]).expand(2, 3),
        torch.linspace(0.0, 1.8, 37).expand(2, -1),
    )
    heights = 1.5 - down.middles
    of = lambda shown: known(shown, down, behind_gone(shown, down))
    gone = of(scene.with_edit(Edit().hide(PLATE)))
    assert gone[0][heights[0] > 0.4].all() and not gone[0][(heights[0] > 0.2) & (heights[0] < 0.28)].any()
    assert gone[0][(heights[0] > 0) & (heights[0] < 0.04)].all(), "the floor, which cameras see from the side"
    assert gone[1].all(), "a ray that does not pass the plate"
    assert of(scene).all() and of(scene.with_edit(Edit().hide(FLOOR))).all()


def test_no_ray_of_the_training_is_followed_where_nothing_is_gone() -> None:
    """It takes seconds on a CPU, and a preview, or an edit of colours alone, would wait for it."""
    rays = cameras((1.2,), 1).generate_rays(0, keep_shape=True).flatten()
    scene = floating(True)
    for edit, complete in ((Edit().recolor(PLATE, (0.0, 0.0, 1.0)), True), (Edit().hide(PLATE), False)):
        Frame(scene.with_edit(edit).with_options(complete=complete), rays, (SIZE, SIZE)).edited()
    assert "seen_rays" not in vars(scene.trained)
