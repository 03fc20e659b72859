"""What is behind a thing is completed, also where its box is large because the radiance field lets few rays through."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_behind import FLOOR, JUNK, PLATE, WHITE, floating, where_the_junk_is

from disconerf_ns.export.exporter import boxed_around
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.bodies import WIDE, fenced
from disconerf_ns.scene.edit import Edit

FAR = ((-9.0,) * 3, (9.0,) * 3)


@pytest.fixture(scope="module")
def scene() -> ArrangedScene:
    """A plate above a floor; some rays found it far away, so its box is as large as the scene."""
    scene = floating(True)
    floor, plate = scene.trained.discovered
    return scene.with_trained(replace(scene.trained, discovered=(floor, replace(plate, box=FAR))))


def test_far_points_do_not_count_in_the_box_in_which_a_thing_hides_something() -> None:
    """The middle half of a unit cube has sides of 1/2; beyond it, and half a unit around it, nothing counts."""
    points = torch.rand(4001, 3, generator=torch.Generator().manual_seed(0))
    points[:900] *= 100  # less than a quarter
    points[900:1000] *= -100
    low, high = fenced(points)
    assert ((low < 0) & (low > -0.6)).all() and ((high > 1) & (high < 2.2)).all()


def test_a_thing_with_a_large_box_hides_where_most_of_it_was_seen(scene: ArrangedScene) -> None:
    box = scene.bodies.hides(PLATE)
    assert box is not None
    low, high = torch.tensor(box)
    assert (low[:2] < -0.4).all() and (high[:2] > 0.4).all() and float((high - low).max()) < WIDE / 2
    assert scene.bodies.hides(FLOOR) is None, "it surrounds the photographs, which were taken above it"
    assert scene.with_options(complete=False).bodies.hides(PLATE) is None


def test_a_thing_with_a_large_box_does_not_surround_the_cameras(scene: ArrangedScene) -> None:
    """Five of a capture's eighteen objects had no files, three of them because of few rays that ended far behind."""
    places = torch.tensor([[0.3, 0.2, 2.0], [-0.5, 0.4, 2.5]])
    low, high = torch.tensor(FAR)
    assert ((places > low) & (places < high)).all()
    assert PLATE not in boxed_around(scene, places)
    middle = torch.tensor(scene.bodies.mostly(PLATE)).mean(0, keepdim=True)
    assert PLATE in boxed_around(scene, middle), "a camera in it would be surrounded"
    unknown = scene.with_trained(replace(scene.trained, training_rays=None))
    assert unknown.bodies.mostly(PLATE) == FAR, "no ray tells otherwise"


def test_without_a_thing_whose_box_is_large_the_floor_is_seen_below_it(scene: ArrangedScene) -> None:
    """A bookshelf was removed, of which one ray of ten ended far behind the wall: the wall had a white hole."""
    without = scene.with_trained(scene.trained).with_edit(Edit().hide(PLATE))
    assert not without.reveals_at_once and not without.bodies.hides_at_hand(PLATE), "a preview waits for no rays"
    assert len(without.gone_boxes) == 1 and not without.reveals_at_once
    shown = where_the_junk_is(without)
    assert ((shown - WHITE).abs().amax(-1) < 0.15).float().mean() > 0.9
    assert ((shown - JUNK).abs().amax(-1) < 0.15).float().mean() < 0.05
    assert without.reveals_at_once
