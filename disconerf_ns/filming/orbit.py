"""Cameras on a circle around a thing that stands upright, as near as the fullest picture allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from disconerf_ns.scene.similarity import Similarity

FIELD_OF_VIEW = math.radians(40)
"""Vertical and horizontal angle of the square picture."""
FILL = 0.8
"""Fraction of the picture's width or height that the thing fills in the fullest picture."""
STEEPEST = math.radians(75)
"""Largest angle of the cameras above or below the thing."""


def look_at(positions: Float[Tensor, "cameras 3"], target: Float[Tensor, "3"]) -> Float[Tensor, "cameras 3 4"]:
    """Camera-to-world matrices (OpenGL) of cameras that look at a point, z being up in their pictures."""
    back = torch.nn.functional.normalize(positions - target, dim=-1)
    right = torch.stack([-back[:, 1], back[:, 0], torch.zeros(len(back))], -1)
    right = torch.nn.functional.normalize(right, dim=-1)
    return torch.stack([right, torch.linalg.cross(back, right), back, positions], -1)


def moved_poses(place: Similarity, poses: Float[Tensor, "cameras 3 4"]) -> Float[Tensor, "cameras 3 4"]:
    """Camera-to-world matrices that see what a similarity moved as the given ones saw it before."""
    turned = place.directions(poses[..., :3].mT).mT
    return torch.cat([turned, place.points(poses[..., 3])[..., None]], -1)


def square(poses: Float[Tensor, "cameras 3 4"], size: int, fov: float = FIELD_OF_VIEW) -> Cameras:
    """Cameras of square pictures of `size` pixels and an angle of view in radians."""
    focal = size / 2 / math.tan(fov / 2)
    return Cameras(poses, fx=focal, fy=focal, cx=size / 2, cy=size / 2, width=size, height=size)


def view_angle(cameras: Cameras) -> float:
    """Vertical angle of view of the first of some cameras, in radians."""
    return 2 * math.atan(float(cameras.height[0] / 2 / cameras.fy[0]))


def full_turn(count: int) -> Float[Tensor, "count"]:
    """So many angles that divide a full turn evenly, in radians."""
    return torch.arange(count) / count * 2 * math.pi


def directions(azimuths: Float[Tensor, "cameras"], elevation: float) -> Float[Tensor, "cameras 3"]:
    """Unit vectors at angles about the vertical, and at one angle above the horizon, in radians."""
    height = torch.full_like(azimuths, math.sin(elevation))
    return torch.stack([azimuths.cos() * math.cos(elevation), azimuths.sin() * math.cos(elevation), height], -1)


def hull(points: Float[Tensor, "n 3"]) -> Float[Tensor, "corners 3"]:
    """The corners of the convex hull of points, which lie as far out in every picture as the points do."""
    points = points.cpu()
    try:
        return points[torch.from_numpy(ConvexHull(points.double().numpy()).vertices.astype(np.int64))]
    except QhullError:  # they are few, or in one plane
        return points


def framed(
    corners: Float[Tensor, "corners 3"],
    away: Float[Tensor, "cameras 3"],
    fov: float = FIELD_OF_VIEW,
) -> tuple[Float[Tensor, "3"], float]:
    """Find where cameras look and how far away they stand: a convex thing then fills FILL of the fullest picture.

    The wider the thing is in its widest picture, the farther the cameras; what they look at is moved up or down until
    as much room is left above as below.

    Args:
        corners: the thing's, in scene coordinates.
        away: unit vectors from the thing to the cameras.
        fov: angle of view of the square pictures in radians.
    Returns:
        The point that all cameras look at, and their distance to it.
    """
    low, high = corners.amin(0), corners.amax(0)
    centre, radius = (low + high) / 2, max(float((high - low).norm()) / 2, 1e-6)
    distance, half = 4 * radius, math.tan(fov / 2)
    for _ in range(30):
        rotation = look_at(centre + away, centre)[:, :, :3]
        x, y, z = ((corners - centre) @ rotation).unbind(-1)
        depth = (distance - z).clamp(min=1e-3 * distance)
        across, up = x / depth, y / depth
        fullest = float(torch.stack([over.amax(1) - over.amin(1) for over in (across, up)]).max())
        upright = float(rotation[:, 2, 1].mean())
        centre = centre + torch.tensor([0.0, 0.0, 1.0]) * (up.amax() + up.amin()) / 2 * distance / max(upright, 0.25)
        distance = max(distance * (fullest / (2 * half * FILL)) ** 0.7, float(z.max()) + 0.2 * radius)
    return centre, distance


def elevation_of(positions: Float[Tensor, "cameras 3"], centre: Float[Tensor, "3"]) -> float:
    """The middle one of the angles, in radians, at which cameras are above a point's horizon."""
    away = torch.nn.functional.normalize(positions - centre, dim=-1)
    return float(away[:, 2].asin().median().clamp(-STEEPEST, STEEPEST))


@dataclass(frozen=True)
class Circle:
    """A level circle, from which cameras look at a point on its axis."""

    target: Float[Tensor, "3"]
    """The point that all cameras look at."""
    distance: float
    elevation: float
    """Angle above the point's horizon, in radians."""

    @classmethod
    def around(
        cls, corners: Float[Tensor, "corners 3"], azimuths: Float[Tensor, "cameras"], elevation: float
    ) -> Circle:
        """The circle around a convex thing on which the fullest picture, of those at some angles, is full."""
        target, distance = framed(corners, directions(azimuths, elevation))
        return cls(target, distance, elevation)

    def places(self, azimuths: Float[Tensor, "places"]) -> Float[Tensor, "places 3"]:
        """Places on it, by their angles about the vertical."""
        return self.target + self.distance * directions(azimuths, self.elevation)

    def cameras(self, azimuths: Float[Tensor, "cameras"], size: int) -> Cameras:
        """Cameras of square pictures of `size` pixels on it, by their angles about the vertical."""
        return square(look_at(self.places(azimuths), self.target), size)
