"""Picking: the object that a click into the picture meets."""

from __future__ import annotations

import torch
from nerfstudio.cameras.rays import RayBundle

from disconerf_ns.rendering.frame import Frame
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId


def object_at(
    scene: ArrangedScene, origin: tuple[float, ...], direction: tuple[float, ...], edited: bool
) -> ObjectId | None:
    """The id of the listed object that a ray meets first; None where it meets none.

    Args:
        origin, direction: of the ray, in scene coordinates.
        edited: whether hidden objects let the ray pass.
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
    id = int(frame.edited_ids() if edited and frame.remembers_owners else frame.labels().id)
    return ObjectId(id) if id in scene.by_id else None
