"""Statistics of a set of masks: their number, sizes and coverage per view, and the views that stand out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from statistics import median

from disconerf_ns.masks import rle
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore

FEW = 5
"""A view with fewer masks teaches little (DiscoNeRF, section 7.1)."""
LISTED = 5
"""Largest number of views that a line names."""


@dataclass(frozen=True)
class ViewMasks:
    """Statistics of the masks of one view; empty masks are not counted."""

    key: str
    count: int
    coverage: float
    """Fraction of the looked-at pixels that at least one mask covers."""
    sizes: tuple[float, ...]
    """Fraction of the looked-at pixels that each mask covers."""
    levels: tuple[int, ...] = ()
    """Granularity of each mask that has one, see `Mask.level`."""


def measure(store: MaskStore, keys: Iterable[str]) -> list[ViewMasks]:
    """Compute the statistics of views, one view at a time.

    Raises:
        MaskError: masks are missing or broken.
    """
    return [measure_view(key, store.load(key)) for key in keys]


def measure_view(key: str, masks: ImageMasks) -> ViewMasks:
    """Compute the statistics of one view."""
    pixels = masks.height * masks.width if masks.looked_at is None else rle.area(masks.looked_at)
    there = [mask for mask in masks.annotations if mask.area > 0]
    sizes = tuple(mask.area / max(pixels, 1) for mask in there)
    levels = tuple(mask.level for mask in there if mask.level is not None)
    coverage = rle.union_area([mask.rle for mask in masks.annotations]) / max(pixels, 1)
    return ViewMasks(key, len(sizes), coverage, sizes, levels)


def disagreement(one: ViewMasks, other: ViewMasks) -> float:
    """Fraction of the area of two views' masks that has no counterpart of its size in the other view.

    1 - sum_i min(a_i, b_i) / sum_i max(a_i, b_i), with both views' sizes sorted from the largest down. It is 0 for
    equal sizes, and 1 if one view has no masks. An object split into two masks in one view counts by the smaller part.
    """
    ranked = list(zip_longest(sorted(one.sizes, reverse=True), sorted(other.sizes, reverse=True), fillvalue=0.0))
    total = sum(map(max, ranked))
    return 1 - sum(map(min, ranked)) / total if total else 0.0


def describe(root: object, views: Sequence[ViewMasks]) -> str:
    """Report of several lines: masks per view, sizes, coverage, levels, slots of matching by view, and views that stand
    out.

    Args:
        root: folder of the masks, for the first line.
    """
    if not views:
        return f"masks: {root} has masks of none of the images."
    counts, cover = [view.count for view in views], [view.coverage for view in views]
    sizes = [size for view in views for size in view.sizes] or [0.0]
    lines = [
        f"masks: {root} has {len(views)} views, {counts.count(0)} of them without any mask",
        f"  per view   {min(counts)} to {max(counts)} masks, median {median(counts):g}",
        f"  coverage   {min(cover):.0%} to {max(cover):.0%} of the image, median {median(cover):.0%}",
        f"  sizes      {min(sizes):.2%} to {max(sizes):.0%} of the image, median {median(sizes):.1%}",
        f"  slots      {2 * max(counts)} with matching by view (twice the largest number of masks of a view); "
        "otherwise one per discovered object",
    ]
    levels = Counter(level for view in views for level in view.levels)
    if len(levels) > 1:
        lines.append(f"  levels     {', '.join(f'{levels[level]} of level {level}' for level in sorted(levels))}")
    few = [view.key for view in views if view.count < FEW]
    if few:
        lines.append(f"  few masks  {len(few)} views have fewer than {FEW}: {_listed(few)}")
    if len(views) > 1:
        ranked = sorted(((disagreement(a, b), f"{a.key} and {b.key}") for a, b in pairwise(views)), reverse=True)
        fractions, worst = [part for part, _ in ranked], [f"{names} {part:.0%}" for part, names in ranked]
        lines.append(
            f"  neighbours {median(fractions):.0%} of the masks' area has no counterpart of its size in the next view "
            f"(median); most: {_listed(worst)}"
        )
    return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
