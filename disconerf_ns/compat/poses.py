"""Poses and intrinsics that are no numbers, which nerfstudio trains with to the end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.errors import UserError
from disconerf_ns.masks.frames import frames_of, lists_of, pose_of


def check_poses(cameras: Cameras, images: Sequence[Path], data: Path) -> None:
    """Refuse cameras whose pose, focal lengths or principal point are not finite.

    Args:
        cameras: one of each image.
        images: the images.
        data: the dataset. One broken pose breaks all where nerfstudio centres the scene, so the frame that it comes
            from is looked up in the files that list the photographs.
    Raises:
        UserError: names the image.
    """
    parts = cameras.camera_to_worlds.flatten(1), cameras.fx, cameras.fy, cameras.cx, cameras.cy
    broken = [image for index, image in enumerate(images) if not all(part[index].isfinite().all() for part in parts)]
    if broken:
        listed = (frames_of(path).items() for path in lists_of(data))
        named = next((name for name, frame in chain.from_iterable(listed) if pose_of(frame) is None), broken[0])
        raise UserError(
            f"images: the pose or the focal length of {named} is not finite; mend its entry in {data}, or leave the "
            "photograph out."
        )
