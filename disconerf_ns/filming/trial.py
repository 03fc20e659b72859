"""Small trial pictures around an object, which find the points of it that can be seen from outside."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from disconerf_ns.filming.orbit import directions, framed, hull, look_at, square
from disconerf_ns.rendering.alone import object_images
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.clean import Body
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.surface.samples import SOLID

PICTURES, SIZE = 8, 64
"""Trial pictures on a circle around the object, and their side in pixels."""


def visible_points(
    scene: ArrangedScene, id: ObjectId, body: Body, around: Float[Tensor, "n 3"], elevation: float
) -> Float[Tensor, "points 3"]:
    """Points on the surface of an object alone, in scene coordinates, one for each solid pixel of the trial pictures.

    Args:
        body: the object as it is looked at.
        around: points that the object does not reach beyond.
        elevation: height angle of the cameras in radians.
    """
    away = directions(torch.arange(PICTURES) / PICTURES * 2 * math.pi, elevation)
    target, distance = framed(hull(around), away)
    radiance, found = scene.trained.radiance, []
    for camera in square(look_at(target + distance * away, target), SIZE):
        rays = camera.reshape((1,)).to(radiance.device).generate_rays(0, keep_shape=True).flatten()
        images = object_images(scene, rays, id, body)
        points = rays.origins + images["depth"] * rays.directions
        found.append(points[images["accumulation"][:, 0] > SOLID].cpu())
    return torch.cat(found)
