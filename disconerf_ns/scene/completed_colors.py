"""The colours of an object where no photograph saw it, or where other things spoil them."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from torch import Tensor

DRAWN = 1024
"""Seen points whose colours are looked at, at most."""
ALIKE, COMMON = 0.08, 0.02
"""An object has a colour if at least the fraction COMMON of its colours are at most ALIKE away in RGB."""
NEAREST, PARTLY = 8, 0.25
"""Seen points that say how strange the colour at a position is: wholly, if at least the fraction PARTLY of them is."""
FALLOFF = 3
"""Power of the distance by which a seen point's colour counts less (Shepard 1968)."""
AT_ONCE = 2**13
"""Colours, or positions, that are looked at together."""


def familiar(rgb: Float[Tensor, "n 3"], own: Float[Tensor, "points 3"]) -> Bool[Tensor, "n"]:
    """Whether an object has these colours.

    Args:
        rgb: colours in [0, 1].
        own: colours of the object, at least one.
    """
    palette = own[drawn(own)]
    count = math.ceil(COMMON * len(palette))
    return torch.cat([torch.cdist(some, palette).kthvalue(count).values <= ALIKE for some in rgb.split(AT_ONCE)])


def strangeness(points: KDTree, strange: Bool[Tensor, "points"], positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
    """How strange the colours at positions are, in [0, 1], by the seen points nearest to them.

    Args:
        points: seen points of the object, at least NEAREST.
        strange: whether each of them has a colour that is strange to the object.
        positions: where that is asked for.
    """
    _, nearest = points.query(positions.cpu().numpy(), NEAREST)
    part = strange.float()[torch.from_numpy(nearest).to(strange.device)].mean(-1)
    return (part / PARTLY).clamp(max=1)


def mean_color(
    points: Float[Tensor, "points 3"], rgb: Float[Tensor, "points 3"], positions: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """Mean colour of seen points, weighted by 1 / distance^FALLOFF.

    Args:
        points: seen points of the object.
        rgb: their colours, in [0, 1].
        positions: where the mean is asked for.
    """
    chosen = drawn(points)
    parts = [positions[:0]]
    for some in positions.split(AT_ONCE):
        weights = torch.cdist(some, points[chosen]).clamp(min=1e-6) ** -FALLOFF
        parts.append(weights @ rgb[chosen] / weights.sum(-1, keepdim=True))
    return torch.cat(parts)


def drawn(rows: Float[Tensor, "n 3"]) -> Tensor:
    """Indices of DRAWN of the rows, or of all if they are fewer; the same at each call."""
    return torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:DRAWN].to(rows.device)
