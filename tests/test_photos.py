"""Photographs as bytes: what is drawn of them, and from where it is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.model_components.ray_generators import RayGenerator

from disconerf_ns.training import photos
from disconerf_ns.training.photos import Photos, RayDraws, read_photos

SIZES = ((4, 6), (3, 5), (2, 2))


def numbered(channels: int = 3) -> list[np.ndarray]:
    """Photographs of three sizes, whose pixels say which photograph, row and column they are."""
    images = []
    for number, (height, width) in enumerate(SIZES):
        y, x = np.mgrid[:height, :width]
        planes = [np.full_like(y, number), y, x, np.full_like(y, 255)][:channels]
        images.append(np.stack(planes, -1).astype(np.uint8))
    return images


def cameras() -> Cameras:
    poses = torch.eye(4)[None, :3].repeat(3, 1, 1)
    poses[:, :, 3] = torch.arange(9.0).view(3, 3)
    height, width = torch.tensor(SIZES).T[:, :, None]
    return Cameras(poses, fx=5.0, fy=4.0, cx=width / 2, cy=height / 2, width=width, height=height)


def test_colours_belong_to_their_pixels() -> None:
    indices, colours = Photos(numbered(), "cpu").draw(500)
    torch.testing.assert_close((colours * 255).round().long(), indices)


def test_every_pixel_is_drawn_as_often_as_every_other() -> None:
    torch.manual_seed(0)
    indices, _ = Photos(numbered(), "cpu").draw(43_000)
    counts = np.unique(indices.numpy(), axis=0, return_counts=True)[1]
    assert len(counts) == 43 and abs(counts - 1000).max() < 5 * 1000**0.5


def test_only_pixels_that_teach_are_drawn() -> None:
    taught = [torch.zeros(size, dtype=torch.bool) for size in SIZES]
    taught[0][1, 2] = taught[2][0, 1] = True
    indices, _ = Photos(numbered(), "cpu", taught=taught).draw(100)
    assert {tuple(index) for index in indices.tolist()} == {(0, 1, 2), (2, 0, 1)}


def test_alpha_is_blended_with_the_colour_behind_or_kept() -> None:
    image = np.array([[[255, 0, 102, 51]]], np.uint8)
    behind = torch.tensor([0.5, 1.0, 0.0])
    torch.testing.assert_close(Photos([image], "cpu", behind).draw(1)[1], torch.tensor([[0.6, 0.8, 0.08]]))
    torch.testing.assert_close(Photos([image], "cpu").draw(1)[1], torch.tensor([[1, 0, 0.4, 0.2]]))


def test_photographs_without_alpha_beside_others_are_opaque() -> None:
    mixed = [numbered(3)[0], numbered(4)[1]]
    assert (Photos(mixed, "cpu").draw(50)[1][:, 3] == 1).all()


def test_rays_are_nerfstudios_for_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "RAYS_AT_ONCE", 50)
    draws = RayDraws(Photos(numbered(), "cpu"), cameras())
    for count in (20, 20, 20, 7):  # the third does not fit into what was drawn, the last has another size
        rays, batch = draws.take(count)
        expected = RayGenerator(cameras())(batch["indices"])
        assert len(rays) == len(batch["image"]) == count
        for own, other in zip(
            (rays.origins, rays.directions, rays.camera_indices),
            (expected.origins, expected.directions, expected.camera_indices),
        ):
            torch.testing.assert_close(own, other)


def test_batches_of_one_draw_share_no_pixel_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(photos, "RAYS_AT_ONCE", 64)
    draws = RayDraws(Photos(numbered(), "cpu"), cameras())
    first, second = (draws.take(32)[1]["indices"] for _ in range(2))
    assert not torch.equal(first, second)


def test_photographs_are_read_in_order() -> None:
    assert [int(image[0, 0, 0]) for image in read_photos(lambda index: numbered()[index], 3)] == [0, 1, 2]
