"""Pictures that are kept: an edit of them looks like the edited scene rendered anew, and asks for fewer rays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from helpers import assert_close
from made_scene import MadeRadiance, made_cameras, made_scene
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from tiny_run import Run
from torch import Tensor

from disconerf_ns.rendering import left
from disconerf_ns.rendering.edited import EditedRays
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import OVERLAY, frame_outputs, output_table
from disconerf_ns.rendering.rays import SEEN
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.scene.occupancy import intersect_box
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.surface.intervals import Intervals
from disconerf_ns.viewer.picking import object_at

BLUE = torch.tensor([0.2, 0.4, 0.9])


@pytest.fixture
def frame_of(run: Run):
    """Makes the frame of every other row and column of a held-out view."""

    def make(scene: ArrangedScene, keep: bool = False) -> Frame:
        camera = run.trainer.pipeline.datamanager.eval_dataset.cameras[0:1].to(scene.trained.radiance.device)
        rays = camera.generate_rays(0, keep_shape=True)[::2, ::2]
        return Frame(scene, rays.flatten(), rays.origins.shape[:2], keep)

    return make


@pytest.fixture
def assert_as_good(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[Frame, Frame], None]:
    """Asserts that a kept frame's edited picture is as near to the densely sampled one as a fresh frame's.

    The two may differ where an object hardly weighs: its removal moves a fresh frame's few samples along the ray, and
    those of a kept frame stay where they were.
    """
    sampler = run.trainer.pipeline.model.proposal_sampler

    def check(kept: Frame, fresh: Frame) -> None:
        pictures = kept.edited(), fresh.edited()
        with monkeypatch.context() as dense:
            dense.setattr(sampler, "num_nerf_samples_per_ray", 96)
            dense.setattr(sampler, "num_proposal_samples_per_ray", (192, 96))
            dense.setattr(kept.scene.trained.radiance, "most", ())
            exact = Frame(kept.scene, kept.rays, kept.shape).edited()
        of_kept, of_fresh = ((picture - exact).abs().mean() for picture in pictures)
        assert of_kept < of_fresh + SEEN / 2

    return check


def ids(scene: ArrangedScene) -> list[int]:
    return [each.id for each in scene.objects]


def volume(each: SceneObject) -> float:
    """Volume of an object's box; a ball's is small, unless a stray part of it is somewhere else."""
    low, high = torch.tensor(each.box)
    return float((high - low).prod())


def waiting(frame: Frame, name: str) -> int:
    return output_table(frame.scene)[name].waiting(frame)


def test_without_an_edit_both_are_the_scene(scene_now: ArrangedScene, frame_of) -> None:
    kept, plain = frame_of(scene_now, True), frame_of(scene_now)
    assert torch.equal(frame_outputs(kept)["edited"], frame_outputs(plain)["rgb"])
    assert_close(EditedRays(scene_now, *kept.unedited()).rgb(), plain.images()["rgb"], 1e-5)


def test_colours_are_mixed_anew_without_any_network(
    scene_now: ArrangedScene, frame_of, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = ids(scene_now)[:2]
    red = scene_now.with_edit(Edit().recolor(one, (1.0, 0.0, 0.0)))
    kept = frame_of(red, True)
    kept.edited()
    both = red.with_edit(red.edit.recolor(other, (0.0, 0.0, 1.0)))
    expected = frame_of(both).edited()
    monkeypatch.setattr(run.trainer.pipeline.model.field, "forward", None)
    monkeypatch.setattr(run.trainer.pipeline.model.object_field, "forward", None)
    frame = kept.under(both)
    assert waiting(frame, "edited") == 0
    assert_close(frame.edited(), expected, 1e-5)


def test_hiding_samples_the_rays_that_met_the_object(
    scene_now: ArrangedScene, frame_of, assert_as_good, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = frame_of(scene_now, True)
    sampled = []
    original = left.sample_edited
    monkeypatch.setattr(left, "sample_edited", lambda scene, rays: sampled.append(len(rays)) or original(scene, rays))

    def check(edit: Edit) -> int:
        nonlocal kept
        kept = kept.under(scene_now.with_edit(edit))
        sampled.clear()
        kept.edited()
        count = sum(sampled)
        assert_as_good(kept, frame_of(kept.scene))
        return count

    one, other = ids(scene_now)[1:3]
    assert 0 < check(Edit().hide(one)) < len(kept.rays)
    base, owners = owned = kept.unedited()
    met = (((base.weights * (owners == one)).sum(-1) > SEEN) | left.thinned(kept.scene, owned))[:, None]
    left_as_it_was = EditedRays(kept.scene, base._replace(rgb=left.own_colors(kept.scene, owned)), owners)
    expected = torch.where(met, frame_of(kept.scene).edited(), left_as_it_was.rgb())
    assert_close(kept.edited(), expected, 1e-5)
    assert check(Edit().hide(one).recolor(other, (0.0, 1.0, 0.0))) == 0
    assert 0 < check(Edit().hide(one, other)) < len(kept.rays)
    check(Edit().hide(other))
    assert check(Edit()) == 0
    assert check(Edit().hide(*ids(scene_now))) > 0


def test_a_mix_of_samples_of_two_edits_is_as_good_as_a_fresh_frame(
    scene_now: ArrangedScene, frame_of, assert_as_good, model
) -> None:
    kept, (one, other) = frame_of(scene_now, True), ids(scene_now)[1:3]
    for edit in (Edit().hide(one), Edit().hide(one, other), Edit().hide(other), Edit()):
        kept = kept.under(scene_now.with_edit(edit))
        assert_as_good(kept, frame_of(kept.scene, True))
        if edit.repaints:
            assert not torch.isin(kept.edited_ids(), torch.tensor(sorted(edit.hidden), device=model.device)).any()


def test_a_frame_keeps_its_scene_whatever_becomes_current(scene_now: ArrangedScene, frame_of, model) -> None:
    """A split that lands between two readings of a picture used to end in an IndexError, or in a mix of both edits."""
    slot = ids(scene_now)[1]
    split = scene_now.with_edit(Edit().divide(slot, 2).hide(slot))
    frame = frame_of(split, True)
    before = frame_outputs(frame_of(split, True))
    expected = before["edited"], before["objects"], before["label"]
    outputs = frame_outputs(frame)
    outputs["objects"]
    model.current.replace(lambda _: scene_now)  # the split is undone while the picture is drawn
    assert all(torch.equal(outputs[name], image) for name, image in zip(("edited", "objects", "label"), expected))
    undone = frame_outputs(frame.under(scene_now))
    fresh = frame_outputs(frame_of(scene_now, True))
    assert all(torch.equal(undone[name], fresh[name]) for name in ("edited", "objects", "label"))


def test_merged_and_split_objects_in_the_labels(scene_now: ArrangedScene, frame_of) -> None:
    kept, before = frame_of(scene_now, True), frame_of(scene_now).labels().id
    (one, other), slots = ids(scene_now)[1:3], scene_now.trained.slots
    merging = scene_now.with_edit(Edit().merge([one], other))
    merged = kept.under(merging).labels().id
    assert not (merged == one).any()
    assert (merged == other).sum() >= ((before == one) | (before == other)).sum()
    assert [each.name for each in merging.objects][1:3] == ["object_02", "object_03"]

    dividing = scene_now.with_edit(Edit().divide(one, 2))
    divided = kept.under(dividing).labels().id
    assert dividing.ids == slots + 1
    assert ((divided == one) | (divided == slots)).sum() == (before == one).sum()
    joined = dividing.with_edit(dividing.edit.merge([slots], one))
    assert torch.equal(kept.under(joined).labels().id == one, before == one)


def test_an_object_of_merged_ones_is_rendered_as_both(scene_now: ArrangedScene, frame_of) -> None:
    one, other = ids(scene_now)[1:3]
    alone = [frame_of(scene_now).alone(id)["accumulation"] for id in (one, other)]
    both = frame_of(scene_now.with_edit(Edit().merge([one], other))).alone(other)["accumulation"]
    apart = (alone[0] == 0) | (alone[1] == 0)
    assert (both[apart] > 0.5).sum() >= 0.9 * (torch.maximum(*alone)[apart] > 0.5).sum() > 0


def test_an_object_alone_has_the_colour_that_a_person_gave_it(scene_now: ArrangedScene, frame_of) -> None:
    id = ids(scene_now)[1]
    kept = frame_of(scene_now, True)
    plain = kept.alone(id)
    blue = kept.under(scene_now.with_edit(Edit().recolor(id, (0.0, 0.0, 1.0)))).alone(id)
    solid = plain["accumulation"][:, 0] > 0.9
    assert solid.sum() > 20 and torch.equal(plain["accumulation"], blue["accumulation"])
    mean = blue["rgb"][solid].mean(0)
    assert mean[2] > 3 * mean[0] and mean[2] > 3 * mean[1]
    assert (plain["rgb"][solid].mean(0) - mean).abs().max() > 0.1


def test_unsure_pixels_are_nobodys(scene_now: ArrangedScene, frame_of) -> None:
    sure = frame_of(scene_now).labels().confidence >= 0.9
    assert 0 < sure.sum() < len(sure)
    frame = frame_of(scene_now.with_options(min_confidence=0.9))
    assert (frame_outputs(frame)["label"].flatten()[~sure] == 0).all()
    assert (frame.colors()[~sure] == 0).all() and (frame.colors()[sure].sum(-1) > 0).any()


def test_the_overlay_of_the_edited_scene_has_objects_where_they_stand(scene_now: ArrangedScene, frame_of) -> None:
    """Each pixel is mixed of the edited picture and, times its opacity, of the colour of the object that it shows."""
    moved, gone, *_ = ids(scene_now)[1:]
    edited = scene_now.with_edit(Edit().place(moved, Similarity(translation=(0.0, 0.0, 0.15))).hide(gone))
    frame = frame_of(edited)
    mixed = frame_outputs(frame)["edited_overlay"].flatten(0, 1) - (1 - OVERLAY) * frame.edited()
    here = frame.seen_ids() == moved
    assert (here & (frame.labels().id != moved)).sum() > 5 and not (frame.seen_ids() == gone).any()
    assert_close(mixed[here], OVERLAY * frame.edited_opacity()[here] * torch.tensor(edited.by_id[moved].color))
    assert torch.equal(frame_of(scene_now).seen_ids(), frame_of(scene_now).labels().id)
    plain = frame_outputs(frame_of(scene_now))
    assert torch.equal(plain["edited_overlay"], plain["objects_overlay"])
    assert {"edited", "edited_overlay", "edited_depth", "edited_mask"} <= set(plain.keys()), "ns-render asks for keys"


def test_soft_extraction_is_rendered_anew(scene_now: ArrangedScene, frame_of) -> None:
    soft = scene_now.with_options(extraction="soft").with_edit(Edit().hide(ids(scene_now)[1]))
    kept = frame_of(soft, True)
    assert not kept.remembers_owners
    assert_close(kept.edited(), frame_of(soft).edited())


@pytest.mark.parametrize("extraction", ["hard", "soft"])
def test_rays_that_pass_by_what_is_left_need_no_network(
    scene_now: ArrangedScene, frame_of, monkeypatch: pytest.MonkeyPatch, extraction: str
) -> None:
    """One ball alone looks the same whether or not the rays beside its box are asked about."""
    smallest = min(scene_now.objects, key=volume)
    alone = Edit().isolate([smallest.id], range(scene_now.ids))
    scene = scene_now.with_options(extraction=extraction).with_edit(alone)
    asked = []
    sample = left._sample_edited
    monkeypatch.setattr(left, "_sample_edited", lambda scene, rays: asked.append(len(rays)) or sample(scene, rays))
    few = frame_of(scene).edited()
    monkeypatch.setattr(left, "passes_something", lambda scene, rays: torch.ones(len(rays), dtype=torch.bool))
    every = frame_of(scene).edited()
    assert asked[0] < 0.5 * asked[1]
    assert (few - every).abs().mean() < 0.01
    assert (few < 0.7).any(), "the ball is there"


class Sky(MadeRadiance):
    """Two balls, and a blue sky beyond their boxes, which is the nearer ball's in the object field."""

    background = None

    def density(self, positions: Tensor) -> Tensor:
        return super().density(positions) + 300.0 * (positions.norm(dim=-1) > 1.6)

    def shade(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        rgb = super().shade(positions, directions)[1]
        return self.density(positions), torch.where((positions.norm(dim=-1) > 1.6)[..., None], BLUE, rgb)

    def sample(self, rays, factor=None) -> Intervals:
        return Intervals(rays.origins, rays.directions, torch.linspace(0.7, 6, 257).expand(len(rays), -1))


@pytest.mark.parametrize("edit", [Edit().recolor(0, (0.0, 1.0, 0.0)), Edit().hide(1)], ids=["recoloured", "hidden"])
def test_what_lies_outside_of_all_boxes_is_drawn(edit: Edit) -> None:
    """Rays that met no object's box were black, or as if nothing was left, in pictures that are drawn anew."""
    scene, sees = made_scene(), made_cameras()[0:1]
    scene = scene.with_trained(replace(scene.trained, radiance=Sky(scene.trained.radiance.contraction))).with_edit(edit)
    inside = torch.cat([sees.camera_to_worlds[..., :3], 0.6 * sees.camera_to_worlds[..., 3:]], -1)
    wide = Cameras(inside, fx=10.0, fy=10.0, cx=12.0, cy=12.0, width=24, height=24)
    kept, fresh = (Frame.seen_by(scene, wide, keep).edited() for keep in (True, False))
    rays = Frame.seen_by(scene, wide).rays
    past = torch.ones(len(rays), dtype=torch.bool)
    for low, high in (each.box for each in scene.objects):
        enter, leave = intersect_box(rays.origins, rays.directions, torch.tensor([low, high]))
        past &= enter >= leave
    assert past.sum() > 100
    assert_close(fresh[past], kept[past], 1e-4)


def test_slots_without_an_object_make_no_ray_worth_asking() -> None:
    """Most runs have slots that rule too little to be listed; they do not make all rays worth asking."""
    trained = made_scene().trained
    field = lambda x: torch.cat([trained.object_field(x), torch.zeros_like(trained.object_field(x)[..., :1])], -1)
    scene = ArrangedScene(replace(trained, object_field=field, tree=ObjectTree.flat(3)))
    assert scene.ids_in_use - scene.by_id.keys(), "a slot without an object"
    alone = scene.with_edit(Edit().isolate([scene.objects[0].id], scene.ids_in_use))
    rays = torch.tensor([[0.0, 0.0, 3.0], [-0.5, 0.3, 3.0]]), torch.tensor([[0.0, 0.0, -1.0]] * 2)
    bundle = RayBundle(*rays, torch.ones(2, 1))
    assert left.passes_something(alone, bundle).tolist() == [True, False]


def test_nothing_left_is_a_plain_background(scene_now: ArrangedScene, frame_of) -> None:
    nothing = scene_now.with_edit(Edit().isolate([], range(scene_now.ids)))
    for keep in (False, True):
        assert (frame_of(nothing, keep).edited() == 1.0).all()


@pytest.mark.parametrize("alone", [False, True])
def test_the_object_field_is_asked_only_where_boxes_leave_it_open(
    scene_now: ArrangedScene, frame_of, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    smallest = min(scene_now.objects, key=volume).id
    edit = Edit().isolate([smallest], range(scene_now.ids)) if alone else Edit().hide(smallest)
    scene = scene_now.with_edit(edit)
    samples = frame_of(scene, True).scene_samples()
    ids_of = scene.owners(samples.positions)
    everywhere = scene.table.density[ids_of]
    asked, owners = [], ArrangedScene.owners
    monkeypatch.setattr(ArrangedScene, "owners", lambda scene, x: asked.append(len(x)) or owners(scene, x))
    kept = left.kept_density(scene)(samples.positions)[..., 0]
    box = torch.zeros(scene.ids, 2, 3, device=samples.positions.device)
    for each in scene.objects:
        box[each.id] = torch.tensor(each.box).to(box)
    low, high = box[ids_of].unbind(-2)
    own = ((samples.positions >= low) & (samples.positions <= high)).all(-1)
    assert torch.equal(kept[own], everywhere[own]), "outside of its box the likeliest slot owns some points after all"
    assert own.float().mean() > 0.5
    assert sum(asked) < 0.3 * samples.positions[..., 0].numel()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_points_in_boxes_are_those_of_a_comparison_of_each_with_each(count: int) -> None:
    points, low = torch.rand(500, 3).mul(4).round() / 4, torch.rand(count, 3).mul(4).round() / 4
    boxes = torch.stack([low, low + 0.5], 1)
    points[0], points[1] = torch.nan, torch.inf
    expected = [any(bool(((a <= x) & (x <= b)).all()) for a, b in boxes) for x in points]
    assert left.inside(points, boxes).tolist() == expected and any(expected) == (count > 0)


def test_rays_beside_a_crop_box_show_no_object(scene_now: ArrangedScene, run: Run) -> None:
    """A crop box leaves rays without samples: background, confidence 0, and the largest depth, which was NaN."""
    from nerfstudio.data.scene_box import OrientedBox

    low, high = torch.tensor(min(scene_now.objects, key=volume).box)
    box = OrientedBox(torch.eye(3), (low + high) / 2, 2 * (high - low))
    camera = run.trainer.pipeline.datamanager.eval_dataset.cameras[0:1].to(scene_now.trained.radiance.device)
    outputs = run.trainer.pipeline.model.get_outputs_for_camera(camera, obb_box=box)
    rays = camera.generate_rays(0, keep_shape=True, obb_box=box)
    missed = rays.nears[..., 0] >= rays.fars[..., 0] - 1e-6
    assert 0 < missed.sum() < missed.numel()
    assert (outputs["confidence"][missed] == 0).all() and (outputs["objects"][missed] == 0).all()
    assert (outputs["label"][~missed] > 0).any()
    for name in ("rgb", "depth", "expected_depth", "edited"):
        assert outputs[name].isfinite().all(), name
    assert outputs["depth"][missed].min() >= outputs["depth"][~missed].max()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_rays_without_a_direction_show_no_object(scene_now: ArrangedScene, run: Run, value: float) -> None:
    """Also where something is hidden, which is sampled again, and where a click asks what is there."""
    camera = run.trainer.pipeline.datamanager.train_dataset.cameras[0:1]
    rays = camera.generate_rays(0, keep_shape=True)[::4, ::4]
    shape = tuple(rays.origins.shape[:2])
    flat = rays.flatten()
    flat.directions[:5] = value
    for scene in (scene_now, scene_now.with_edit(Edit().hide(scene_now.objects[0].id))):
        for keep in (False, True):
            outputs = frame_outputs(Frame(scene, flat, shape, keep=keep))
            for name in (*outputs.keys(), "label"):
                assert outputs[name].shape[:2] == shape, name
            if value != 0:
                assert not outputs["label"].flatten()[:5].any() and not outputs["confidence"].flatten()[:5].any()
    met = object_at(scene_now, (0.0, 0.0, 0.0), (value,) * 3, edited=value != 0)
    assert met is None or met.id in scene_now.by_id
