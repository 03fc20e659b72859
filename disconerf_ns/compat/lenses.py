"""Projection of points into the pictures of nerfstudio's cameras; `Cameras` gives the rays of pixels alone.

With x, y, z the coordinates of a point in a camera's frame (right, up, back), a lens maps it to (u, v), and the pixel
is (cx + fx u, cy - fy v). Distortion is left out, and so is the distance between a stereo camera's eyes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor

FAR = 100.0
"""Distance, in scene units, from which a pinhole camera's rays are as good as parallel."""
TINY = 1e-6
Lens = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _pinhole(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    ahead = (-z).clamp(min=TINY)
    return x / ahead, y / ahead


def _fisheye(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """The angle from the axis is the distance from the middle of the picture."""
    aside = x.hypot(y).clamp(min=TINY)
    angle = torch.atan2(aside, -z)
    return x / aside * angle, y / aside * angle


def _equirectangular(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Longitude and latitude, in units of pi."""
    return torch.atan2(x, -z) / math.pi, torch.atan2(y, x.hypot(z)) / math.pi


def _half_turn(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """The same, with half of the turn in all of the picture's width."""
    longitude, latitude = _equirectangular(x, y, z)
    return 2 * longitude, latitude


def _parallel(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    return x, y


LENSES: dict[int, Lens] = {
    CameraType.PERSPECTIVE.value: _pinhole,
    CameraType.FISHEYE.value: _fisheye,
    CameraType.FISHEYE624.value: _fisheye,
    CameraType.EQUIRECTANGULAR.value: _equirectangular,
    CameraType.OMNIDIRECTIONALSTEREO_L.value: _equirectangular,
    CameraType.OMNIDIRECTIONALSTEREO_R.value: _equirectangular,
    CameraType.VR180_L.value: _half_turn,
    CameraType.VR180_R.value: _half_turn,
    CameraType.ORTHOPHOTO.value: _parallel,
}
FROM_AHEAD = CameraType.PERSPECTIVE.value, CameraType.ORTHOPHOTO.value
"""Types of cameras that see nothing behind their place."""


def projected(
    cameras: Cameras, points: Float[Tensor, "points 3"]
) -> tuple[Float[Tensor, "points cameras"], Float[Tensor, "points cameras"], Bool[Tensor, "points cameras"]]:
    """Project points into the pictures of cameras.

    Args:
        cameras: n of them.
        points: in the cameras' world coordinates.
    Returns:
        Pixels from the left and from the top, and whether a point is inside of the picture.
    """
    poses = cameras.camera_to_worlds.to(points)
    rotation, position = poses[..., :3], poses[..., 3]
    x, y, z = torch.einsum("cij,cpi->pcj", rotation, points[None] - position[:, None]).unbind(-1)
    kinds = cameras.camera_type[:, 0].tolist()
    places = [LENSES[kind](x[:, n], y[:, n], z[:, n]) for n, kind in enumerate(kinds)]
    u, v = (torch.stack(column, 1) for column in zip(*places))
    fx, fy, cx, cy, width, height = (
        getattr(cameras, name)[:, 0].to(points) for name in ("fx", "fy", "cx", "cy", "width", "height")
    )
    right, low = cx + fx * u, cy - fy * v
    all_around = torch.tensor([kind not in FROM_AHEAD for kind in kinds], device=points.device)
    inside = (right > 0) & (right < width) & (low > 0) & (low < height)
    return right, low, inside & (all_around | (z < 0))


def origins(cameras: Cameras, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points cameras 3"]:
    """Origins of the rays on which cameras see points.

    The rays of most cameras start at the camera's place; those of an orthophoto start on its plane, below each point.

    Args:
        cameras: n of them.
        points: in the cameras' world coordinates.
    """
    poses = cameras.camera_to_worlds.to(points)
    places, back = poses[..., 3], poses[..., 2]
    ahead = ((places - points[:, None]) * back).sum(-1, keepdim=True)
    parallel = cameras.camera_type == CameraType.ORTHOPHOTO.value
    return torch.where(parallel.to(points.device), points[:, None] + ahead * back, places)


def pinholes(camera: Cameras) -> Iterator[Cameras]:
    """Pinhole cameras that together look wherever a camera, n = 1, does.

    A pinhole camera is one itself. An orthophoto's looks from afar, and those of others at the faces of a cube.
    """
    kind, pose = int(camera.camera_type), camera.camera_to_worlds
    if kind == CameraType.PERSPECTIVE.value:
        yield camera
        return
    perspective = torch.full_like(camera.camera_type, CameraType.PERSPECTIVE.value)
    if kind == CameraType.ORTHOPHOTO.value:
        behind = torch.cat([pose[..., :3], pose[..., 3:] + FAR * pose[..., 2:3]], -1)
        yield replace(camera, camera_to_worlds=behind, fx=FAR * camera.fx, fy=FAR * camera.fy, camera_type=perspective)
        return
    one, axes = torch.ones_like(camera.fx), torch.eye(3).to(pose)
    for axis, side in product(range(3), (-1, 1)):
        back, right = side * axes[axis], axes[axis - 1]
        turn = torch.stack([right, torch.linalg.cross(back, right), back], -1)
        face = torch.cat([pose[..., :3] @ turn, pose[..., 3:]], -1)
        yield Cameras(face, fx=one, fy=one, cx=one, cy=one, width=2, height=2)
