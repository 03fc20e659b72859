"""What a set of masks is like: how many and how large, what they leave out, and which views stand out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from statistics import median

from disconerf_ns.masks import rle
from disconerf_ns.masks.store import MaskStore

FEW = 5
"""Masks of a view below which it teaches little (DiscoNeRF, 7.1)."""
LISTED = 5
"""Views that are named, at most."""


@dataclass(frozen=True)
class ViewMasks:
    """The masks of one view in numbers."""

    key: str
    count: int
    coverage: float
    """Part of what was looked at that at least one mask covers."""
    sizes: tuple[float, ...]
    """Part of what was looked at that each mask covers."""


def measure(store: MaskStore, keys: Iterable[str]) -> list[ViewMasks]:
    """Look at the masks of views, one view at a time.

    Raises:
        MaskError: masks are missing or broken.
    """
    views = []
    for key in keys:
        view = store.load(key)
        pixels = view.height * view.width if view.looked_at is None else rle.area(view.looked_at)
        sizes = tuple(mask.area / max(pixels, 1) for mask in view.annotations if mask.area > 0)
        coverage = rle.union_area([mask.rle for mask in view.annotations]) / max(pixels, 1)
        views.append(ViewMasks(key, len(sizes), coverage, sizes))
    return views


def disagreement(one: ViewMasks, other: ViewMasks) -> float:
    """Part of two views' masks, by area, that has no counterpart of its size in the other view.

    1 - sum_i min(a_i, b_i) / sum_i max(a_i, b_i) over the sizes from the largest down: 0 where they are the same, 1
    where one view has no masks. An object that is two masks there counts by the part that was cut off.
    """
    ranked = list(zip_longest(sorted(one.sizes, reverse=True), sorted(other.sizes, reverse=True), fillvalue=0.0))
    most = sum(map(max, ranked))
    return 1 - sum(map(min, ranked)) / most if most else 0.0


def describe(root: object, views: Sequence[ViewMasks]) -> str:
    """Masks per view, their sizes and coverage, views that stand out, and the slots of matching by view."""
    if not views:
        return f"masks: {root} holds none of the images."
    counts, cover = [view.count for view in views], [view.coverage for view in views]
    sizes = [size for view in views for size in view.sizes] or [0.0]
    lines = [
        f"masks: {root} has {len(views)} views, {counts.count(0)} of them without any mask",
        f"  per view   {min(counts)} to {max(counts)} masks, median {median(counts):g}",
        f"  coverage   {min(cover):.0%} to {max(cover):.0%} of the image, median {median(cover):.0%}",
        f"  sizes      {min(sizes):.2%} to {max(sizes):.0%} of the image, median {median(sizes):.1%}",
        f"  slots      {2 * max(counts)} with matching by view (twice the most masks of a view); otherwise as many as "
        "objects are found",
    ]
    few = [view.key for view in views if view.count < FEW]
    if few:
        lines.append(f"  few masks  {len(few)} views have less than {FEW}: {_listed(few)}")
    if len(views) > 1:
        differ = sorted(((disagreement(a, b), f"{a.key} and {b.key}") for a, b in pairwise(views)), reverse=True)
        parts, worst = [part for part, _ in differ], [f"{names} {part:.0%}" for part, names in differ]
        lines.append(
            f"  neighbours {median(parts):.0%} of the masks' area has no counterpart of its size in the next view "
            f"(median); most: {_listed(worst)}"
        )
    return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
