"""Voxels without a value, which take the one of the nearest voxel that has one."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from scipy import ndimage


def filled(values: Int[np.ndarray, "x y z"]) -> Int[np.ndarray, "x y z"]:
    """The values of voxels; each that is below 0 is replaced by the nearest one that is not."""
    nearest = np.zeros((3, *values.shape), np.int32)
    ndimage.distance_transform_edt(values < 0, return_distances=False, return_indices=True, indices=nearest)
    return values[tuple(nearest)]
