"""The object that each ray sees first, by the field at its surface points."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.surface.samples import SOLID, render_slots

OWNED = 1e-5
"""Probability, summed over the objects that may own a point, below which it is nobody's."""


class Labels(NamedTuple):
    """Per ray the object that is seen."""

    id: Int[Tensor, "rays"]
    """Id of the object with the largest O; -1 where there is no surface."""
    confidence: Float[Tensor, "rays"]
    """This O as a fraction of all who may own the ray, times the opacity; 0 at the rest, and about 0 if nobody may."""
    opacity: Float[Tensor, "rays"]


def label_pixels(
    scene: ArrangedScene, points: Float[Tensor, "rays points 3"], opacity: Float[Tensor, "rays"]
) -> Labels:
    """The object that each ray sees. Rays whose points are not finite miss the scene and see none.

    Args:
        points: contracted surface points of each ray, of equal weight.
        opacity: accumulation of the rays.
    """
    chunk, device, parts = scene.options.rays_at_once, scene.trained.radiance.device, []
    for of_rays, solid in zip(points.split(chunk), opacity.split(chunk)):
        of_rays, solid = of_rays.to(device), solid.to(device)
        finite = of_rays.isfinite().all(-1).all(-1)
        solid = torch.where(finite, solid, 0.0)
        of_rays = torch.where(finite[:, None, None], of_rays, 0.5)
        image = render_slots(scene.probabilities(of_rays.flatten(0, 1)), solid)
        largest, id = image.max(-1)
        confidence = (largest / image.sum(-1).clamp(min=OWNED) * solid).clamp(0, 1)
        confidence = torch.where(scene.is_rest[id], 0.0, confidence)
        parts.append(Labels(torch.where(solid > SOLID, id, -1), confidence, solid))
    return Labels(*(torch.cat(column) for column in zip(*parts)))
