"""Camera paths that belong to the photographs or to a file: the training path, interpolation, spiral, nerfstudio's."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from nerfstudio.cameras.camera_paths import get_interpolated_camera_path, get_path_from_json
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from disconerf_ns.errors import reason
from disconerf_ns.filming.orbit import look_at
from disconerf_ns.small_json import small_json
from disconerf_ns.spacing import spread

LONGEST, LARGEST_SIDE = 1e6, 16_384
"""Seconds of a film, and pixels of a frame's side, at most."""
CHAIN = 4
"""Photographs between which the camera sways to and fro."""
GOOD = 0.5
"""Share, of what the best photograph sees, that the others of a chain see at least."""
SPIRAL_RADIUS, TURNS = 0.12, 2
"""Radius of a spiral as a fraction of the distance to what it looks at, and its turns."""


def even(side: float | int) -> int:
    """A side of a film's pictures in pixels: H.264 drops a last odd row or column, and all formats show the same."""
    return 2 * max(round(side / 2), 1)


def in_size(cameras: Cameras, resolution: int | None) -> Cameras:
    """Give all cameras pictures of one size: the first camera's, or one whose shorter side has `resolution` pixels.

    Both sides become even.
    """
    height, width = (int(side[0]) for side in (cameras.height, cameras.width))
    scale = 1 if resolution is None else resolution / min(height, width)
    height, width = even(scale * height), even(scale * width)
    each = height / cameras.height
    return replace(
        cameras,
        fx=cameras.fx * each,
        fy=cameras.fy * each,
        cx=width / 2 + (cameras.cx - cameras.width / 2) * each,
        cy=cameras.cy * each,
        width=torch.full_like(cameras.width, width),
        height=torch.full_like(cameras.height, height),
    )


def path_of_file(path: Path) -> tuple[Cameras, float | None]:
    """The cameras of a camera path that nerfstudio's viewer saved, and its length in seconds if it says so.

    Raises:
        UserError: the file cannot be read, or is no camera path.
    """
    with small_json(path, "a camera path", "save one in the tab Render of nerfstudio's viewer.") as content:
        seconds = content.get("seconds", 0)
        length = None if seconds.content is None else seconds.number(0, LONGEST) or None
        for side in ("render_height", "render_width"):
            content[side].whole(1, LARGEST_SIDE)
        content.get("camera_type", "perspective").text()
        cameras = content["camera_path"].list()
        if not cameras:
            raise ValueError("its camera_path is empty")
        for camera in cameras:
            camera["camera_to_world"].numbers(16)
            camera.get("fov", 50).number(1e-3, 179)
            camera.get("render_time", 0).number()
        try:
            return get_path_from_json(content.content), length
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(f"{type(error).__name__}: {reason(error)}") from error


def interpolated(cameras: Cameras, phases: Float[Tensor, "frames"], order: bool) -> Cameras:
    """Cameras between the given ones, at phases from 0, the first one, to 1, the last one.

    Args:
        order: whether they are put in an order in which each is followed by the nearest of those that are left.
    """
    if len(cameras) == 1:
        return cameras[torch.zeros(len(phases), dtype=torch.long)]
    dense = get_interpolated_camera_path(cameras.to("cpu"), steps=max(len(phases), 2), order_poses=order)
    chosen = dense[(phases * (len(dense) - 1)).round().long()]
    return replace(chosen, width=cameras.width[:1].cpu().expand(len(phases), 1),
                           height=cameras.height[:1].cpu().expand(len(phases), 1))  # fmt: skip


def evenly(cameras: Cameras, frames: int | None) -> Cameras:
    """So many of some cameras, spread evenly from the first to the last; None for all."""
    if frames is None:
        return cameras
    return cameras[torch.tensor(spread(len(cameras), frames))]


def to_and_fro(frames: int) -> Float[Tensor, "frames"]:
    """Phases in [0, 1] of a movement that starts slowly at 0, turns at 1 and ends at 0, so that it can be repeated."""
    return (1 - (torch.arange(frames) / frames * 2 * math.pi).cos()) / 2


def chain(cameras: Cameras, seen: Float[Tensor, "cameras"], count: int = CHAIN) -> list[int]:
    """Photographs that see a thing well: the best one, then again and again the nearest of the good ones.

    Args:
        seen: how much of the thing each sees.
    """
    positions = cameras.camera_to_worlds[..., 3].cpu()
    good = set((seen >= GOOD * seen.max()).nonzero()[:, 0].tolist())
    order = [int(seen.argmax())]
    while len(order) < min(count, len(good)):
        left = sorted(good - set(order))
        order.append(left[int((positions[left] - positions[order[-1]]).norm(dim=-1).argmin())])
    return order


def spiral(camera: Cameras, target: Float[Tensor, "3"], frames: int) -> Cameras:
    """Cameras on a spiral in the plane of one camera's picture that goes out and back, all looking at a point."""
    pose = camera.camera_to_worlds[0].cpu()
    phase = torch.arange(frames) / frames
    angle, radius = 2 * math.pi * TURNS * phase, SPIRAL_RADIUS * (pose[:, 3] - target).norm() * (math.pi * phase).sin()
    offsets = radius[:, None] * (angle.cos()[:, None] * pose[:, 0] + angle.sin()[:, None] * pose[:, 1])
    repeated = camera[torch.zeros(frames, dtype=torch.long)]
    return replace(repeated, camera_to_worlds=look_at(pose[:, 3] + offsets, target))
