"""Voxels that no photograph saw take colours from the seen voxels around them."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import sparse
from torch import Tensor
from torch.nn.functional import avg_pool3d, interpolate, pad

GUESSED = 1e-3
"""Weight of a guessed colour, where a neighbouring voxel has the weight 1."""
SOLVED = 1e-4
"""Residual, as a fraction of what is known, at which colours are good enough."""


def harmonic(
    unknown: Bool[Tensor, "x y z"], known: Bool[Tensor, "x y z"], guess: Float[Tensor, "3 x y z"]
) -> Float[Tensor, "3 x y z"]:
    """Give each unknown voxel the mean colour of its neighbours (Laplace's equation).

    Neighbours share a face, and are unknown or known. Colours therefore spread along a surface, and never through it.

    Args:
        unknown: voxels whose colours are looked for; all others keep theirs.
        known: voxels whose colours are fixed.
        guess: colours of known voxels, and rough ones of unknown voxels, which count where nothing known is near.
    """
    known = known & ~unknown
    inner, rim = (each.flatten().nonzero()[:, 0].cpu().numpy() for each in (unknown, known))
    beside = _neighbours((unknown | known).cpu().numpy())[inner]
    within, across = beside[:, inner], beside[:, rim]
    matrix = sparse.diags_array(beside.sum(1) + GUESSED) - within
    colors = guess.movedim(0, -1).reshape(-1, 3).double().cpu().numpy()
    right = across @ colors[rim] + GUESSED * colors[inner]
    solved = [
        sparse.linalg.cg(matrix, right[:, k], x0=colors[inner, k], rtol=SOLVED)[0] if len(inner) else right[:, k]
        for k in range(3)
    ]
    return guess.masked_scatter(unknown, torch.from_numpy(np.stack(solved)).to(guess))


def _neighbours(active: Bool[np.ndarray, "x y z"]) -> sparse.csr_array:
    """Which voxels, numbered in order, share a face and are active: symmetric, ones and zeros."""
    numbers, pairs = np.arange(active.size).reshape(active.shape), []
    for axis in range(3):
        lower, upper = (np.moveaxis(numbers, axis, 0)[some].ravel() for some in (slice(None, -1), slice(1, None)))
        both = active.ravel()[lower] & active.ravel()[upper]
        pairs.append(np.stack([lower[both], upper[both]]))
    lower, upper = np.concatenate(pairs, 1)
    above = sparse.csr_array((np.ones(len(lower)), (lower, upper)), (active.size, active.size))
    return (above + above.T).tocsr()


def pull_push(known: Bool[Tensor, "x y z"], rgb: Float[Tensor, "3 x y z"]) -> Float[Tensor, "3 x y z"]:
    """Fill all voxels roughly: known voxels keep their colours, and the others take the colours of coarser voxels.

    The method is the pull-push of Gortler et al., *The Lumigraph*, 1996.

    Args:
        known: at least one.
        rgb: colours of the known voxels, anything elsewhere.
    """
    if known.all():
        return rgb
    x, y, z = known.shape
    counted = pad(torch.cat([rgb * known, known[None].to(rgb)]), (0, z % 2, 0, y % 2, 0, x % 2))
    *total, count = avg_pool3d(counted, 2)
    coarse = pull_push(count > 0, torch.stack(total) / count.clamp(min=1e-6))
    pushed = interpolate(coarse[None], scale_factor=2, mode="trilinear")[0]
    return torch.where(known, rgb, pushed[:, :x, :y, :z])
