"""Discovered objects: the nodes that rule a visible share of the surface, with size, confidence and box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from disconerf_ns.scene.objects import Box, DiscoveredObject, around, box_between
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.surface.samples import SurfaceSamples, render_slots

UNION_RAYS = 4000
"""Rays, about, that the box of a union is found from; it holds the boxes of its parts in any case."""
STRAY_CELLS = 64
"""Cells per axis of the voxel grid in which points of an object are connected."""
LARGE_PART = 0.1
"""Smallest fraction of an object's points in a connected part of it that is no stray."""
SHARP, CLEAR = 0.04, 0.5
"""The light of a ray ends in one place, on a surface that the radiance field knows, if the middle half of it lies
within the first number in contracted space. An object's box is found from such rays if at least the second number of
its rays, a fraction, are such."""
MARGIN = 0.05
"""Margin around a box at each side, as a fraction of its size."""


class Boxes(NamedTuple):
    """An object's two boxes, as `DiscoveredObject` has them."""

    box: Box
    reach: Box


class Surface(NamedTuple):
    """The visible surface of all views, by the slot that rules each ray that meets it."""

    points: tuple[Float[Tensor, "rays points 3"], ...]
    """Contracted surface points of each slot's rays."""
    probability: Float[Tensor, "slots slots"]
    """Rendered slots O, summed over the rays of each slot: rulers in rows."""
    views: Bool[Tensor, "slots views"]
    """Views in which a slot rules some ray."""


@torch.no_grad()
def discover(
    field: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n slots"]],
    views: Iterable[SurfaceSamples],
    to_scene: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n 3"]],
    tree: ObjectTree,
    min_share: float,
    known: Sequence[int] = (),
) -> list[DiscoveredObject]:
    """Objects of every size, whose slots rule a large enough share of the visible surface together.

    A ray belongs to the slot with the largest rendered probability O, and to every node that holds the slot; a ray with
    accumulation A <= 1/2 belongs to none. Known objects come first, in their order, then those of the default cut by
    size, then all others by size, and the rest last.

    Args:
        field: slot probabilities at contracted positions.
        views: surface samples of every training view, or evenly spaced ones.
        to_scene: maps contracted positions to scene positions.
        tree: how slots join to objects.
        min_share: smallest share of the visible surface that is an object, in [0, 1].
        known: nodes discovered before, which stay first so that objects keep their names and colours.
    """
    surface = visible(field, views, tree.slots)
    leaves = [sorted(tree.leaves(node)) for node in range(len(tree))]
    rays = [sum(len(surface.points[leaf]) for leaf in own) for own in leaves]
    share = [count / max(sum(rays[: tree.slots]), 1) for count in rays]
    default = set(tree.cut())
    others = sorted(range(len(tree)), key=lambda node: (node not in default, -share[node]))
    there = [node for node in dict.fromkeys([*known, *others]) if node < len(tree)]
    large = [node for node in there if rays[node] > 0 and share[node] >= min_share]
    boxes: dict[int, Boxes] = {}
    for node in sorted(large):  # after its children
        parts = [boxes[child] for child in tree.children(node) if child in boxes]
        if not parts or len(parts) < len(tree.children(node)):
            step = 1 if node < tree.slots else rays[node] // UNION_RAYS + 1
            seen = torch.cat([surface.points[leaf][::step] for leaf in leaves[node]])
            if node == tree.rest:  # its pieces belong to nobody wherever they are
                everywhere = robust_box(to_scene(seen.flatten(0, 1)), outliers=0.0)
                parts.append(Boxes(everywhere, everywhere))
            else:
                parts.append(boxes_of(seen, to_scene))
        boxes[node] = Boxes(*(around(some) for some in zip(*parts)))
    return [
        DiscoveredObject(
            node,
            share=share[node],
            confidence=float(surface.probability[leaves[node]][:, leaves[node]].sum() / rays[node]),
            views=int(surface.views[leaves[node]].any(0).sum()),
            box=boxes[node].box,
            reach=boxes[node].reach,
        )
        for node in sorted(large, key=lambda node: node == tree.rest)
    ]


def visible(
    field: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n slots"]], views: Iterable[SurfaceSamples], slots: int
) -> Surface:
    """The surface that views see, on the CPU."""
    points, rulers, seen = [], [], []
    probability = torch.zeros(slots, slots, dtype=torch.float64)
    for view in views:
        of_slots = rendered(field, view)[view.solid].cpu()
        ruler = of_slots.argmax(-1)
        probability.index_add_(0, ruler, of_slots.double())
        points.append(view.positions[view.solid].cpu())
        rulers.append(ruler)
        seen.append(torch.bincount(ruler, minlength=slots) > 0)
    ruler = torch.cat(rulers)
    counts = torch.bincount(ruler, minlength=slots).tolist()
    return Surface(torch.cat(points)[ruler.argsort(stable=True)].split(counts), probability, torch.stack(seen, 1))


def rendered(
    field: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n slots"]], view: SurfaceSamples
) -> Float[Tensor, "rays slots"]:
    """Slots of a field, rendered along a view's rays."""
    return render_slots(field(view.positions.flatten(0, 1)), view.accumulation.float())


def boxes_of(
    rays: Float[Tensor, "rays points 3"], to_scene: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n 3"]]
) -> Boxes:
    """The boxes of an object; the first one lies in the second.

    Args:
        rays: contracted surface points of each of its rays, the nearest first.
        to_scene: maps contracted positions to scene positions.
    """
    box, (low, high) = (robust_box(to_scene(without_strays(some.flatten(0, 1)))) for some in (sharp(rays), rays))
    corners = torch.tensor(box).clamp(torch.tensor(low), torch.tensor(high))
    return Boxes(box_between(corners.tolist()), (low, high))


def sharp(rays: Float[Tensor, "rays points 3"]) -> Float[Tensor, "kept points 3"]:
    """The rays whose light ends in one place; all rays, if less than half do. A single point tells nothing of that.

    Args:
        rays: contracted surface points of each ray, at equal steps of its light, the nearest first.
    """
    count = rays.shape[1]
    ends = (rays[:, (3 * count - 1) // 4] - rays[:, count // 4]).norm(dim=-1) < SHARP
    return rays[ends] if ends.float().mean() >= CLEAR else rays


def without_strays(points: Float[Tensor, "n 3"]) -> Float[Tensor, "kept 3"]:
    """The points of an object in its large connected parts; all points if no part is large.

    Args:
        points: contracted positions in [0, 1]^3; those in neighbouring cells, also diagonal ones, are connected.
    """
    cells = (points.clamp(0, 1) * (STRAY_CELLS - 1)).long().unbind(-1)
    occupied, parts = np.zeros((STRAY_CELLS,) * 3, bool), np.zeros((STRAY_CELLS,) * 3, np.int64)
    occupied[tuple(axis.numpy() for axis in cells)] = True
    ndimage.label(occupied, np.ones((3, 3, 3)), output=parts)
    part = torch.from_numpy(parts)[cells]
    large = torch.bincount(part) >= LARGE_PART * len(points)
    return points[large[part]] if large.any() else points


def robust_box(points: Float[Tensor, "n 3"], outliers: float = 0.005) -> Box:
    """Axis-aligned box (low, high) of points without the outliers at both ends of each axis, plus a margin.

    Args:
        points: scene positions.
        outliers: fraction of the points left out at each end, in [0, 1/2).
    """
    ordered = points.sort(0).values
    skip = int(outliers * (len(ordered) - 1))
    low, high = ordered[skip], ordered[len(ordered) - 1 - skip]
    pad = MARGIN * (high - low).clamp(min=0.1 * (high - low).max())
    return tuple((low - pad).tolist()), tuple((high + pad).tolist())
