"""Which objects touch, or nearly: the gap between their solid voxels."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from scipy.spatial import KDTree

from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.solid import Solid

NEAR = 0.1
"""Largest gap between neighbours, as a fraction of the diagonal of the smaller one's box."""


@dataclass(frozen=True)
class Neighbour:
    """An object beside another one."""

    id: ObjectId
    gap: float
    """Least distance between their solid voxels' faces, about, in scene units; 0 where they touch."""


@dataclass
class _Shell:
    """The outer solid voxels of an object."""

    points: Float[np.ndarray, "voxels 3"]
    half: Float[np.ndarray, "voxels"]
    """Half of each voxel's edge."""
    tree: KDTree
    diagonal: float

    @classmethod
    def of(cls, solid: Solid) -> _Shell:
        filled = solid.grid.occupied.cpu().numpy()
        outer = np.logical_not(ndimage.binary_erosion(filled))[filled]
        points, volumes = (values.cpu().double().numpy()[outer] for values in (solid.points, solid.volumes))
        return cls(points, np.cbrt(volumes) / 2, KDTree(points), float(np.linalg.norm(np.ptp(points, axis=0))))


def neighbours_of(solids: Mapping[ObjectId, Solid]) -> dict[ObjectId, tuple[Neighbour, ...]]:
    """The neighbours of every object, the nearest first; an object without solid voxels has none."""
    shells = {id: _Shell.of(solid) for id, solid in solids.items() if len(solid) > 0}
    found: dict[ObjectId, list[Neighbour]] = {id: [] for id in solids}
    for one, other in itertools.combinations(shells, 2):
        most = NEAR * min(shells[one].diagonal, shells[other].diagonal)
        if (distance := gap(shells[one], shells[other], most)) <= most:
            found[one].append(Neighbour(other, distance))
            found[other].append(Neighbour(one, distance))
    return {id: tuple(sorted(others, key=lambda other: (other.gap, other.id))) for id, others in found.items()}


def gap(one: _Shell, other: _Shell, most: float) -> float:
    """min over pairs of voxels of |x - y| - (e_x + e_y) / 2, with e their edges, and not below 0.

    Args:
        one, other: outer voxels of two objects.
        most: larger gaps may be infinite: only voxels that can lie as near as that are compared.
    """
    few, many = sorted((one, other), key=lambda shell: len(shell.points))
    reach = most + few.half.max() + many.half.max()
    within = ((few.points >= many.points.min(0) - reach) & (few.points <= many.points.max(0) + reach)).all(1)
    points, half = few.points[within], few.half[within]
    distance, nearest = many.tree.query(points, distance_upper_bound=np.nextafter(reach, np.inf))
    found = np.isfinite(distance)
    gaps = distance[found] - half[found] - many.half[nearest[found]]
    return max(float(gaps.min(initial=np.inf)), 0.0)
