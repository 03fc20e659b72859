"""An object drawn alone, against its slow twin that asks the networks at every sample; the quadrature error."""

from __future__ import annotations

import pytest
import torch
from helpers import assert_close, nerfstudio_samples
from made_scene import made_cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.field_components.field_heads import FieldHeadNames
from tiny_run import Run

from benchmarks.surface import images, moved
from disconerf_ns.compat.nerfacto import NerfactoRadiance
from disconerf_ns.filming.sight import shares_seen
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.rendering import alone
from disconerf_ns.rendering.alone import render_object, samples_within
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit_table import belonging
from disconerf_ns.scene.objects import ObjectId


@pytest.fixture
def model(run: Run, model: DiscoNerfModel) -> DiscoNerfModel:
    run.trainer.pipeline.eval()
    return model


@pytest.fixture
def rays(run: Run) -> RayBundle:
    pipeline = run.trainer.pipeline
    return pipeline.datamanager.view_rays(0)[::3].to(pipeline.device)


def render_everywhere(
    model: DiscoNerfModel, scene: ArrangedScene, rays: RayBundle, id: ObjectId
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. 1 with the densities of one object: colour on white, and opacity."""
    rgb, accumulation = torch.ones_like(rays.origins), torch.zeros_like(rays.origins[:, :1])
    hit, samples = samples_within(scene, rays, id, scene.bodies.occupancy(id), scene.options.object_samples)
    outputs = model.field(nerfstudio_samples(rays[hit], samples))
    own = belonging(scene.owners(samples.positions), id)[..., None]
    weights = samples.weights((outputs[FieldHeadNames.DENSITY] * own)[..., 0])[..., None]
    accumulation[hit] = weights.sum(1)
    rgb[hit] = (weights * outputs[FieldHeadNames.RGB]).sum(1) + 1 - accumulation[hit]
    return rgb, accumulation


@pytest.mark.parametrize("extraction", ["hard", "soft"])
@torch.no_grad()
def test_an_object_is_the_same_where_only_its_own_samples_are_computed(model, scene_now, rays, extraction: str) -> None:
    scene = scene_now.with_options(extraction=extraction)
    for each in scene.objects:
        rgb, accumulation = render_everywhere(model, scene, rays, each.id)
        images = render_object(scene, rays, each.id)
        assert (accumulation > 0.5).any()
        assert_close(images["rgb"], rgb, 1e-4)
        assert_close(images["accumulation"], accumulation, 1e-4)


@torch.no_grad()
def test_the_field_is_asked_at_the_objects_own_samples_alone(scene_now, rays, monkeypatch: pytest.MonkeyPatch) -> None:
    id, asked, shade = scene_now.objects[0].id, [], NerfactoRadiance.shade
    monkeypatch.setattr(NerfactoRadiance, "shade", lambda self, x, along: asked.append(x) or shade(self, x, along))
    render_object(scene_now, rays, id)
    (positions,) = asked
    assert (scene_now.owners(positions) == id).all()


def check_nothing_seen_is_lost(monkeypatch, scene: ArrangedScene, rays, id, expected: dict[str, torch.Tensor]) -> None:
    """Draw an object twice, with more left out the second time: pictures differ by less than what counts as seen."""
    for seen in (alone.SEEN, 0.2):
        monkeypatch.setattr(alone, "SEEN", seen)
        images = render_object(scene, rays, id)
        for name in ("rgb", "accumulation"):
            assert (images[name] - expected[name]).abs().max() < seen


@torch.no_grad()
def test_samples_that_nobody_sees_are_left_out_where_densities_come_in_one_launch(
    scene_now, rays, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, asked, owners = scene_now.objects[0].id, [], ArrangedScene.owners
    scene_now.bodies.occupancy(id)
    monkeypatch.setattr(ArrangedScene, "owners", lambda scene, x: asked.append(x.numel() // 3) or owners(scene, x))
    expected = render_object(scene_now, rays, id)
    monkeypatch.setattr(NerfactoRadiance, "fused", True)
    check_nothing_seen_is_lost(monkeypatch, scene_now, rays, id, expected)
    assert asked[2] < 0.9 * asked[0] and asked[2] < asked[1] <= asked[0]


@pytest.mark.parametrize("extraction", ["hard", "soft"])
@torch.no_grad()
def test_what_surrounds_a_scene_is_the_same_where_owners_are_asked_in_matter_alone(
    scene_now, rays, monkeypatch: pytest.MonkeyPatch, extraction: str
) -> None:
    def everywhere(scene, id, samples) -> torch.Tensor:
        return scene.trained.radiance.densities(samples) * belonging(scene.owners(samples.positions), id)

    asked, owners, sparing = [], ArrangedScene.owners, alone.own_density
    scene = scene_now.with_options(extraction=extraction)
    id = scene.objects[0].id
    monkeypatch.setitem(vars(scene.bodies), "surrounding", frozenset([id]))
    scene.bodies.occupancy(id)
    monkeypatch.setattr(ArrangedScene, "owners", lambda scene, x: asked.append(x.numel() // 3) or owners(scene, x))
    monkeypatch.setattr(alone, "own_density", everywhere)
    expected = render_object(scene, rays, id)
    assert (expected["accumulation"] > 0.5).any()
    monkeypatch.setattr(alone, "own_density", sparing)
    check_nothing_seen_is_lost(monkeypatch, scene, rays, id, expected)
    everywhere_asked, sparingly, more_sparingly = asked[::2]
    assert more_sparingly < 0.9 * everywhere_asked and more_sparingly < sparingly < everywhere_asked


@torch.no_grad()
def test_an_object_that_owns_nothing_is_the_background(scene_now, rays, monkeypatch: pytest.MonkeyPatch) -> None:
    id = scene_now.objects[0].id
    scene_now.bodies.occupancy(id)
    monkeypatch.setattr(ArrangedScene, "owners", lambda _, x: torch.full_like(x[..., 0], id + 1, dtype=torch.long))
    images = render_object(scene_now, rays, id)
    assert (images["rgb"] == 1).all() and (images["accumulation"] == 0).all()


@pytest.mark.parametrize("wide", [False, True])
@torch.no_grad()
def test_rays_that_all_miss_an_object_see_the_background(scene_now, rays, monkeypatch, wide: bool) -> None:
    """Such as a chunk of a film's picture beside a large object: nothing is sampled there."""
    surrounding = frozenset(scene_now.by_id.keys() if wide else ())
    monkeypatch.setitem(vars(scene_now.bodies), "surrounding", surrounding)
    rays.origins, rays.directions = torch.full_like(rays.origins, 50.0), torch.full_like(rays.directions, 3**-0.5)
    images = render_object(scene_now, rays, scene_now.objects[0].id)
    assert (images["rgb"] == 1).all() and (images["accumulation"] == 0).all() and (images["depth"] == 0).all()


@torch.no_grad()
def test_no_ray_meets_nothing(scene_now, rays) -> None:
    """A film of an object that lies in no photograph's picture ended with an error, as no ray looks for it."""
    radiance = scene_now.trained.radiance
    samples = radiance.sample(rays[:0])
    assert radiance.densities(samples).shape == samples.middles.shape and len(samples.middles) == 0
    density, rgb = radiance.shade(samples.positions, samples.directions[:, None])
    assert density.shape == samples.middles.shape and rgb.shape == samples.positions.shape
    away = made_cameras()
    points = away.camera_to_worlds[:1, :, 3] + 2 * away.camera_to_worlds[:1, :, 2]  # behind the first camera
    assert shares_seen(scene_now, away[:1], points, 0.1).tolist() == [0]


def test_the_quadratures_error_on_a_learned_surface(run: Run, model: DiscoNerfModel) -> None:
    """As a part of the rays, over three views of a field so fuzzy that a run of two minutes looks sharp beside it."""
    views = [images(run.trainer.pipeline, view, (1, 2, 8)) for view in (0, 5, 10)]
    drawn = {name: torch.cat([view[name] for view in views]) for name in views[0]}
    error = {name: float(moved(drawn[name], drawn["integral"]).mean()) for name in ("1", "2", "8", "all samples")}
    assert error["8"] < error["2"] < error["1"] < 0.2
    assert error["2"] < 0.15 and error["8"] < 0.07


def test_what_is_moved_by_hand() -> None:
    one, other = torch.tensor([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]]), torch.tensor([[0.4, 0.5, 0.1], [1.0, 0.0, 0.0]])
    assert_close(moved(one, other), torch.tensor([0.2, 0.0]))
