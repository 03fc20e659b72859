"""Discovered objects: the slots that rule a visible share of the surface, with size, confidence and box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from disconerf_ns.scene.objects import Box, DiscoveredObject
from disconerf_ns.surface.samples import SurfaceSamples, render_slots


@torch.no_grad()
def discover(
    field: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n slots"]],
    views: Iterable[SurfaceSamples],
    to_scene: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n 3"]],
    slots: int,
    min_share: float,
    known: Sequence[int] = (),
) -> list[DiscoveredObject]:
    """Objects whose slots rule a large enough share of the visible surface: known ones in order, then others by size.

    A ray belongs to the slot with the largest rendered probability O; a ray with accumulation A <= 1/2 belongs to none.

    Args:
        field: slot probabilities at contracted positions.
        views: surface samples of every training view, or evenly spaced ones.
        to_scene: maps contracted positions to scene positions.
        slots: number N of slots.
        min_share: smallest share of the visible surface that is an object, in [0, 1].
        known: slots discovered before, which stay first so that objects keep their names and colours.
    """
    seen = [(view.positions, view.solid, *rendered(field, view).max(-1)) for view in views]
    lengths = [len(solid) for _, solid, *_ in seen]
    positions, solid, probability, label = (torch.cat(column).cpu() for column in zip(*seen))
    confidence, views_of = torch.zeros(slots), torch.zeros(slots, dtype=torch.long)
    for own, sure, met in zip(label.split(lengths), probability.split(lengths), solid.split(lengths)):
        confidence += torch.bincount(own[met], weights=sure[met], minlength=slots)
        views_of += torch.bincount(own[met], minlength=slots) > 0
    positions, label = positions[solid], label[solid]
    rays = torch.bincount(label, minlength=slots)
    points = positions[label.argsort(stable=True)].split(rays.tolist())
    share = rays / rays.sum().clamp(min=1)
    order = dict.fromkeys([*known, *share.argsort(descending=True).tolist()])
    large = [slot for slot in order if slot < slots and rays[slot] > 0 and share[slot] >= min_share]
    return [
        DiscoveredObject(
            slot=slot,
            share=float(share[slot]),
            confidence=float(confidence[slot] / rays[slot]),
            views=int(views_of[slot]),
            box=robust_box(to_scene(without_strays(points[slot].flatten(0, 1)))),
        )
        for slot in large
    ]


def rendered(
    field: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n slots"]], view: SurfaceSamples
) -> Float[Tensor, "rays slots"]:
    """Slots of a field, rendered along a view's rays."""
    return render_slots(field(view.positions.flatten(0, 1)), view.accumulation.float())


def without_strays(
    points: Float[Tensor, "n 3"], resolution: int = 64, smallest: float = 0.1
) -> Float[Tensor, "kept 3"]:
    """The points of an object in its large connected parts; all points if no part is large.

    Args:
        points: contracted positions in [0, 1]^3.
        resolution: cells per axis of the voxel grid whose occupied neighbours, also diagonal ones, are connected.
        smallest: minimum fraction of all points in a large part.
    """
    cells = (points.clamp(0, 1) * (resolution - 1)).long().unbind(-1)
    occupied, parts = np.zeros((resolution,) * 3, bool), np.zeros((resolution,) * 3, np.int64)
    occupied[tuple(axis.numpy() for axis in cells)] = True
    ndimage.label(occupied, np.ones((3, 3, 3)), output=parts)
    part = torch.from_numpy(parts)[cells]
    large = torch.bincount(part) >= smallest * len(points)
    return points[large[part]] if large.any() else points


def robust_box(points: Float[Tensor, "n 3"], outliers: float = 0.005, margin: float = 0.05) -> Box:
    """Axis-aligned box (low, high) of points without the outliers at both ends of each axis, plus a margin.

    Args:
        points: scene positions.
        outliers: fraction of the points left out at each end, in [0, 1/2).
        margin: fraction of the box's size added at each side.
    """
    ordered = points.sort(0).values
    skip = int(outliers * (len(ordered) - 1))
    low, high = ordered[skip], ordered[len(ordered) - 1 - skip]
    pad = margin * (high - low).clamp(min=0.1 * (high - low).max())
    return tuple((low - pad).tolist()), tuple((high + pad).tolist())
