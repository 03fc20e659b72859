"""Masks that disagree from view to view as an automatic segmenter's do, made from exact labels."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True)
class MaskNoise:
    """Distance of one view's masks from the truth. All zero gives the truth itself.

    Lengths are pixels of an image that is 256 wide; they grow with the image.
    """

    miss: float = 0.0
    """Probability that an object has no mask."""
    split: float = 0.0
    """Probability that an object comes in two pieces instead of whole."""
    merge: float = 0.0
    """Probability that one mask covers an object and a neighbour, and neither has a mask of its own."""
    part: float = 0.0
    """Probability that a piece of an object has a mask in addition."""
    group: float = 0.0
    """Probability that an object and its neighbours together have a mask in addition."""
    hole: float = 0.0
    """Probability of a hole in a mask."""
    ragged: float = 0.0
    """Standard deviation of the border's displacement."""
    swell: float = 0.0
    """Standard deviation of a whole mask's growth or shrinkage."""
    min_fraction: float = 0.0
    """Masks smaller than this share of the image are dropped."""
    whole: float | None = None
    """Probability that an object of which several parts are seen has a mask of its own. It takes the place of `miss`
    and `split` there, because a segmenter cuts such an object along its parts. None lets no object have parts."""
    parts: float = 0.0
    """Probability that a part of such an object has a mask."""

    def recipe(self) -> dict[str, float]:
        """Its values for a manifest; those about parts only if objects may have parts."""
        values = asdict(self)
        if self.whole is None:
            del values["whole"], values["parts"]
        return values


LEVELS = {
    "none": MaskNoise(),
    "mild": MaskNoise(
        miss=0.04, split=0.05, merge=0.04, part=0.10, group=0.05, hole=0.05, ragged=0.6, swell=0.3, min_fraction=0.003
    ),
    "middle": MaskNoise(
        miss=0.10, split=0.15, merge=0.10, part=0.25, group=0.15, hole=0.15, ragged=1.2, swell=0.7, min_fraction=0.003
    ),
    "heavy": MaskNoise(
        miss=0.20, split=0.28, merge=0.20, part=0.40, group=0.30, hole=0.30, ragged=2.0, swell=1.2, min_fraction=0.003
    ),
}
"""Levels at which an object's masks mean the object as a whole."""

MIXED = {
    "mixed-mild": replace(LEVELS["mild"], whole=0.85, parts=0.75),
    "mixed": replace(LEVELS["middle"], whole=0.75, parts=0.65),
    "mixed-heavy": replace(LEVELS["heavy"], whole=0.60, parts=0.50),
}
"""Levels at which wholes and parts come together.

SAM answers one point with three masks: whole, part and subpart. Its automatic mode puts a grid of points on the image,
keeps of all three what is stable and scored well, and drops boxes that overlap by more than 0.7: what goes are
repetitions of one mask, and an object and its parts survive side by side. So each of them is present in a view with its
own probability, whole objects more often than parts, because more of the grid's points ask for them. Groups come from
the same three masks where a small object takes the part's place. Pieces that are no part (`part`) stay rarer than
parts: at most 0.4 pieces beside two parts or more at 0.5 each. Everything else is as at the level of the same strength,
and without parts the masks are that level's, bit by bit.
"""


@dataclass(frozen=True)
class NoisyMasks:
    """The masks of one view with the scores that a segmenter would give them."""

    masks: np.ndarray
    """(K, H, W) bool; masks may overlap and leave pixels uncovered."""
    predicted_iou: np.ndarray
    """(K,) in [0, 1]; rises with the true IoU, loosely."""
    stability_score: np.ndarray
    """(K,) in [0, 1]; falls with the length of the border per area, loosely."""


def noisy_masks(
    labels: np.ndarray,
    noise: MaskNoise,
    seed: int,
    parts: np.ndarray | None = None,
    uncovered: Collection[int] = (),
) -> NoisyMasks:
    """Disturb the objects of one view.

    Args:
        labels: (H, W) integers; 0 is nothing, every other value one object.
        noise: what goes wrong, and how often.
        seed: the same seed gives the same masks; give every view its own.
        parts: (H, W) integers, every one a part of one object; None if no object has parts.
        uncovered: labels of objects that no mask is about.
    """
    random = np.random.default_rng(seed)
    shown = [label for label in np.unique(labels[labels > 0]) if label not in uncovered]
    objects = [labels == label for label in shown]
    several = [[] if parts is None or noise.whole is None else _parts(parts, region) for region in objects]
    pixel = labels.shape[1] / 256
    regions = _regions(objects, several, noise, random)
    masks = [displaced(punctured(region, noise, random), noise, pixel, random) for region in regions]
    masks = [mask for mask in masks if mask.any() and mask.mean() >= noise.min_fraction]
    stacked = np.stack(masks) if masks else np.zeros((0, *labels.shape), dtype=bool)
    stacked = stacked[random.permutation(len(stacked))]
    true = [*objects, *itertools.chain(*several)]
    best = iou_matrix(np.stack(true), stacked).max(axis=0) if true and len(stacked) else np.zeros(len(stacked))
    border = np.array([(binary_dilation(mask) & ~mask).sum() / mask.sum() for mask in stacked])
    return NoisyMasks(
        masks=stacked,
        predicted_iou=np.clip(0.80 + 0.18 * best + 0.03 * random.standard_normal(len(stacked)), 0, 1).round(3),
        stability_score=np.clip(0.98 - 0.25 * border + 0.01 * random.standard_normal(len(stacked)), 0, 1).round(3),
    )


def iou_matrix(truth: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(T, K) intersection over union of (T, H, W) and (K, H, W) masks, none of them empty."""
    truth, masks = (stack.reshape(len(stack), -1).astype(np.float32) for stack in (truth, masks))
    shared = truth @ masks.T
    return shared / (truth.sum(axis=1)[:, None] + masks.sum(axis=1)[None] - shared)


def agreement(labels: np.ndarray, masks: np.ndarray) -> float:
    """Mean IoU of the objects with their masks under the best one-to-one matching, weighted by the objects' areas."""
    truth = np.stack([labels == label for label in np.unique(labels[labels > 0])])
    iou = iou_matrix(truth, masks) if len(masks) else np.zeros((len(truth), 0))
    area = truth.sum(axis=(1, 2))
    matched = linear_sum_assignment(area[:, None] * iou, maximize=True)
    return float((area[:, None] * iou)[matched].sum() / area.sum())


def _parts(parts: np.ndarray, region: np.ndarray) -> list[np.ndarray]:
    """The parts that are seen of an object; none if it is seen as one part, which is the object itself."""
    seen = np.unique(parts[region])
    return [region & (parts == part) for part in seen] if len(seen) > 1 else []


def _regions(
    objects: list[np.ndarray], parts: list[list[np.ndarray]], noise: MaskNoise, random: np.random.Generator
) -> list[np.ndarray]:
    """Regions of the masks: objects, pieces, unions, and each object's parts."""
    regions, done = [], set()
    for i in random.permutation(len(objects)):
        near = [j for j in neighbours(objects, i) if j not in done]
        if i in done:
            continue
        done.add(i)
        miss, split = (1 - noise.whole, 0.0) if parts[i] else (noise.miss, noise.split)
        fate = random.random()
        if fate < miss:
            pass
        elif fate < miss + split:
            side = piece(objects[i], random)
            regions += [side, objects[i] & ~side]
        elif fate < miss + split + noise.merge and near:
            other = random.choice(near)
            done.add(other)
            regions.append(objects[i] | objects[other])
        else:
            regions.append(objects[i])
        if random.random() < noise.part:
            regions.append(piece(objects[i], random))
        if random.random() < noise.group:
            regions.append(np.logical_or.reduce([objects[i], *(objects[j] for j in neighbours(objects, i)[:2])]))
    return regions + [part for part in itertools.chain(*parts) if random.random() < noise.parts]


def neighbours(objects: list[np.ndarray], i: int) -> list[int]:
    """The objects that touch object i in the image, smallest first."""
    around = binary_dilation(objects[i], iterations=2)
    touching = [j for j, other in enumerate(objects) if j != i and (around & other).any()]
    return sorted(touching, key=lambda j: int(objects[j].sum()))


def piece(region: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A third to two thirds of a region, on one side of a wavy line."""
    rows, columns = np.nonzero(region)
    angle = random.uniform(0, 2 * np.pi)
    along, across = columns * np.cos(angle) + rows * np.sin(angle), rows * np.cos(angle) - columns * np.sin(angle)
    extent = max(1.0, float(np.ptp(along)))
    side = along + 0.06 * extent * np.sin(9 * across / extent + random.uniform(0, 2 * np.pi))
    part = np.zeros_like(region)
    chosen = side <= np.quantile(side, random.uniform(1 / 3, 2 / 3))
    part[rows[chosen], columns[chosen]] = True
    return part


def displaced(region: np.ndarray, noise: MaskNoise, pixel: float, random: np.random.Generator) -> np.ndarray:
    """A region whose border is moved outwards by a smooth random field."""
    wave = gaussian_filter(random.standard_normal(region.shape), 4 * pixel)
    growth = pixel * (noise.ragged * wave / max(wave.std(), 1e-9) + noise.swell * random.standard_normal())
    return _signed_distance(region) + growth > 0


def _signed_distance(region: np.ndarray) -> np.ndarray:
    """Pixels from the region's border, positive inside; half-integer at the border's two sides."""
    if region.all() or not region.any():
        return np.where(region, np.inf, -np.inf)
    return np.where(region, distance_transform_edt(region) - 0.5, 0.5 - distance_transform_edt(~region))


def punctured(mask: np.ndarray, noise: MaskNoise, random: np.random.Generator) -> np.ndarray:
    """A mask with or without one round hole of up to a twelfth of its area."""
    if random.random() >= noise.hole or not mask.any():
        return mask
    rows, columns = np.nonzero(mask)
    center = random.integers(len(rows))
    radius = np.sqrt(random.uniform(0.02, 1 / 12) * len(rows) / np.pi)
    row, column = np.indices(mask.shape)
    return mask & (np.hypot(row - rows[center], column - columns[center]) > radius)
