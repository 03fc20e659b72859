"""Scores of label maps: nobody's surface, parts, what lies outside, islands; all worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.scoring import Truth, islands, outside, read_truth, score_maps, score_masks, uncovered
from disconerf_ns.evaluation.views import View
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore

TRUE = np.array([[1, 1, 2, 2], [3, 3, 3, 0]])
"""Objects 1 and 2; 3 is a sheet that masks never cover; 0 counts nowhere."""


def test_what_is_predicted_on_nobodys_surface_is_wrong() -> None:
    """Object 5 covers all of 1 and one pixel of the sheet: IoU 2 / 3, Dice 4 / 5; object 6 is 2: both 1."""
    found = np.array([[5, 5, 6, 6], [5, 0, 0, 5]])
    scores = score_maps([found], Truth([TRUE], frozenset([3])))
    assert scores["scene"]["IoU"] == scores["views"]["IoU"] == pytest.approx((2 / 3 + 1) / 2)
    assert scores["scene"]["BD"] == scores["scene"]["BD (truth)"] == pytest.approx((4 / 5 + 1) / 2)
    assert outside([found], Truth([TRUE], frozenset([3]))) == pytest.approx(1 / 5)


def test_a_segment_on_nobodys_surface_alone_matches_nothing() -> None:
    found = np.array([[5, 5, 6, 6], [7, 7, 7, 0]])
    nobody, somebody = (score_maps([found], Truth([TRUE], labels))["scene"] for labels in (frozenset([3]), frozenset()))
    assert nobody["BD"] == pytest.approx(2 / 3) and nobody["BD (truth)"] == nobody["IoU"] == 1
    assert somebody["BD"] == somebody["IoU"] == 1


def test_nothing_predicted_is_nothing_outside() -> None:
    assert outside([TRUE * 0], Truth([TRUE], frozenset([3]))) == 0
    assert outside([TRUE], Truth([TRUE])) == 0


def test_a_label_means_one_object_in_all_views_of_the_scene() -> None:
    """Views are right one by one, but their labels are swapped: of each object half is found in the scene."""
    found, swapped = np.where(TRUE == 3, 0, TRUE), np.where(TRUE == 3, 0, 3 - TRUE) * (TRUE > 0)
    scores = score_maps([found, swapped], Truth([TRUE, TRUE], frozenset([3])))
    assert scores["views"]["IoU"] == 1 and scores["scene"]["IoU"] == pytest.approx(1 / 3)


def test_islands_are_pieces_away_from_the_own_object() -> None:
    """Label 5 is object 1: a piece of 4 pixels lies on object 2, one of 3 is too small, one touches object 1."""
    true, found = np.ones((8, 12), int), np.zeros((8, 12), int)
    true[:, 6:] = 2
    found[:, :4] = 5
    found[0:2, 8:10] = 5
    found[4, 8:11] = 5
    assert islands([found], Truth([true])) == 1
    found[7, 4:9] = 5
    assert islands([found], Truth([true])) == 1
    assert islands([found], Truth([np.where(true == 2, 0, 1)])) == 0
    assert islands([found * 0], Truth([true])) == 0


def test_masks_are_scored_without_nobody(tmp_path: Path) -> None:
    view = View("test", 0, "a", tmp_path / "a.png", 2, 4)
    store = MaskStore.create(tmp_path / "masks", {"generator": "noisy", "parameters": {"uncovered": [3]}})
    store.save("a", ImageMasks.from_arrays(np.stack([TRUE == 1, TRUE == 2, TRUE == 3])))
    assert uncovered(store) == [3]
    assert uncovered(MaskStore.create(tmp_path / "others", {"generator": "exact"})) == []
    nobody = score_masks(store, [view], Truth([TRUE], frozenset([3])))
    assert nobody["IoU"] == 1 and nobody["BD"] == pytest.approx(2 / 3)


def test_parts_of_nobodys_objects_are_nobodys(tmp_path: Path) -> None:
    for folder, true in (("labels", TRUE), ("parts", TRUE + (TRUE > 0))):
        (tmp_path / folder).mkdir()
        Image.fromarray(true.astype(np.uint16)).save(tmp_path / folder / "a.png")
    objects = [{"label": 1}, {"label": 2}, {"label": 3}]
    parts = [{"label": 2, "object": 1}, {"label": 3, "object": 2}, {"label": 4, "object": 3}]
    for folder, entries in (("labels", objects), ("parts", parts)):
        (tmp_path / folder / "labels.json").write_text(json.dumps({"void": 0, "objects": entries}))
    Image.fromarray(np.zeros((2, 4, 3), np.uint8)).save(tmp_path / "a.png")
    views = [View("test", 0, "a", tmp_path / "a.png", 2, 4)]
    assert read_truth(tmp_path, "labels", views, [3]).nobody == {3}
    assert read_truth(tmp_path, "parts", views, [3]).nobody == {4}
    assert read_truth(tmp_path, "parts", views).nobody == frozenset()
    assert np.array_equal(read_truth(tmp_path, "labels", views).maps[0], TRUE)
