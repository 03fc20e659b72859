"""Cameras of the viewer's pictures: which see the same, at one size or at two, and a smaller one."""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from nerfstudio.cameras.cameras import Cameras

GLIMPSE = 4096
"""About the most rays, without a GPU, of a picture that nerfstudio does not interrupt. It takes pictures that are at
hand for fast ones, and then asks for as many as a sharp picture has."""


def glimpsed(camera: Cameras) -> Cameras:
    """A camera that sees the same in a picture of about `GLIMPSE` rays at most."""
    height, width = int(camera.height), int(camera.width)
    rows = int(height * math.sqrt(GLIMPSE / (height * width)))
    if rows >= height:
        return camera
    smaller = deepcopy(camera)
    smaller.rescale_output_resolution(rows / height, scale_rounding_mode="round")
    return smaller


def same_camera(kept: Cameras, camera: Cameras) -> bool:
    """Whether two cameras see the same, to the last digit."""
    names = "camera_to_worlds", "camera_type", "fx", "fy", "cx", "cy", "width", "height"
    return all(torch.equal(getattr(kept, name), getattr(camera, name)) for name in names)


def same_view(kept: Cameras, camera: Cameras) -> bool:
    """Whether two cameras see about the same at two sizes, whose focal lengths the viewer rounds differently."""
    return (
        torch.equal(kept.camera_to_worlds, camera.camera_to_worlds)
        and torch.equal(kept.camera_type, camera.camera_type)
        and abs(float(kept.fy / kept.height) / float(camera.fy / camera.height) - 1) < 0.01
        and abs(float(kept.width / kept.height) / float(camera.width / camera.height) - 1) < 0.05
    )
