"""Memory that the object stage is going to take, from the numbers of views, pixels and masks alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from disconerf_ns.discovery.find import COARSE, POINTS_PER_CELL
from disconerf_ns.surface.storage import sample_sizes
from disconerf_ns.training.devices import Devices
from disconerf_ns.training.scene_rays import row_bytes, stride_within


class Budgets(NamedTuple):
    """Most memory that parts of the object stage may take, in bytes."""

    surface: int
    """Surface points of the rays that are drawn."""
    masks: int
    """Masks that stay decoded, and as much again for those of the rays that are drawn."""


class MemoryEstimate(NamedTuple):
    """Memory of the parts of the object stage, in bytes."""

    surface: int
    """Surface points of all views."""
    masks: int
    """Masks that stay decoded, in main memory."""
    drawn: int
    """Rays that iterations draw from, with their surface points and masks, on the device that trains."""
    discovery: int
    """The search for objects at its most, in main memory."""

    def __str__(self) -> str:
        surface, masks, drawn, discovery = (f"{size / 2**20:,.0f} MiB" for size in self)
        return f"{surface} for the surface, {masks} for masks, {drawn} for drawn rays, {discovery} to find objects"


def estimate_memory(
    rays: Sequence[int], masks: Sequence[int], points: int, searched: int, budgets: Budgets, devices: Devices
) -> MemoryEstimate:
    """Memory of the object stage on the first device and for it.

    The search holds the masks M of its rays as floats, and the fraction of every cell inside every mask: the coarse
    cells of the best draw and of the last one, and the fine cells, each at most as many as the rays have points. Pairs
    of coarse cells have two numbers, for both of these draws and in a copy for each of the two doubts.

    Args:
        rays: number of pixels of each view in the object stage.
        masks: number of masks of each view.
        points: surface points per ray.
        searched: number of rays that enter the search for objects, about.
        budgets: most memory of the parts that have a limit.
        devices: devices that share the views; the first one searches in all of them.
    """
    total, most = sum(rays), max(masks, default=0)
    own = devices.portion(total)
    decoded = devices.portion(sum(row_bytes(pixels) * count + pixels for pixels, count in zip(rays, masks)))
    kept = -(-own // stride_within(own, points, most, *budgets))
    thinned = 1 / max(total // searched, 1)
    entries = sum(thinned * pixels * count for pixels, count in zip(rays, masks))
    cells = min(COARSE, thinned * total * points / POINTS_PER_CELL)
    return MemoryEstimate(
        surface=sum(sample_sizes(own, points)),
        masks=min(decoded, budgets.masks),
        drawn=kept * (sum(sample_sizes(1, points)) + row_bytes(most)),
        discovery=round(4 * entries * (1 + 3 * points) + 4 * cells**2 * 8),
    )
