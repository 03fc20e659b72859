"""Objects moved, turned, scaled, copied, and guests of other scenes: pictures, depth, ids, and what nobody saw."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import assert_close
from tiny_run import Run

from disconerf_ns.errors import UserError
from disconerf_ns.rendering.alone import render_object
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import output_table
from disconerf_ns.rendering.preview import Preview
from disconerf_ns.rendering.rays import SEEN
from disconerf_ns.scene.arranged import ArrangedScene, Guest
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.cut import said_of_shown
from disconerf_ns.scene.edit import HERE, Edit
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.scene.recolor import Channels, Hue
from disconerf_ns.scene.seen_rays import SeenRays
from disconerf_ns.scene.seen_space import SeenSpace
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.viewer.picking import nearest_place

UP = Similarity(translation=(0.0, 0.0, 0.3))
TURN = math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)


@pytest.fixture
def frame_of(run: Run):
    """Makes the frame of a held-out view, or of one of another dataset, moved as a similarity says."""

    def make(scene: ArrangedScene, keep: bool = False, seen_from: Similarity = HERE, of: str = "eval_dataset") -> Frame:
        dataset = getattr(run.trainer.pipeline.datamanager, of)
        camera = dataset.cameras[0:1].to(scene.trained.radiance.device)
        rays = camera.generate_rays(0, keep_shape=True)
        flat = rays.flatten()
        flat.origins, flat.directions = seen_from.points(flat.origins), seen_from.directions(flat.directions)
        return Frame(scene, flat, tuple(rays.origins.shape[:2]), keep)

    return make


@pytest.fixture
def ball(scene_now: ArrangedScene) -> SceneObject:
    """The object in the smallest box."""
    return min(
        scene_now.objects, key=lambda each: float((torch.tensor(each.box)[1] - torch.tensor(each.box)[0]).prod())
    )


def only(scene: ArrangedScene, edit: Edit, id: int) -> ArrangedScene:
    return scene.with_edit(edit.isolate([id], range(scene.ids)))


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_a_moved_object_looks_as_it_did_to_a_camera_that_moved_along(scene_now, frame_of, ball, keep, clean) -> None:
    """Moving an object and its camera together changes nothing: pictures equal, distances times the scale.

    Rounding may put a step of one ray to the other side of a voxel's border, which shifts the samples of that ray.
    """
    scene_now = scene_now.with_options(clean=clean)
    moved = Similarity.about(scene_now.bodies.solid(ball.id).centre, TURN, 1.5, (0.2, -0.1, 0.1))
    body = scene_now.bodies.clean(ball.id) if clean else scene_now.bodies.hazy(ball.id)
    here = render_object(scene_now, frame_of(scene_now).rays, ball.id, body)
    there = frame_of(only(scene_now, Edit().move(ball.id, moved), ball.id), keep, seen_from=moved)
    solid = here["accumulation"][:, 0] > 0.99
    assert solid.sum() > 20
    apart = torch.cat([there.edited() - here["rgb"], there.edited_opacity() - here["accumulation"]], -1).abs().amax(-1)
    assert (apart > 1e-3).sum() <= 1 and apart.max() < SEEN
    assert_close(there.edited_depth()[solid], 1.5 * here["depth"][solid], 1e-2)
    assert (there.edited_ids()[solid] == ball.id).all()


def test_a_copy_leaves_the_object_where_it_is(scene_now, frame_of, ball) -> None:
    copied = scene_now.with_edit(Edit().copy(ball.id, UP))
    frame, plain = frame_of(copied), frame_of(scene_now)
    lifted = frame_of(scene_now, seen_from=UP.inverse()).alone(ball.id)["accumulation"][:, 0]
    assert (lifted > 0.99).sum() > 10
    assert (frame.edited_ids()[lifted > 0.99] == ball.id).all()
    assert_close(frame.edited()[lifted == 0], plain.images()["rgb"][lifted == 0], 1e-3)


def test_an_object_is_taken_away_and_its_copy_stays(scene_now, frame_of, ball) -> None:
    """Only both could be hidden together. What is left is what a moved object leaves."""
    copied = Edit().copy(ball.id, UP)
    moved, itself = Edit().move(ball.id, UP), copied.hide_copy(ball.id, 0)
    assert itself.absent == {ball.id} and itself.standing == moved.places and itself.paint == moved.paint
    hidden = copied.hide_copy(ball.id, 1)
    for edit, like in ((itself, moved), (hidden, Edit())):
        assert_close(frame_of(scene_now.with_edit(edit)).edited(), frame_of(scene_now.with_edit(like)).edited(), 1e-6)


def test_a_click_means_no_hidden_copy(scene_now, ball) -> None:
    """The place is told by its box alone, and a hidden copy can be nearer than the one that is seen."""
    middle = torch.tensor(ball.box).mean(0)
    copied = Edit().copy(ball.id, Similarity(translation=(0.01, 0.0, 0.0)))
    assert nearest_place(scene_now.with_edit(copied), ball.id, middle) == 0
    assert nearest_place(scene_now.with_edit(copied.hide_copy(ball.id, 0)), ball.id, middle) == 1


def test_what_was_behind_a_moved_object_appears(scene_now, frame_of, ball) -> None:
    moved, hidden = scene_now.with_edit(Edit().move(ball.id, UP)), scene_now.with_edit(Edit().hide(ball.id))
    lifted = frame_of(scene_now, seen_from=UP.inverse()).alone(ball.id)["accumulation"][:, 0]
    assert_close(frame_of(moved).edited()[lifted == 0], frame_of(hidden).edited()[lifted == 0], 1e-5)


def test_an_object_behind_another_one_is_hidden(scene_now, frame_of, ball, run: Run) -> None:
    """Pushed away from the camera through the floor, the object is not seen; pulled towards it, it is."""
    camera = run.trainer.pipeline.datamanager.eval_dataset.cameras[0]
    away = torch.tensor(scene_now.bodies.solid(ball.id).centre) - camera.camera_to_worlds[:, 3].cpu()
    seen = []
    for share in (1.0, -0.4):
        x, y, z = (share * away).tolist()
        frame = frame_of(scene_now.with_edit(Edit().move(ball.id, Similarity(translation=(x, y, z)))))
        seen.append(int((frame.edited_ids() == ball.id).sum()))
    assert seen[0] < 5 and seen[1] > 100


def test_places_are_mixed_anew_without_looking_at_the_scene_again(scene_now, frame_of, ball, monkeypatch) -> None:
    """A drag asks the networks about the object alone."""
    from disconerf_ns.rendering import left
    from disconerf_ns.rendering import rays as tracing

    kept = frame_of(scene_now.with_edit(Edit().move(ball.id, UP)), keep=True)
    kept.edited()
    monkeypatch.setattr(tracing, "render_scene", None)
    monkeypatch.setattr(left, "sample_edited", None)
    further = scene_now.with_edit(Edit().move(ball.id, Similarity(translation=(0.1, 0.0, 0.3))))
    assert (kept.under(further).edited() - kept.edited()).abs().max() > 0.1
    painted = kept.scene.with_edit(kept.scene.edit.recolor(ball.id, Channels("brg")))
    frame = kept.under(painted)
    assert output_table(painted)["edited"].waiting(frame) == 0
    assert (frame.edited() - kept.edited()).abs().max() > 0.1


def test_a_preview_of_a_drag_is_close(scene_now, frame_of, ball) -> None:
    kept = frame_of(scene_now.with_edit(Edit().move(ball.id, UP)), keep=True)
    kept.edited()
    further = kept.under(scene_now.with_edit(Edit().move(ball.id, Similarity(translation=(0.0, 0.25, 0.3)))))
    preview = further.previewed(Preview(most=60)).edited()
    exact = further.edited()
    assert (preview - exact).abs().mean() < 0.5 * (kept.edited() - exact).abs().mean()
    every, (placed,) = Preview(most=10**6).place(kept.under(further.scene), 0), further.placed()
    assert torch.equal(every.rays, placed.rays) and torch.equal(every.density, placed.density)


def test_soft_extraction_moves_too(scene_now, frame_of, ball) -> None:
    soft = scene_now.with_options(extraction="soft").with_edit(Edit().move(ball.id, UP))
    hard = scene_now.with_edit(Edit().move(ball.id, UP))
    assert (frame_of(soft).edited() - frame_of(hard).edited()).abs().mean() < 0.03


def test_a_guest_of_another_scene(scene_now, frame_of, ball) -> None:
    """A guest looks as a copy of the object would, in its own scene's colours, and has an id above all others."""
    red = scene_now.with_edit(Edit().recolor(ball.id, (1.0, 0.0, 0.0)))
    hosting = replace(scene_now.with_edit(Edit().hide(ball.id)), guests=(Guest(red, ball.id, UP),))
    frame, moved = frame_of(hosting), frame_of(red.with_edit(red.edit.move(ball.id, UP)))
    guest = frame.edited_ids() == scene_now.ids
    assert guest.sum() > 20 and torch.equal(guest, moved.edited_ids() == ball.id)
    assert_close(frame.edited(), moved.edited(), 1e-5)
    assert hosting.repaints and not scene_now.repaints


def test_the_rest_of_a_tree_moves_with_the_object_that_it_is_in() -> None:
    """Slots 0 and 1 make object 3, slot 2 is alone: moved as a whole, both parts move at a finer cut."""
    tree = ObjectTree(3, (3, 3, -1, -1), (1.0, 1.0, 1.0, 0.7), (1.0,) * 4, (1,) * 4)
    fine = said_of_shown(Edit().move(3, UP).at(1.0), tree)
    assert fine.places == {0: (UP,), 1: (UP,)}
    assert said_of_shown(fine.at(0.5), tree).places == {3: (UP,)}


def test_hidden_copies_go_along_with_the_places_of_another_cut() -> None:
    tree = ObjectTree(3, (3, 3, -1, -1), (1.0, 1.0, 1.0, 0.7), (1.0,) * 4, (1,) * 4)
    fine = said_of_shown(Edit().copy(3, UP).hide_copy(3, 0).at(1.0), tree)
    assert fine.hidden_copies == {0: {0}, 1: {0}} and said_of_shown(fine.at(0.5), tree).hidden_copies == {3: {0}}
    assert said_of_shown(fine.move(0, UP, which=1).at(0.5), tree).hidden_copies == {0: {0}, 1: {0}}, (
        "not alike any more"
    )


def test_copies_are_hidden_and_shown_one_by_one() -> None:
    three = Edit().copy(1, UP).copy(1, UP, which=1)
    edit = three.hide_copy(1, 1)
    assert edit.seen_places(1) == [0, 2] and edit.standing_of(1) == (HERE, three.places[1][2])
    assert edit.show_copy(1, 1) == three and edit.show(1) == three and three.show_copy(1, 2) == three
    assert edit.hide(1) == three.hide(1), "an object that is hidden has no hidden copies"
    assert edit.hide_copy(1, 0).hide_copy(1, 2) == three.hide(1), "nor has one of which nothing is left"
    assert three.hide(1).show_copy(1, 2).seen_places(1) == [2]
    assert edit.drop(1, 0).seen_places(1) == [1] and edit.drop(1, 1) == three.drop(1, 1)
    assert edit.drop(1, 2).drop(1, 0) == Edit().place(1, three.places[1][1]).hide(1), "no hidden copy appears"
    assert edit.copy(1, UP).seen_places(1) == [0, 2, 3] and edit.move(1, UP).seen_places(1) == [0, 2]
    assert edit.place(1) == Edit() and edit.hide(1).place(1) == Edit().hide(1)
    assert edit.alike(1, [5]).hidden_copies == {1: {1}, 5: {1}} and Edit().alike(1, [5]) == Edit()
    assert three.alike(1, [5]).hide_copy(5, 0).alike(1, [5]).hidden_copies == {}


def test_moves_add_up_and_are_put_back() -> None:
    edit = Edit().move(1, UP).move(1, UP)
    assert edit.places[1][0].translation == pytest.approx((0, 0, 0.6)) and edit.absent == {1}
    assert edit.place(1) == Edit() and Edit().place(1, HERE) == Edit()
    copied = Edit().copy(1, UP)
    assert copied.places == {1: (HERE, UP)} and copied.absent == frozenset()
    assert copied.move(1, UP, which=1).places[1][1].translation == pytest.approx((0, 0, 0.6))


def test_an_edit_of_places_and_colours_survives_a_file(tmp_path: Path) -> None:
    moved = Similarity(2.0, TURN, (1.0, 2.0, 3.0))
    edit = Edit().copy(1, moved).recolor(0, Hue(40.0)).recolor(2, Channels("gbr")).recolor(1, (0.1, 0.2, 0.3))
    edit = edit.hide_copy(1, 0)
    edit.save(tmp_path / "edit.json")
    loaded = Edit.load(tmp_path / "edit.json", ObjectTree.flat(3))
    assert loaded.places[1][0] == HERE and loaded.places[1][1].close_to(moved)
    assert loaded.colors == edit.colors and loaded.hidden_copies == {1: {0}}


@pytest.mark.parametrize(
    ("copies", "said"),
    [
        ({"1": [2]}, "hides a copy that there is not"),
        ({"0": [1]}, "hides a copy that there is not"),
        ({"1": [0, 1]}, "hides an object and each of its copies alone; hide the object instead"),
        ({"9": [0]}, "about object 9"),
        ({"1": [-1]}, r"hidden_copies\.1\[0\] is -1, not from 0"),
        ({"1": 0}, "not a list"),
    ],
)
def test_hidden_copies_that_cannot_be(tmp_path: Path, copies, said: str) -> None:
    (tmp_path / "edit.json").write_text(json.dumps({"places": {"1": [{}, {"scale": 2}]}, "hidden_copies": copies}))
    with pytest.raises(UserError, match=said):
        Edit.load(tmp_path / "edit.json", ObjectTree.flat(3))


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({"1": {}}, r"places\.1 is an object of 0 entries, not a list"),
        ({"1": []}, "empty list of places"),
        ({"1": [{}] * 65}, "a list of 65, not a list of at most 64"),
        ({"9": [{}]}, "about object 9"),
        ({"1": [{"scale": -1}]}, "scale is -1, not from"),
    ],
)
def test_places_that_cannot_be(tmp_path: Path, places, said: str) -> None:
    (tmp_path / "edit.json").write_text(json.dumps({"places": places}))
    with pytest.raises(UserError, match=said):
        Edit.load(tmp_path / "edit.json", ObjectTree.flat(3))


def test_space_up_to_a_wall_is_seen_and_behind_it_is_not() -> None:
    """Rays from (-1, y, z) along x end at a wall at x = 0."""
    contraction = Contraction(torch.tensor([[-2.0] * 3, [2.0] * 3]), None)
    y, z = torch.meshgrid(torch.linspace(-0.5, 0.5, 80), torch.linspace(-0.5, 0.5, 80), indexing="ij")
    origins = torch.stack([torch.full_like(y, -1), y, z], -1).view(-1, 3)
    sight = SeenRays(
        origins, torch.tensor([1.0, 0, 0]).expand_as(origins), torch.ones(len(origins)), torch.ones(len(origins))
    )
    space = SeenSpace.of(sight, contraction)
    x = torch.linspace(-0.95, 0.95, 20)
    line = torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)], -1)
    assert space(line).tolist() == (x < 0.03).tolist()
    assert not space(torch.tensor([-0.5, 0.8, 0.0])) and not space(torch.full((3,), math.nan))


def test_what_comes_to_light_under_the_floor_is_unseen(scene_now, frame_of) -> None:
    """Without the floor a look from below shows what no photograph saw; photographs show what was seen."""
    assert scene_now.trained.seen_space is not None
    photograph = frame_of(scene_now, of="train_dataset")
    assert photograph.unseen().mean() < 0.1
    below = Similarity(rotation=(0.0, 1.0, 0.0, 0.0), translation=(0.0, 0.0, 0.1))
    assert frame_of(scene_now, seen_from=below).unseen().mean() > 0.3
    assert "unseen" in output_table(scene_now)
