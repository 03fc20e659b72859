"""Masks that fit their photographs better when they are flipped, turned or taken from the view beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from disconerf_ns.errors import UserError
from disconerf_ns.masks.alignment import clearly_best, edges, fit, mask_borders
from disconerf_ns.masks.images import read_image
from disconerf_ns.masks.orientation import stored
from disconerf_ns.masks.placement import sample
from disconerf_ns.masks.store import MaskStore

AS_THEY_ARE = "as they are"
TURNS = {
    AS_THEY_ARE: 1,
    "flipped left to right": 2,
    "turned by 180 degrees": 3,
    "flipped upside down": 4,
    "mirrored at the diagonal": 5,
    "turned by 90 degrees counterclockwise": 6,
    "mirrored at the other diagonal": 7,
    "turned by 90 degrees clockwise": 8,
}
"""EXIF orientations, as turns of masks; those from 5 on exchange the sides."""
BESIDE = {"taken from the next view": 1, "taken from the view before": -1}


@dataclass(frozen=True)
class Alignment:
    """How well masks fit their photographs, as they are and otherwise."""

    fits: Mapping[str, Float[np.ndarray, "views"]]
    """Fit in each view by the hypothesis; 1 is chance."""

    @property
    def best(self) -> str | None:
        """The hypothesis that clearly fits best, or None."""
        return clearly_best(self.fits)

    def mean(self, hypothesis: str) -> float:
        """Mean fit over the views in which the hypothesis has one; NaN without views."""
        values = self.fits[hypothesis]
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else float("nan")


def align(store: MaskStore, stored_keys: Mapping[str, str], images: Mapping[str, Path]) -> Alignment:
    """Compare masks with their photographs in a sample of views; unreadable files take no part.

    Args:
        stored_keys: keys of the store by the images' keys.
        images: photographs by key.
    """
    order = sorted(stored_keys)
    square = True
    rows: list[dict[str, float]] = []
    for key in sample(order):
        try:
            strength = edges(read_image(images[key]))
            borders = mask_borders(store.load(stored_keys[key]), *strength.shape)
        except UserError:
            continue
        square &= strength.shape[0] == strength.shape[1]
        row = {name: fit(strength, stored(borders, turn)) for name, turn in TURNS.items() if turn < 5 or square}
        for name, step in BESIDE.items():
            row[name] = _fit_of(store, stored_keys, order, order.index(key) + step, strength)
        rows.append(row)
    names = [name for name in (*TURNS, *BESIDE) if square or TURNS.get(name, 1) < 5]
    table = {name: np.array([row[name] for row in rows]) for name in names}
    few = len(rows) < 3
    return Alignment({name: values for name, values in table.items() if name in TURNS or not few})


def _fit_of(
    store: MaskStore, stored_keys: Mapping[str, str], order: list[str], place: int, strength: Float[np.ndarray, "h w"]
) -> float:
    """Fit of the masks of the view at a place of the order; NaN beyond its ends."""
    if not 0 <= place < len(order):
        return float("nan")
    try:
        return fit(strength, mask_borders(store.load(stored_keys[order[place]]), *strength.shape))
    except UserError:
        return float("nan")
