"""Things with a reach as large as the scene, because the radiance field lets the light of few rays through."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_behind import FLOOR, JUNK, PLATE, WHITE, floating, where_the_junk_is

from disconerf_ns.export.exporter import boxed_around
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import Box

FAR = ((-9.0,) * 3, (9.0,) * 3)


def changed(scene: ArrangedScene, **boxes: Box) -> ArrangedScene:
    """The scene with other boxes of the plate."""
    floor, plate = scene.trained.discovered
    return scene.with_trained(replace(scene.trained, discovered=(floor, replace(plate, **boxes))))


@pytest.fixture(scope="module")
def scene() -> ArrangedScene:
    """A plate above a floor; some rays found it far away."""
    return changed(floating(True), reach=FAR)


WALL = ((-2.0, 1.8, 0.0), (2.0, 2.0, 2.5))
SHELF = ((-0.5, 1.6, 0.0), (0.5, 2.0, 1.8))


@pytest.mark.parametrize(("box", "reach", "surrounds"), [
    (FAR, FAR, True),
    (WALL, FAR, True),
    (SHELF, FAR, False),
    (WALL, WALL, False),
])  # fmt: skip
def test_what_surrounds_a_scene_reaches_far_and_is_beside_the_cameras(
    scene: ArrangedScene, box: Box, reach: Box, surrounds: bool
) -> None:
    """The cameras stand in a circle of radius 2 around the middle."""
    other = changed(scene, box=box, reach=reach)
    assert (PLATE in other.bodies.surrounding) == surrounds
    assert other.bodies.boxes[PLATE] == (reach if surrounds else box)
    unknown = other.with_trained(replace(other.trained, camera_positions=None))
    assert (PLATE in unknown.bodies.surrounding) == (reach == FAR), "where the cameras are not known"


def test_a_thing_is_looked_for_in_its_box_and_owns_what_is_in_its_reach(scene: ArrangedScene) -> None:
    assert scene.bodies.surrounding == {FLOOR}
    near = floating(True)
    assert scene.bodies.solid(PLATE).volume == near.bodies.solid(PLATE).volume > 0
    assert torch.equal(scene.bodies.occupancy(PLATE).box, near.bodies.occupancy(PLATE).box)
    beyond, plates = torch.tensor([[0.0, 0.0, 0.1]]), torch.tensor([[0.01, 0.99]])
    own = replace(scene.trained, object_field=lambda x: plates.expand(len(x), 2))
    assert scene.with_trained(own).owners(beyond).item() == PLATE
    assert near.with_trained(replace(near.trained, object_field=own.object_field)).owners(beyond).item() == FLOOR


def test_a_thing_with_a_large_reach_does_not_surround_the_cameras(scene: ArrangedScene) -> None:
    """Five of a capture's eighteen objects had no files, three of them because of few rays that ended far behind."""
    places = torch.tensor([[0.3, 0.2, 2.0], [-0.5, 0.4, 2.5]])
    low, high = torch.tensor(FAR)
    assert ((places > low) & (places < high)).all()
    assert PLATE not in boxed_around(scene, places)
    middle = torch.tensor(scene.by_id[PLATE].box).mean(0, keepdim=True)
    assert PLATE in boxed_around(scene, middle), "a camera in it would be surrounded"


def test_without_a_thing_whose_reach_is_large_the_floor_is_seen_below_it(scene: ArrangedScene) -> None:
    """A bookshelf was removed, of which one ray of ten ended far behind the wall: the wall had a white hole."""
    without = scene.with_trained(scene.trained).with_edit(Edit().hide(PLATE))
    assert len(without.gone_boxes) == 1 and not without.reveals_at_once, "a preview waits for no rays"
    shown = where_the_junk_is(without)
    assert ((shown - WHITE).abs().amax(-1) < 0.15).float().mean() > 0.9
    assert ((shown - JUNK).abs().amax(-1) < 0.15).float().mean() < 0.05
    assert without.reveals_at_once
