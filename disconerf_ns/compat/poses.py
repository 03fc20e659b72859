"""Poses and intrinsics that are no numbers, which nerfstudio trains with to the end."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.errors import UserError


def check_poses(cameras: Cameras, images: Sequence[Path], data: Path) -> None:
    """Refuse cameras whose pose, focal lengths or principal point are not finite.

    Args:
        cameras: one of each image.
        images: the images.
        data: the dataset. One broken pose breaks all where nerfstudio centres the scene, so the frame that it comes
            from is looked up in a transforms.json.
    Raises:
        UserError: names the image.
    """
    parts = cameras.camera_to_worlds.flatten(1), cameras.fx, cameras.fy, cameras.cx, cameras.cy
    broken = [image for index, image in enumerate(images) if not all(part[index].isfinite().all() for part in parts)]
    if broken:
        named = _frame_with_a_broken_pose(data / "transforms.json") or broken[0]
        raise UserError(
            f"images: the pose or the focal length of {named} is not finite; mend its entry in {data}, or leave the "
            "photograph out."
        )


def _frame_with_a_broken_pose(transforms: Path) -> str | None:
    try:
        frames = json.loads(transforms.read_text())["frames"]
        return next((frame["file_path"] for frame in frames if not _finite(frame["transform_matrix"])), None)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _finite(value: Any) -> bool:
    return all(map(_finite, value)) if isinstance(value, list) else math.isfinite(value)
