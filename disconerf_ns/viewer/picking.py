"""Picking: the object that a click into the picture meets, and which of its copies."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.rendering.frame import Frame
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId


class Met(NamedTuple):
    """The object that a ray meets first, and which of its copies."""

    id: ObjectId
    which: int
    """Number of its place among those where the object stands; 0 for the object itself, others for copies."""


def object_at(
    scene: ArrangedScene, origin: tuple[float, ...], direction: tuple[float, ...], edited: bool
) -> Met | None:
    """The listed object that a ray meets first; None where it meets none.

    Args:
        origin, direction: of the ray, in scene coordinates.
        edited: whether hidden objects let the ray pass, and others stand where a person put them.
    """
    if not scene.objects:
        return None
    device = scene.trained.radiance.device
    unit = torch.ones(1, 1, device=device)
    rays = RayBundle(
        torch.tensor([origin], device=device),
        torch.nn.functional.normalize(torch.tensor([direction], device=device), dim=-1),
        1e-6 * unit,
        camera_indices=torch.zeros_like(unit, dtype=torch.long),
        metadata={"directions_norm": unit},
    )
    frame = Frame(scene, rays, (1,), keep=True)
    id = ObjectId(int(frame.edited_ids() if edited else frame.labels().id))
    if id not in scene.by_id:
        return None
    depth = frame.edited_depth() if edited else frame.images()["depth"]
    return Met(id, nearest_place(scene, id, (rays.origins + depth * rays.directions)[0]))


def nearest_place(scene: ArrangedScene, id: ObjectId, point: Float[Tensor, "3"]) -> int:
    """Number of the place, of those where an object stands, whose box is nearest to a point; of several that hold it,
    the one whose middle is nearest."""
    low, high = torch.tensor(scene.by_id[id].box).to(point)
    places = scene.edit.places_of(id)

    def distance(number: int) -> tuple[float, float]:
        was, scale = places[number].inverse().points(point), places[number].scale
        outside = (low - was).clamp(min=0) + (was - high).clamp(min=0)
        return scale * float(outside.norm()), scale * float((was - (low + high) / 2).norm())

    return min(scene.edit.seen_places(id), key=distance)
