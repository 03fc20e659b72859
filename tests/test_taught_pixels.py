"""The object stage looks at the pixels that nerfstudio teaches the radiance field, and at no others."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scene import write_scene
from tiny_run import tiny_config

from disconerf_ns.datamanager import DiscoNerfDataManager
from disconerf_ns.errors import UserError
from disconerf_ns.surface.samples import SurfaceSamples

RADIUS = 15.0
WIDTH, HEIGHT = 48, 36


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Photographs of a fisheye camera whose picture is a disk on black."""
    data = write_scene(tmp_path / "balls", views=3, width=WIDTH, height=HEIGHT)
    rewrite(data, camera_model="OPENCV_FISHEYE", k1=0.01, k2=0.002, k3=0.0, k4=0.0, fisheye_crop_radius=RADIUS)
    return data


def rewrite(data: Path, **changes) -> None:
    path = data / "transforms.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def ignore(data: Path, mask: Image.Image) -> None:
    mask.save(data / "ignore.png")
    frames = json.loads((data / "transforms.json").read_text())["frames"]
    rewrite(data, frames=[{**frame, "mask_path": "ignore.png"} for frame in frames])


def datamanager_of(data: Path, downscale: int = 1, **options) -> DiscoNerfDataManager:
    config = tiny_config(data, data / "out").pipeline.datamanager
    config.view_pixels, config.dataparser.downscale_factor = 10**6, downscale
    for name, value in options.items():
        setattr(config, name, value)
    return config.setup(device="cpu", test_mode="val")


def valid(datamanager: DiscoNerfDataManager) -> torch.Tensor:
    return datamanager.view_masks(0).valid.view(datamanager.view_size(0))


def halved(data: Path) -> Path:
    (data / "images_2").mkdir()
    for path in (data / "images").iterdir():
        Image.open(path).resize((WIDTH // 2, HEIGHT // 2)).save(data / "images_2" / path.name)
    return data


@pytest.mark.parametrize("options", [{}, {"camera_res_scale_factor": 0.5}, {"downscale": 2}, {"view_pixels": 500}])
def test_pixels_outside_a_fisheyes_radius_are_not_valid(data: Path, options: dict) -> None:
    """The fraction of a disk in the picture, pi r^2 / (w h), however the photographs are made smaller."""
    datamanager = datamanager_of(halved(data), **options)
    shown = valid(datamanager)
    assert float(shown.float().mean()) == pytest.approx(math.pi * RADIUS**2 / (WIDTH * HEIGHT), abs=0.03)
    height, width = shown.shape
    assert shown[height // 2, width // 2] and not shown[0].any() and not shown[:, 0].any()


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_rays_of_the_radiance_field_stay_within_the_radius(data: Path, scale: float) -> None:
    """nerfstudio draws points and takes their pixels, whose centres lie up to half a diagonal further out."""
    datamanager = datamanager_of(data, camera_res_scale_factor=scale)
    _, y, x = datamanager.next_train(0)[1]["indices"].T
    away = torch.hypot(x + 0.5 - scale * WIDTH / 2, y + 0.5 - scale * HEIGHT / 2)
    assert scale * RADIUS - 2 < away.max() < scale * RADIUS + math.sqrt(0.5)


def test_a_mask_and_a_radius_hold_both(data: Path) -> None:
    ignore(data, Image.fromarray(np.tile(np.arange(WIDTH) < WIDTH // 2, (HEIGHT, 1))))
    shown = valid(datamanager_of(data))
    assert shown[:, : WIDTH // 2].any() and not shown[:, WIDTH // 2 :].any() and not shown[0].any()


def test_a_mask_that_the_sampler_ignores_is_ignored(data: Path) -> None:
    rewrite(data, camera_model="OPENCV", fisheye_crop_radius=None)
    ignore(data, Image.fromarray(np.tile(np.arange(WIDTH) < WIDTH // 2, (HEIGHT, 1))))
    config = tiny_config(data, data / "out").pipeline.datamanager
    config.pixel_sampler.ignore_mask = True
    assert valid(config.setup(device="cpu", test_mode="val")).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "I", "I;16", "F"])
def test_masks_of_every_mode_that_nerfstudio_reads(data: Path, mode: str) -> None:
    rewrite(data, fisheye_crop_radius=1000.0)
    half = Image.fromarray((np.arange(WIDTH) < WIDTH // 2).astype(np.uint8)[None].repeat(HEIGHT, 0))
    mask = half.point(lambda value: value * 255).convert("1") if mode == "1" else half.convert(mode)
    mask.save(data / "ignore.tif")
    frames = json.loads((data / "transforms.json").read_text())["frames"]
    rewrite(data, frames=[{**frame, "mask_path": "ignore.tif"} for frame in frames])
    shown = valid(datamanager_of(data))
    assert shown[:, : WIDTH // 2].all() and not shown[:, WIDTH // 2 :].any()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_masks_that_nerfstudio_cannot_read_are_one_sentence(data: Path, mode: str) -> None:
    ignore(data, Image.new(mode, (WIDTH, HEIGHT)))
    with pytest.raises(UserError, match=rf"ignore\.png has pixels of mode {mode}, .*save it in grey"):
        datamanager_of(data)


def test_masks_of_another_size_and_missing_ones_are_one_sentence(data: Path) -> None:
    ignore(data, Image.new("L", (WIDTH, HEIGHT - 1), 255))
    with pytest.raises(UserError, match=r"ignore\.png is 48 x 35, but its photograph .* is 48 x 36"):
        datamanager_of(data)
    (data / "ignore.png").unlink()
    with pytest.raises(UserError, match=r"ignore\.png cannot be read"):
        datamanager_of(data)


def test_the_middle_of_a_fisheye_that_has_no_ray(data: Path) -> None:
    """At the principal point nerfstudio divides 0 by 0; with its centre on a pixel's, this is one pixel a view."""
    rewrite(data, cx=WIDTH / 2 + 0.5, cy=HEIGHT / 2 + 0.5, fisheye_crop_radius=1.0, k1=0.0, k2=0.0)
    datamanager = datamanager_of(data)
    middle = datamanager.view_rays(0).directions.view(HEIGHT, WIDTH, 3)[HEIGHT // 2, WIDTH // 2]
    assert middle.isnan().any() and not valid(datamanager)[HEIGHT // 2, WIDTH // 2]
    for step in range(3):
        rays, batch = datamanager.next_train(step)
        assert rays.directions.isfinite().all() and len(rays) == len(batch["image"]) == len(batch["indices"])


def test_rays_that_are_not_numbers_see_nothing() -> None:
    points = torch.full((4, 2, 3), 0.25)
    points[1, 0, 2], points[2, 1, 0] = torch.nan, torch.inf
    packed = SurfaceSamples.pack(points, torch.tensor([1.0, 1.0, 1.0, torch.nan]))
    assert packed.accumulation.tolist() == [1, 0, 0, 0] and packed.solid.tolist() == [True, False, False, False]
    assert packed.positions.isfinite().all() and ((packed.positions >= 0) & (packed.positions <= 1)).all()


def test_no_surface_is_seen_where_no_photograph_taught_anything(data: Path) -> None:
    trainer = tiny_config(data, data / "out", iterations=4).setup(local_rank=0, world_size=1)
    trainer.setup()
    rim = ~trainer.pipeline.datamanager.taught(0)
    surface = trainer.pipeline.object_stage.sample_surface(0)
    assert rim.float().mean() > 0.5 and not surface.accumulation[rim].any() and surface.accumulation[~rim].all()
