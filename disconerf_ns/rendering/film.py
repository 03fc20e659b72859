"""A camera that circles an object, and the frames that it sees."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from jaxtyping import Float, Shaped
from nerfstudio.cameras.camera_utils import focus_of_attention
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from disconerf_ns.rendering.frame import Frame
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId

FIELD_OF_VIEW = math.radians(40)
"""Vertical and horizontal angle of the square picture."""


def orbit(box: Float[Tensor, "2 3"], poses: Float[Tensor, "cameras 3 4"], frames: int, size: int) -> Cameras:
    """Cameras on a circle around a box, at the height angle and at most the distance of the photographs.

    Of a box that reaches beyond the photographs, such as the background's, the part between them is circled.

    Args:
        box: axis-aligned box in scene coordinates, z up.
        poses: camera-to-world matrices of the photographs.
        frames: number of cameras on the circle.
        size: side of the square pictures in pixels.
    """
    positions = poses[:, :, 3]
    focus = focus_of_attention(poses, positions.mean(0))
    reach = (positions - focus).norm(dim=-1).median()
    box = torch.stack([box[0].clamp(focus - reach, focus + reach), box[1].clamp(focus - reach, focus + reach)])
    centre, radius = box.mean(0), (box[1] - box[0]).norm() / 2
    away = positions - centre
    distances = away.norm(dim=-1)
    height = torch.asin((away[:, 2] / distances).clamp(-1, 1)).median()
    distance = torch.minimum(radius / math.sin(FIELD_OF_VIEW / 2), distances.median())
    start = centre + distance * torch.stack([height.cos(), torch.zeros(()), height.sin()])
    return circle(centre, start, frames, size, FIELD_OF_VIEW)


def circle(centre: Float[Tensor, "3"], start: Float[Tensor, "3"], frames: int, size: int, fov: float) -> Cameras:
    """Cameras on a circle about the vertical through a point, all looking at it.

    Args:
        centre: what they look at, in scene coordinates, z up.
        start: where the first camera is.
        frames: number of cameras.
        size: side of the square pictures in pixels.
        fov: their angle of view in radians.
    """
    away = start - centre
    distance, height = away.norm(), torch.asin((away[2] / away.norm()).clamp(-0.999, 0.999))
    angles = torch.atan2(away[1], away[0]) + torch.arange(frames) / frames * 2 * math.pi
    back = torch.stack([angles.cos() * height.cos(), angles.sin() * height.cos(), height.sin().expand(frames)], -1)
    right = torch.stack([-angles.sin(), angles.cos(), torch.zeros(frames)], -1)
    poses = torch.stack([right, torch.linalg.cross(back, right), back, centre + distance * back], -1)
    focal = size / 2 / math.tan(fov / 2)
    return Cameras(poses, fx=focal, fy=focal, cx=size / 2, cy=size / 2, width=size, height=size)


def write_film(path: Path, frames: Shaped[np.ndarray, "frames height width 3"], fps: int) -> None:
    """Write a video of RGB frames, whole or not at all.

    Args:
        path: an .mp4 file, which is replaced if it exists.
        frames: bytes, or floats in [0, 1].
        fps: frames per second.
    """
    import mediapy

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid4().hex}.part{path.suffix}")
    try:
        mediapy.write_video(part, frames, fps=fps)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def film(scene: ArrangedScene, cameras: Cameras, id: ObjectId) -> Iterator[Float[Tensor, "height width 3"]]:
    """The frames of one object, alone on the background colour and as the scene's edit colours it.

    Args:
        scene: the scene; a later edit does not change the film.
        cameras: one camera per frame.
        id: the object.
    """
    for number in range(len(cameras)):
        rays = cameras[number : number + 1].to(scene.trained.radiance.device).generate_rays(0, keep_shape=True)
        frame = Frame(scene, rays.flatten(), tuple(rays.origins.shape[:2]))
        yield frame.image(frame.alone(id)["rgb"]).cpu()
