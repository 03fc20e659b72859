"""A small picture of an object alone, with transparency, from where a training camera saw it."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from disconerf_ns.filming.matte import in_bytes, write_png
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import unmixed
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import SceneObject

FILLS = 0.9
"""Fraction of the picture that the object fills."""
HAZE, SOLID = 0.2, 0.7
"""Opacity below which a pixel is empty, and from which on it is solid."""


def write_thumbnail(path: Path, scene: ArrangedScene, each: SceneObject, cameras: Cameras, size: int) -> Path:
    """Write a square RGBA picture of an object, as the edit colours it, without haze.

    Args:
        path: the PNG file.
        scene: the scene.
        each: the object; something of it is solid.
        cameras: the training cameras; the object is seen from the one in whose picture most of it is, and largest.
        size: height and width in pixels.
    """
    camera = close_up(scene.solid(each.id).points.cpu(), cameras, size).to(scene.trained.radiance.device)
    rays = camera.generate_rays(0, keep_shape=True)
    frame = Frame(scene, rays.flatten(), (size, size))
    alone = frame.alone(each.id)
    rgb, alpha = frame.image(alone["rgb"]), frame.image(alone["accumulation"])
    plain = unmixed(rgb, alpha, scene.options.background)
    clean = ((alpha - HAZE) / (SOLID - HAZE)).clamp(0, 1)
    write_png(path, in_bytes(torch.cat([plain, clean], -1).cpu().numpy()))
    return path


def close_up(points: Float[Tensor, "n 3"], cameras: Cameras, size: int) -> Cameras:
    """The training camera that sees points largest, turned to their middle, so that they fill a square picture."""
    cameras = cameras.to("cpu")
    places, turns = cameras.camera_to_worlds[:, :, 3], cameras.camera_to_worlds[:, :, :3]
    local = torch.einsum("npk,nkj->npj", points[None] - places[:, None], turns)
    ahead = local[..., 2] < 0
    across = (local[..., 0] / -local[..., 2]).abs() < cameras.width / (2 * cameras.fx)
    upwards = (local[..., 1] / -local[..., 2]).abs() < cameras.height / (2 * cameras.fy)
    size_of = (ahead & across & upwards).float().mean(-1) / local.norm(dim=-1).mean(-1).clamp(min=1e-3) ** 2
    place = places[int(size_of.argmax())]
    middle = (points.amin(0) + points.amax(0)) / 2
    back = torch.nn.functional.normalize(place - middle, dim=0)
    up = torch.tensor([0.0, 0.0, 1.0]) if abs(float(back[2])) < 0.99 else torch.tensor([0.0, 1.0, 0.0])
    right = torch.nn.functional.normalize(torch.linalg.cross(up, back), dim=0)
    turn = torch.stack([right, torch.linalg.cross(back, right), back], -1)
    seen = (points - place) @ turn
    reach = (seen[:, :2] / (-seen[:, 2:]).clamp(min=1e-3)).abs().amax().clamp(max=3)
    focal = FILLS * size / 2 / float(reach)
    pose = torch.cat([turn, place[:, None]], -1)[None]
    return Cameras(pose, fx=focal, fy=focal, cx=size / 2, cy=size / 2, width=size, height=size)
