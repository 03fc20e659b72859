"""Coarser rays go through the centres of the very pixels that masks and labels are sampled at."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import assert_close
from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.datamanager import DiscoNerfDataManager
from disconerf_ns.masks.image_masks import resample, sampled
from disconerf_ns.surface.rays import sampled_rays

WIDTH, HEIGHT, FOCAL = 24, 18, 20.0


@pytest.fixture
def cameras() -> Cameras:
    pose = torch.eye(4)[None, :3].repeat(2, 1, 1)
    pose[1, 0, 3] = 5.0
    return Cameras(pose, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)


@pytest.mark.parametrize("size", [(18, 24), (9, 12), (6, 8), (7, 10), (1, 1)])
def test_rays_meet_the_pixels_that_are_sampled(cameras: Cameras, size: tuple[int, int]) -> None:
    rows, columns = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij")
    rays = sampled_rays(cameras, 1, *size)
    assert rays.shape == size
    assert_close(rays.origins[0, 0], torch.tensor([5.0, 0.0, 0.0]))
    direction = rays.directions / -rays.directions[..., 2:]
    x = (direction[..., 0] * FOCAL + WIDTH / 2).numpy()
    y = (-direction[..., 1] * FOCAL + HEIGHT / 2).numpy()
    assert np.abs(x - (resample(columns, *size) + 0.5)).max() < 1e-4
    assert np.abs(y - (resample(rows, *size) + 0.5)).max() < 1e-4


@pytest.mark.parametrize(("pixels", "count"), [(24, 24), (24, 12), (24, 7), (7, 24), (5, 1)])
def test_sampled_pixels_hold_the_middles_of_equal_parts(pixels: int, count: int) -> None:
    assert sampled(pixels, count).tolist() == [int((i + 0.5) * pixels / count) for i in range(count)]


def view_size(limits_rays: bool, surface_rays: int, views: int = 279) -> tuple[int, int]:
    """Rows and columns of a view of the reference scene in the object stage."""
    config = SimpleNamespace(view_pixels=405_000, surface_rays=surface_rays)
    about = {"config": config, "limits_rays": limits_rays, "train_dataset": range(views)}
    return DiscoNerfDataManager.view_size(SimpleNamespace(**about, _image_size=lambda index: (519, 779)), 0)


def test_a_budget_of_rays_is_shared_by_all_views_and_only_where_masks_are_matched_once() -> None:
    # 30 million / 279 = 107,527 pixels of each view; 519 * 779 = 404,301, so the scale is sqrt(0.26596) = 0.51571
    assert view_size(True, 30_000_000) == (268, 402)
    assert view_size(True, 30_000_000, views=60) == (519, 779), "a scene of 24 million pixels is whole"
    assert view_size(False, 30_000_000) == (519, 779)
