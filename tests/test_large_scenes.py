"""Many views: what their memory is said to be, and the benchmark that measures it, at a small size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_run import Run

from benchmarks.large_scene import LargeScene, made_pipeline, measure, picture
from disconerf_ns import datamanager, object_stage
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.surface.thinning import one_in
from disconerf_ns.training.devices import Devices
from disconerf_ns.training.memory_estimate import Budgets, MemoryEstimate, estimate_memory
from disconerf_ns.training.scene_rays import LEAST_RAYS

AMPLE = Budgets(2**40, 2**40)


def test_needs_by_hand() -> None:
    """Two views of 800 and 1600 pixels with 9 and 3 masks; a third of the rays is searched.

    A ray has 6 bytes for each of 2 points and 2 for its accumulation, so 14, and 2 bytes of masks where it is drawn.
    Masks stay decoded in 9 * 100 + 3 * 200 bytes, and one byte for each pixel. The search has (9 * 800 + 3 * 1600) / 3
    = 4000 entries of masks, each 7 times, and 2400 / 3 * 2 / 12 = 400 / 3 cells, whose pairs have 8 numbers.
    """
    found = estimate_memory([800, 1600], [9, 3], 2, 800, AMPLE, Devices())
    assert found == MemoryEstimate(14 * 2400, 1500 + 2400, 16 * 2400, round(4 * 7 * 4000 + 4 * 8 * (400 / 3) ** 2))
    halved = estimate_memory([800, 1600], [9, 3], 2, 800, AMPLE, Devices(1, 2))
    assert halved == MemoryEstimate(14 * 1200, (1500 + 2400) // 2, 16 * 1200, found.discovery)


def test_needs_keep_to_budgets() -> None:
    """Each view has LEAST_RAYS rays: of 8 views with room for the rays of 2, every fourth ray is drawn."""
    budgets = Budgets(2 * 14 * LEAST_RAYS, 1000)
    found = estimate_memory([LEAST_RAYS] * 8, [8] * 8, 2, 1000, budgets._replace(masks=2 * LEAST_RAYS), Devices())
    assert found.drawn == 2 * LEAST_RAYS * (14 + 1) and found.masks == 2 * LEAST_RAYS


def test_the_search_is_bounded_however_many_views_there_are() -> None:
    """Of twice the views, half as many rays of each are searched."""
    few, many = (
        estimate_memory([15_000] * views, [60] * views, 2, 500_000, AMPLE, Devices()) for views in (1000, 2000)
    )
    assert few.discovery == pytest.approx(many.discovery, rel=0.02) and few.discovery < 2 * 2**30


def test_a_made_picture_shows_spheres_on_a_plane() -> None:
    shown = picture(3, 30, 40)
    plane = shown.label < 0
    assert 0.2 < float(plane.float().mean()) < 0.9
    assert shown.points[plane][:, 2].abs().max() < 1e-6 and shown.points[~plane][:, 2].min() > 0
    again = picture(3, 60, 80)
    coarse = again.label.view(60, 80)[::2, ::2].flatten()
    assert float((coarse == shown.label).float().mean()) > 0.9, "the same view at every size"


def test_each_view_is_named_once_however_many_there_are(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The surface of a view named all views, so of 3,000 views they were named for minutes."""
    pipeline, named = run.trainer.pipeline, []
    monkeypatch.setattr(datamanager, "image_key", lambda image, data: named.append(image) or image.stem)
    vars(pipeline.datamanager).pop("train_keys", None)
    for view in pipeline.datamanager.views:
        pipeline.object_stage.sample_surface(view)
    vars(pipeline.datamanager).pop("train_keys", None)
    assert len(named) == len(pipeline.datamanager.views) == 14


def test_a_large_scene_goes_through_the_run_s_own_object_stage(capsys: pytest.CaptureFixture) -> None:
    torch.manual_seed(0)
    row = measure(LargeScene(height=240, width=360, masks=12, scale=10, iterations=1), views=6)
    assert row["views"] == 6 and 6 < row["masks_per_view"] <= 12 and row["slots"] > 1
    assert row["said_mib"]["surface"] == pytest.approx(6 * 24 * 36 * 14 / 2**20)
    assert all(spent >= 0 for spent in row["seconds"].values()) and row["peak_mib"] > 0


@pytest.mark.parametrize(("stride", "pixels"), [(1, 7), (3, 0), (3, 1), (3, 9), (3, 10), (50, 10)])
def test_one_pixel_of_every_run_is_kept(stride: int, pixels: int) -> None:
    kept = one_in(stride, pixels, seed=1)
    assert (kept // stride).tolist() == list(range(-(-pixels // stride))) and (kept < pixels).all()
    assert kept.equal(one_in(stride, pixels, seed=1))


def test_thinned_views_are_seen_in_all_their_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every thirtieth pixel of a view 90 pixels wide lay in one of 3 columns; the masks elsewhere told nothing."""
    views, rows, columns, stride = 2, 60, 90, 30
    pipeline = made_pipeline(LargeScene(height=rows, width=columns, masks=3), views, tmp_path)
    rays, stage = views * rows * columns, pipeline.object_stage
    column = torch.arange(columns, dtype=torch.int16).repeat(rows)
    stage.surfaces = [SurfaceSamples(column[:, None, None].expand(-1, 2, 3), torch.ones(len(column)).half())] * views
    stage.config = replace(stage.config, consensus_rays=rays // stride)
    searched = stage._thinned_views(stage.config.consensus_rays)
    monkeypatch.setattr(object_stage, "SEEN_RAYS", rays // stride)
    listed: list[SurfaceSamples] = []
    monkeypatch.setattr(object_stage, "discover", lambda field, surfaces, *_, **__: listed.extend(surfaces) or [])
    stage.discover_objects()
    for of_view in [*(surface for surface, _ in searched), *listed]:
        assert len(of_view) == rows * columns // stride and len(of_view.packed[:, 0, 0].unique()) > 0.8 * columns
    assert len(searched) == len(listed) == views
