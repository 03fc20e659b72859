"""Whether the surfaces of different views fit together: how much of what one view sees lies where others see it.

Where the radiance field has not learned where things are, as with few photographs, each view has its surface somewhere
else, often close to its camera. Masks that agree then look as if they did not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

SLACK = 0.1
"""Fraction of its distance by which a point may lie before or behind what another view sees there."""
POINTS, VIEWS = 500, 12
"""Points of a view that others look at, and views that are worth comparing with each other, at most."""
LEAST = 1 / 3
"""Fraction of the points that lie where other views see them, below which surfaces do not fit together. Of fields that
have learned a path-traced scene it is 0.6 and more, since other things hide some points; of fields that two or three
photographs taught for hundreds of iterations it is 0.15 and less."""


class SeenSurface(NamedTuple):
    """The surface that a view sees from one place, in scene coordinates."""

    origin: Float[Tensor, "3"]
    points: Float[Tensor, "points 3"]

    @property
    def distances(self) -> Float[Tensor, "points"]:
        """From the origin to each point."""
        return (self.points - self.origin).norm(dim=-1)

    @property
    def directions(self) -> Float[np.ndarray, "points 3"]:
        """From the origin to each point, of length 1."""
        return ((self.points - self.origin) / self.distances[:, None].clamp(min=1e-12)).numpy()


class Fitting(NamedTuple):
    """Points of views that lie in the pictures of other views."""

    fitting: int
    """Points that lie where the other view sees a surface."""
    looked: int
    """All points."""


def said_of_fitting(share: float) -> str | None:
    """Why masks that agree cannot be seen to, if it is that surfaces do not fit together; None if they do.

    Args:
        share: fraction of the points that lie where other views see them.
    """
    if share >= LEAST:
        return None
    return (
        f"the surfaces of the views do not fit together ({share:.0%} of what a photograph shows lies where others see "
        "it). More photographs, better poses or a longer radiance stage help, and other masks do not"
    )


def fitting(views: Sequence[SeenSurface]) -> Fitting:
    """Count the points of each view that lie in other views' pictures, and those that lie on what these see there."""
    views = [view for view in views if len(view.points) > 1]
    trees = [KDTree(view.directions) for view in views]
    widths = [float(np.median(tree.query(tree.data, 2)[0][:, 1])) for tree in trees]
    fits = looked = 0
    for one, other in permutations(range(len(views)), 2):
        points = views[other].points
        there = SeenSurface(views[one].origin, points[:: -(-len(points) // POINTS)])
        gap, nearest = trees[one].query(there.directions, distance_upper_bound=2 * widths[one])
        met = np.isfinite(gap)
        seen = views[one].distances[torch.from_numpy(np.asarray(nearest)[met])]
        fits += int(((there.distances[torch.from_numpy(met)] / seen - 1).abs() < SLACK).sum())
        looked += int(met.sum())
    return Fitting(fits, looked)
