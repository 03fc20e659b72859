"""A camera that circles an object, and the frames that it sees."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from disconerf_ns.pipeline import DiscoNerfPipeline

FIELD_OF_VIEW = math.radians(40)
"""Vertical and horizontal angle of the square picture."""


def orbit(
    box: Float[Tensor, "2 3"], positions: Float[Tensor, "cameras 3"], frames: int, size: int, start: float = 0.0
) -> Cameras:
    """Cameras on a circle around a box, at the height angle and at most the distance of the photographs.

    Args:
        box: axis-aligned box in scene coordinates, z up.
        positions: where the photographs were taken from.
        frames: number of cameras on the circle.
        size: side of the square pictures in pixels.
        start: angle of the first camera in radians.
    """
    centre, radius = box.mean(0), (box[1] - box[0]).norm() / 2
    away = positions - centre
    distances = away.norm(dim=-1)
    height = torch.asin((away[:, 2] / distances).clamp(-1, 1)).median()
    distance = torch.minimum(radius / math.sin(FIELD_OF_VIEW / 2), distances.median())
    angles = start + torch.arange(frames) / frames * 2 * math.pi
    back = torch.stack([angles.cos() * height.cos(), angles.sin() * height.cos(), height.sin().expand(frames)], -1)
    right = torch.stack([-angles.sin(), angles.cos(), torch.zeros(frames)], -1)
    poses = torch.stack([right, torch.linalg.cross(back, right), back, centre + distance * back], -1)
    focal = size / 2 / math.tan(FIELD_OF_VIEW / 2)
    return Cameras(poses, fx=focal, fy=focal, cx=size / 2, cy=size / 2, width=size, height=size)


def film_object(
    pipeline: DiscoNerfPipeline, number: int, frames: int, size: int
) -> Iterator[Float[Tensor, "size size 3"]]:
    """The frames of a turntable around one object, alone on the background colour.

    Args:
        pipeline: a loaded or trained run.
        number: number of the object, as in `object_07`.
        frames: frames of one turn.
        size: side of the square frames in pixels.
    """
    box = pipeline.model.object_boxes[number].cpu()
    positions = pipeline.datamanager.train_dataset.cameras.camera_to_worlds[:, :, 3].cpu()
    cameras = orbit(box, positions, frames, size).to(pipeline.device)
    for frame in range(frames):
        yield pipeline.model.get_outputs_for_camera(cameras[frame : frame + 1])[f"object_{number:02d}"].cpu()
