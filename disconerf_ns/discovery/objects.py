"""Discovered objects: the nodes that rule a visible share of the surface, with size, confidence and box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import ndimage
from torch import Tensor

from disconerf_ns.scene.objects import Box, DiscoveredObject
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.surface.samples import SurfaceSamples, render_slots


class Surface(NamedTuple):
    """The visible surface of all views: rays that meet it."""

    positions: Float[Tensor, "rays points 3"]
    """Contracted surface points."""
    slots: Float[Tensor, "rays slots"]
    """Rendered slots."""
    ruler: Int[Tensor, "rays"]
    """The largest of them."""
    view: Int[Tensor, "rays"]


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
    surface = visible(field, views)
    counts = torch.bincount(surface.ruler, minlength=tree.slots)
    ruled = surface.ruler.argsort(stable=True).split(counts.tolist())
    rays = [torch.cat([ruled[leaf] for leaf in sorted(tree.leaves(node))]) for node in range(len(tree))]
    share = [len(own) / max(len(surface.ruler), 1) for own in rays]
    default = set(tree.cut())
    others = sorted(range(len(tree)), key=lambda node: (node not in default, -share[node]))
    there = [node for node in dict.fromkeys([*known, *others]) if node < len(tree)]
    large = [node for node in there if len(rays[node]) > 0 and share[node] >= min_share]
    boxes: dict[int, Box] = {}
    for node in sorted(large):  # after its children
        parts = [boxes[child] for child in tree.children(node) if child in boxes]
        if not parts or len(parts) < len(tree.children(node)):
            points = surface.positions[rays[node]].flatten(0, 1)
            parts.append(
                robust_box(to_scene(points), outliers=0.0)  # pieces of the rest belong to nobody wherever they are
                if node == tree.rest
                else robust_box(to_scene(without_strays(points)))
            )
        boxes[node] = around(parts)
    return [
        DiscoveredObject(
            node,
            share=share[node],
            confidence=float(surface.slots[rays[node]][:, sorted(tree.leaves(node))].sum(-1).mean()),
            views=len(surface.view[rays[node]].unique()),
            box=boxes[node],
        )
        for node in sorted(large, key=lambda node: node == tree.rest)
    ]


def visible(
    field: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n slots"]], views: Iterable[SurfaceSamples]
) -> Surface:
    """The surface that views see, on the CPU."""
    parts = []
    for number, view in enumerate(views):
        slots = rendered(field, view)[view.solid]
        numbers = torch.full((len(slots),), number)
        parts.append(Surface(view.positions[view.solid].cpu(), slots.cpu(), slots.argmax(-1).cpu(), numbers))
    return Surface(*(torch.cat(column) for column in zip(*parts)))


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds some boxes: an object reaches as far as each of its parts."""
    lows, highs = zip(*boxes)
    return tuple(map(min, zip(*lows))), tuple(map(max, zip(*highs)))


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
