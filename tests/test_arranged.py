"""The arranged scene as a value: another edit makes another scene, which takes over what is still valid."""

from __future__ import annotations

import threading
from dataclasses import FrozenInstanceError, replace
from unittest.mock import Mock

import pytest
import torch
from tiny_run import Run

from disconerf_ns.scene import arrangement
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.similarity import Similarity


def test_a_scene_does_not_change(scene_now: ArrangedScene) -> None:
    with pytest.raises(FrozenInstanceError):
        scene_now.edit = Edit()
    first = scene_now.objects[0]
    hidden = scene_now.with_edit(Edit().hide(first.id).rename(first.id, "floor"))
    assert scene_now.edit == Edit() and scene_now.objects[0].title == ""
    assert hidden.find("floor").id == hidden.find(first.name).id == first.id


def test_colours_and_names_leave_what_takes_long_as_it_is(scene_now: ArrangedScene, monkeypatch) -> None:
    id = scene_now.objects[1].id
    occupancy, parts = scene_now.bodies.occupancy(id), scene_now.parts(id)
    painted = scene_now.with_edit(Edit().recolor(id, (1.0, 0.0, 0.0)).rename(id, "ball").hide(scene_now.objects[0].id))
    assert painted.bodies.occupancy(id) is occupancy and painted.parts(id) is parts
    assert painted.with_options(min_confidence=0.5).bodies.occupancy(id) is occupancy


def test_objects_are_arranged_anew_only_where_they_look_different(scene_now: ArrangedScene) -> None:
    """Of 10,000 clicks on *hide* each arranged the objects, which took most of the time of a click."""
    first, second = (each.id for each in scene_now.objects[:2])
    lists = scene_now.objects, scene_now.all_objects, scene_now.by_id
    moved = scene_now.with_edit(Edit().hide(first).move(second, Similarity(translation=(1.0, 0.0, 0.0))))
    assert all(now is before for now, before in zip((moved.objects, moved.all_objects, moved.by_id), lists))
    changes = Edit().rename(first, "floor"), Edit().recolor(first, (1.0, 0.0, 0.0)), Edit().merge([first], second)
    for edit in changes:
        changed = moved.with_edit(edit)
        afresh = replace(scene_now, edit=edit)
        assert changed.objects == afresh.objects != scene_now.objects and changed.by_id == afresh.by_id
        assert changed.all_objects == afresh.all_objects
        assert changed.with_edit(Edit()).objects == scene_now.objects


def test_merging_and_splitting_change_who_owns_and_nothing_of_the_parts(scene_now: ArrangedScene) -> None:
    one, other = (each.id for each in scene_now.objects[1:3])
    occupancy, parts = scene_now.bodies.occupancy(one), scene_now.parts(one)
    for edit in (Edit().merge([other], one), Edit().divide(one, 2)):
        changed = scene_now.with_edit(edit)
        assert changed.ownership != scene_now.ownership
        assert changed.bodies.occupancy(one) is not occupancy and changed.parts(one) is parts
    soft = scene_now.with_options(extraction="soft")
    assert soft.ownership != scene_now.ownership and soft.parts(one) is not parts
    assert scene_now.bodies.occupancy(one) is occupancy


def test_a_merged_object_is_made_of_all_its_slots(scene_now: ArrangedScene, halves) -> None:
    one, other, third = (each.id for each in scene_now.objects[:3])
    merged = scene_now.with_edit(Edit().merge([other], one)).by_id[one]
    assert merged.slots == {one, other} and merged.whole
    scene_now._parts.clear()
    divided = scene_now.with_edit(Edit().divide(third, 2))
    pieces = [each for each in divided.objects if each.slots == {third}]
    assert len(pieces) == 2 and not any(piece.whole for piece in pieces)
    assert [piece.id for piece in pieces] == [third, scene_now.trained.slots]
    scene_now._parts.clear()


def test_training_on_keeps_the_edit(scene_now: ArrangedScene, run: Run) -> None:
    """New objects that training discovers come under the edit that a person made meanwhile."""
    model, first = run.trainer.pipeline.model, scene_now.objects[0]
    try:
        model.current.replace(lambda scene: scene.with_edit(Edit().rename(first.id, "floor")))
        before = model.current.value
        model.set_objects(list(scene_now.trained.discovered[::-1]))
        after = model.current.value
        assert after.trained is not before.trained and after.edit is before.edit
        assert after.find("floor").name == f"object_{scene_now.counted - 1:02d}"
    finally:
        model.set_objects(list(scene_now.trained.discovered))
        model.current.replace(lambda scene: scene.with_edit(Edit()))


def test_the_last_piece_of_a_split_has_all_parts_that_are_left(scene_now: ArrangedScene) -> None:
    """It had the points of all of them, and the box and the share of its first alone."""
    each, edit = scene_now.objects[1], Edit().divide(scene_now.objects[1].id, 2)
    boxes = torch.tensor([[[low] * 3, [low + 1] * 3] for low in (0.0, 2.0, 4.0)])
    parts = Mock(shares=(0.5, 0.3, 0.2), box=boxes.__getitem__)
    first, second = arrangement._pieces(each, edit, len(scene_now.trained.tree), lambda id: parts)
    assert (first.share, second.share) == pytest.approx((0.5 * each.share, 0.5 * each.share))
    assert first.box == ((0.0,) * 3, (1.0,) * 3) and second.box == ((2.0,) * 3, (5.0,) * 3)


def test_a_split_into_more_parts_than_there_are_makes_no_phantom(scene_now: ArrangedScene) -> None:
    slot = scene_now.objects[1].id
    parts = len(scene_now.parts(slot))
    divided = scene_now.with_edit(Edit().divide(slot, parts + 3))
    assert len([each for each in divided.objects if each.slots == {slot}]) == parts
    assert all(each.share > 0 for each in divided.objects)


def test_an_edit_of_objects_that_are_gone_changes_nothing(scene_now: ArrangedScene) -> None:
    """Training discovers objects anew: one that was split, or merged into, may rule too little by then."""
    kept = tuple(scene_now.trained.discovered[1:])
    gone, first, second = scene_now.trained.discovered[0].node, kept[0].node, kept[1].node
    fewer = scene_now.with_trained(replace(scene_now.trained, discovered=kept))
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
    plain = fewer.probabilities(points)
    split = fewer.with_edit(Edit().divide(gone, 3))
    assert split.objects == fewer.objects
    assert torch.equal(split.probabilities(points)[:, : plain.shape[1]], plain)
    merged = fewer.with_edit(Edit().merge([first], gone))
    assert merged.objects == fewer.objects and torch.equal(merged.probabilities(points), plain)
    assert fewer.with_edit(Edit().merge([gone, first], second)).by_id[second].slots == {first, second}


def test_threads_that_draw_different_scenes_do_not_wait_for_each_other(scene_now, run: Run, monkeypatch) -> None:
    """One computes a split's parts and waits for the networks; the other one has them, and reads its own objects."""
    split, plain = (scene_now.with_edit(edit) for edit in (Edit().divide(scene_now.objects[0].id, 2), Edit().hide(0)))
    split.__dict__["_parts"].clear()
    waits, parts = threading.Event(), ArrangedScene.parts
    monkeypatch.setattr(ArrangedScene, "parts", lambda scene, slot: waits.set() or parts(scene, slot))
    with run.trainer.pipeline.model.still():
        other = threading.Thread(target=lambda: split.objects, daemon=True)
        other.start()
        assert waits.wait(20)
        mine = threading.Thread(target=lambda: plain.objects, daemon=True)
        mine.start()
        mine.join(5)
        assert not mine.is_alive()
    other.join(20)
    assert not other.is_alive()


def test_no_change_of_another_thread_is_lost(scene_now: ArrangedScene) -> None:
    current = CurrentScene(scene_now)

    def hide(ids: range) -> None:
        for id in ids:
            current.replace(lambda scene, id=id: scene.with_edit(scene.edit.hide(id)))

    threads = [threading.Thread(target=hide, args=(range(start, start + 100),)) for start in range(0, 800, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert current.value.edit.hidden == set(range(800))
