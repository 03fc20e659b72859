"""Where points lie in pictures, beside nerfstudio's rays through these pixels, for every kind of camera."""

from __future__ import annotations

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor
from torch.nn.functional import normalize

from disconerf_ns.compat.lenses import LENSES, origins, pinholes, projected
from disconerf_ns.scene.similarity import Similarity

KINDS = {
    CameraType.PERSPECTIVE: 60.0,
    CameraType.FISHEYE: 25.0,
    CameraType.FISHEYE624: 40.0,
    CameraType.EQUIRECTANGULAR: 48.0,
    CameraType.ORTHOPHOTO: 60.0,
}
"""Focal length in pixels, of a picture of 96 x 48, of kinds of cameras with one eye."""


def camera_of(kind: CameraType) -> Cameras:
    """A camera of a kind somewhere, turned somehow."""
    pose = Similarity(rotation=(0.5, -0.1, 0.7, 0.5), translation=(0.3, -0.2, 0.5)).matrix[:3].float()
    turn = torch.linalg.qr(pose[:, :3])[0]
    turn = turn * torch.linalg.det(turn)
    focal, pose = KINDS[kind], torch.cat([turn, pose[:, 3:]], -1)
    distortion = torch.zeros(12) if kind is CameraType.FISHEYE624 else None
    return Cameras(pose[None], focal, focal, 48.0, 24.0, 96, 48, distortion, camera_type=kind)


def looked_at(camera: Cameras) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixels (row, column), and origins and unit directions of their rays, with a point on each."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(200, 2, generator=generator) * torch.tensor([46.0, 94.0]) + 1
    rays = camera.generate_rays(torch.zeros(200, 1, dtype=torch.long), coords=pixels)
    points = rays.origins + rays.directions * (0.2 + 2 * torch.rand(200, 1, generator=generator))
    return pixels, rays.origins, rays.directions, points


@pytest.mark.parametrize("kind", KINDS)
def test_points_on_the_ray_of_a_pixel_lie_in_this_pixel(kind: CameraType) -> None:
    camera = camera_of(kind)
    pixels, starts, _, points = looked_at(camera)
    right, low, inside = projected(camera, points)
    torch.testing.assert_close(torch.stack([low[:, 0], right[:, 0]], -1), pixels, atol=0.01, rtol=0)
    assert inside.all()
    torch.testing.assert_close(origins(camera, points)[:, 0], starts, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_pinholes_look_wherever_a_camera_does(kind: CameraType) -> None:
    camera = camera_of(kind)
    _, _, directions, points = looked_at(camera)
    looked = torch.zeros(len(points), dtype=torch.bool)
    for pinhole in pinholes(camera):
        inside = projected(pinhole, points)[2][:, 0]
        along = normalize(points - pinhole.camera_to_worlds[0, :, 3], dim=-1)
        torch.testing.assert_close(along[inside], directions[inside], atol=0.02, rtol=0)
        looked |= inside
    assert looked.all()


@pytest.mark.parametrize("kind", [CameraType.PERSPECTIVE, CameraType.ORTHOPHOTO])
def test_what_is_behind_a_camera_is_in_no_picture(kind: CameraType) -> None:
    camera = camera_of(kind)
    _, starts, directions, _ = looked_at(camera)
    assert not projected(camera, starts - directions)[2].any()


def test_all_cameras_of_nerfstudio_have_a_lens() -> None:
    assert {kind.value for kind in CameraType} == LENSES.keys()


def test_cameras_of_several_kinds_are_projected_together() -> None:
    several = [camera_of(kind) for kind in KINDS if kind is not CameraType.FISHEYE624]
    points = looked_at(several[0])[3]
    columns = ("camera_to_worlds", "fx", "fy", "cx", "cy", "width", "height", "camera_type")
    together = Cameras(**{name: torch.cat([getattr(each, name) for each in several]) for name in columns})
    for found, *alone in zip(projected(together, points), *(projected(each, points) for each in several)):
        assert torch.equal(found, torch.cat(alone, 1))
