"""Moves of a client's camera: where an object fills the picture, and the flight there."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
import viser
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.compat.viewer import SCALE
from disconerf_ns.scene.similarity import Similarity, Vector, vector
from disconerf_ns.viewer.boxes import DrawnBox

FLIGHT, FRAMES_PER_SECOND = 0.6, 30
"""Seconds of a camera's flight to an object, and its steps in a second."""
LEAST_AHEAD, STEP_FORWARD = 0.1, 0.05
"""Least distance from a photograph's camera to its middle, and the fraction of it that a new client stands ahead."""
WIDEST = math.radians(100)
"""Vertical angle of view of a window, at most."""
LEAST_HEIGHT = math.radians(20)
"""Angle above the ground from which an object is looked at, at least."""


def view_of(
    box: DrawnBox, position: Float[np.ndarray, "3"], fov: float
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """A place from which a box fills the picture, on the side where the camera is, and where to look from there.

    Args:
        position: of the camera, in scene coordinates.
        fov: vertical angle of view in radians.
    """
    away = position - box.centre
    ground = np.hypot(away[0], away[1])
    heading = away[:2] / ground if ground > 1e-6 else np.array([1.0, 0.0])
    height = max(math.atan2(away[2], ground), LEAST_HEIGHT)
    distance = 1.3 * float(np.linalg.norm(box.size)) / 2 / math.sin(fov / 2)
    back = np.array([*(heading * math.cos(height)), math.sin(height)])
    return box.centre + distance * back, box.centre


def fov_of(photograph: Cameras, aspect: float) -> float:
    """Vertical angle of view, in radians, in which a window holds all that a photograph shows.

    Args:
        photograph: n cameras with n = 1.
        aspect: width of the window over its height.
    """
    up, across = (float(side / 2 / focal) for side, focal in
                  ((photograph.height, photograph.fy), (photograph.width, photograph.fx)))  # fmt: skip
    return min(2 * math.atan(max(up, across / aspect)), WIDEST)


def look_as(client: viser.ClientHandle, photograph: Cameras) -> None:
    """Let a client look as a photograph does, from just in front of its picture in the 3D scene.

    Args:
        photograph: n cameras with n = 1, in scene coordinates.
    """
    pose = photograph.camera_to_worlds[0].double().numpy()
    position, forward = pose[:, 3], -pose[:, 2]
    ahead = max(float(-position @ forward), LEAST_AHEAD) * forward
    client.camera.position = SCALE * (position + STEP_FORWARD * ahead)
    client.camera.look_at = SCALE * (position + ahead)
    client.camera.fov = fov_of(photograph, client.camera.aspect)


def ray_through(camera: viser.CameraHandle, at: tuple[float, float]) -> tuple[Vector, Vector]:
    """Origin and direction, in scene coordinates, of the ray through a place of a client's picture.

    A click on a node of viser's 3D scene brings a ray too, but in viser 0.2.7 that is always the same.

    Args:
        at: from the left and from the top, in [0, 1].
    """
    up = math.tan(camera.fov / 2)
    x, y = (2 * part - 1 for part in at)
    w, i, j, k = (float(q) for q in camera.wxyz)
    ahead = torch.tensor([x * up * camera.aspect, y * up, 1.0], dtype=torch.float64)
    origin = torch.as_tensor(np.asarray(camera.position), dtype=torch.float64) / SCALE
    return vector(origin), vector(Similarity(rotation=(w, i, j, k)).directions(ahead))


def rightwards(camera: viser.CameraHandle) -> Vector:
    """Level unit vector, in scene coordinates, to the right of a client's picture; any, if that is straight up."""
    w, i, j, k = (float(q) for q in camera.wxyz)
    x, y, _ = vector(Similarity(rotation=(w, i, j, k)).directions(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)))
    level = math.hypot(x, y)
    return (x / level, y / level, 0.0) if level > 1e-3 else (1.0, 0.0, 0.0)


def fly(client: viser.ClientHandle, position: Float[np.ndarray, "3"], look_at: Float[np.ndarray, "3"]) -> None:
    """Move a client's camera smoothly, in viser's coordinates."""
    start, first = np.array(client.camera.position), np.array(client.camera.look_at)
    steps = max(int(FLIGHT * FRAMES_PER_SECOND), 1)
    for step in range(1, steps + 1):
        part = step / steps
        eased = part * part * (3 - 2 * part)
        client.camera.position = start + eased * (position - start)
        client.camera.look_at = first + eased * (look_at - first)
        time.sleep(1 / FRAMES_PER_SECOND)
