"""Masks without any weights: small regions of even colour, merged while they differ little for their size.

scikit-image's graph segmentation cuts the image into regions; the least different neighbours are merged, again and
again, until all that is left differs clearly. It knows nothing of objects, so masks of different views disagree freely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy import ndimage
from skimage import color, graph, segmentation

from disconerf_ns.masks import filters
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.ranges import check_ranges


@dataclass
class GraphConfig:
    """Graph segmentation with merging; needs no weights and no GPU."""

    longest_side: int = 480
    """Pixels of the longer side of the image that is segmented; smaller images stay as they are."""
    sigma: float = 1.0
    """Blur before the first segmentation, in pixels."""
    scale: float = 50.0
    """Felzenszwalb's scale: larger gives larger first regions."""
    min_region: int = 40
    """Least pixels of a first region."""
    lightness: float = 0.5
    """Weight of lightness against hue and chroma in colour differences; low values ignore shadows."""
    edges: float = 1.5
    """Weight of the contrast along a border against the difference between the regions' mean colours."""
    size: float = 0.4
    """How much more readily small regions merge: differences count by the regions' size to this power."""
    differences: tuple[float, ...] = (3.0,)
    """Difference up to which regions merge, one value per level, in any order: smaller is finer."""
    min_area: float = 0.01
    """Least area of a mask, as a fraction of the image."""
    dilate: int = 0
    """Grow every mask by this many pixels."""

    def __post_init__(self):
        least, some = (0, math.inf), (1, math.inf)
        check_ranges(
            self, longest_side=some, sigma=least, scale=least, min_region=some, lightness=least, edges=least,
            size=least, differences=least, min_area=(0, 1), dilate=least,
        )  # fmt: skip

    def setup(self) -> GraphProposer:
        """The proposer."""
        return GraphProposer(self)

    def decide(self, images: Sequence[Path]) -> dict[str, Any]:
        """Nothing: no option depends on the scene."""
        return {}

    def recipe(self) -> dict[str, Any]:
        """The options that decide what the masks are."""
        return asdict(self)


class GraphProposer:
    """Merged regions as masks, level by level, the coarsest first."""

    def __init__(self, config: GraphConfig):
        self.config = config

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> ImageMasks:
        """Masks of an RGB image, at the resolution of the segmentation."""
        config = self.config
        levels = []
        for labels in reversed(self.partitions(_fit(image, config.longest_side))):
            masks = labels == np.arange(labels.max() + 1)[:, None, None]
            levels.append(masks[filters.large_enough(masks, config.min_area)])
        level = np.repeat(np.arange(len(levels)), [len(masks) for masks in levels])
        return ImageMasks.from_arrays(filters.dilate(np.concatenate(levels), config.dilate), level=level.tolist())

    def partitions(self, image: UInt8[np.ndarray, "height width 3"]) -> list[Int[np.ndarray, "height width"]]:
        """The image's regions per level, the finest first, each nested in the next."""
        config = self.config
        lab = color.rgb2lab(image) * (config.lightness, 1.0, 1.0)
        first = segmentation.felzenszwalb(image, config.scale, config.sigma, config.min_region, channel_axis=-1)
        regions = RegionGraph(first, lab, config.edges, config.size)
        return [regions.merge(difference) for difference in sorted(config.differences)]


class RegionGraph:
    """Neighbouring regions of an image, merged in order of their difference.

    The difference of two regions is (colour + edges * contrast) * (a b / (a + b)) ** size, where colour is the distance
    of their means, contrast the mean gradient along their border, and a, b their shares of the image. The power makes a
    small region join its nearest neighbour where two large ones, no more alike, stay apart.
    """

    def __init__(
        self,
        labels: Int[np.ndarray, "height width"],
        lab: Float[np.ndarray, "height width 3"],
        edges: float,
        size: float,
    ):
        self.labels, self.edges, self.size = labels, edges, size
        count = labels.max() + 1
        pixels = np.bincount(labels.ravel(), minlength=count)
        sums = [np.bincount(labels.ravel(), channel.ravel(), count) for channel in np.moveaxis(lab, -1, 0)]
        means = np.stack(sums, axis=1) / pixels[:, None]

        self.graph = graph.RAG()
        for region in range(count):
            share = pixels[region] / labels.size
            self.graph.add_node(region, labels=[region], share=share, mean=means[region])
        for (one, other), length, contrast in zip(*_borders(labels, _gradient(lab)), strict=True):
            self.graph.add_edge(one, other, **self._border(self.graph, one, other, length, contrast))

    def merge(self, difference: float) -> Int[np.ndarray, "height width"]:
        """Merge regions while two neighbours differ by less; 0, 1, ... are the ones left."""
        graph.merge_hierarchical(
            self.labels, self.graph, difference, False, True, merge_func=self._absorb, weight_func=self._joined_border
        )
        names = np.empty(self.labels.max() + 1, dtype=int)
        for name, region in enumerate(self.graph.nodes):
            names[self.graph.nodes[region]["labels"]] = name
        return names[self.labels]

    def _border(self, rag: graph.RAG, one: int, other: int, length: float, contrast: float) -> dict[str, float]:
        a, b = rag.nodes[one], rag.nodes[other]
        colour = np.linalg.norm(a["mean"] - b["mean"])
        small = a["share"] * b["share"] / (a["share"] + b["share"])
        weight = (colour + self.edges * contrast) * small**self.size
        return {"length": length, "contrast": contrast, "weight": float(weight)}

    @staticmethod
    def _absorb(rag: graph.RAG, source: int, target: int) -> None:
        a, b = rag.nodes[source], rag.nodes[target]
        share = a["share"] + b["share"]
        b["mean"] = (a["mean"] * a["share"] + b["mean"] * b["share"]) / share
        b["share"] = share

    def _joined_border(self, rag: graph.RAG, source: int, target: int, neighbour: int) -> dict[str, float]:
        parts = [rag[region][neighbour] for region in (source, target) if rag.has_edge(region, neighbour)]
        length = sum(part["length"] for part in parts)
        contrast = sum(part["length"] * part["contrast"] for part in parts) / length
        return self._border(rag, target, neighbour, length, contrast)


def _gradient(lab: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width"]:
    """Colour difference per pixel, by derivatives of a Gaussian of one pixel."""
    slopes = [ndimage.gaussian_filter(lab, (1, 1, 0), order=order) for order in ((1, 0, 0), (0, 1, 0))]
    return np.linalg.norm(np.concatenate(slopes, axis=-1), axis=-1)


def _borders(
    labels: Int[np.ndarray, "height width"], gradient: Float[np.ndarray, "height width"]
) -> tuple[list[list[int]], list[float], list[float]]:
    """Pairs of touching regions, the length of each border in pixels, and the mean gradient along it."""
    pairs, contrasts = [], []
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        crossing = labels[here] != labels[there]
        pairs.append(np.sort(np.stack([labels[here][crossing], labels[there][crossing]], axis=1), axis=1))
        contrasts.append(np.maximum(gradient[here], gradient[there])[crossing])
    pairs, which = np.unique(np.concatenate(pairs), axis=0, return_inverse=True)
    length = np.bincount(which.ravel())
    contrast = np.bincount(which.ravel(), np.concatenate(contrasts)) / length
    return pairs.tolist(), length.astype(float).tolist(), contrast.tolist()


def _fit(image: UInt8[np.ndarray, "height width 3"], longest_side: int) -> UInt8[np.ndarray, "h w 3"]:
    height, width = image.shape[:2]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return image
    return cv2.resize(
        image, (max(round(width * scale), 1), max(round(height * scale), 1)), interpolation=cv2.INTER_AREA
    )
