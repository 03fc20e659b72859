"""Masks without a neural network: small regions of even colour, merged while they differ little for their size.

scikit-image's graph segmentation cuts the image into regions. The two least different neighbours are then merged, again
and again, until all neighbours differ clearly. Objects play no role in this, so the masks of different views disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy import ndimage
from skimage import color, graph, segmentation

from disconerf_ns.masks import filters
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.options import COUNT, FRACTION, SIDE, WEIGHT, Range, check_options

SAME = 0.9
"""IoU of regions of two levels, above which they are one region that did not change from level to level."""


@dataclass
class GraphConfig:
    """Graph segmentation with merging; needs no weights and no GPU."""

    longest_side: int = 480
    """Images are shrunk to this many pixels on the longer side before segmentation; smaller images stay as they are."""
    sigma: float = 1.0
    """Blur before the first segmentation, in pixels."""
    scale: float = 50.0
    """Scale of Felzenszwalb's segmentation: a larger scale gives larger first regions."""
    min_region: int = 40
    """Smallest first region, in pixels."""
    lightness: float = 0.5
    """Weight of lightness against hue and chroma in colour differences; low values ignore shadows."""
    edges: float = 1.5
    """Weight of the contrast along a border against the difference between the regions' mean colours."""
    size: float = 0.4
    """Differences are multiplied by the regions' size to this power, so that small regions merge sooner."""
    differences: tuple[float, ...] = (3.0,)
    """Largest difference at which regions merge, one value per level, in any order; smaller values give finer masks."""
    min_area: float = 0.01
    """Smallest area of a mask, as a fraction of the image."""
    dilate: int = 0
    """Grow each mask by this many pixels."""

    def __post_init__(self):
        check_options(
            "masks", self, longest_side=SIDE, sigma=Range(0, SIDE.high), scale=WEIGHT, min_region=COUNT,
            lightness=WEIGHT, edges=WEIGHT, size=WEIGHT, differences=WEIGHT, min_area=FRACTION,
            dilate=Range(0, SIDE.high),
        )  # fmt: skip

    def setup(self) -> GraphProposer:
        """Make the proposer."""
        return GraphProposer(self)

    def decide(self, images: Sequence[Path]) -> dict[str, Any]:
        """No values, since no option depends on the scene."""
        return {}

    def recipe(self) -> dict[str, Any]:
        """The options that determine the masks: all of them."""
        return asdict(self)


class GraphProposer:
    """Makes masks of merged regions, level by level, the coarsest first."""

    def __init__(self, config: GraphConfig):
        self.config = config

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> ImageMasks:
        """Masks of an RGB image, at the resolution of the segmentation."""
        config = self.config
        levels = []
        for labels in reversed(self.partitions(_fit(image, config.longest_side))):
            large = np.flatnonzero(np.bincount(labels.ravel()) >= config.min_area * labels.size)
            levels.append(labels == large[:, None, None])
        level = np.repeat(np.arange(len(levels)), [len(masks) for masks in levels])
        masks = np.concatenate(levels)
        new = filters.distinct(filters.packed(masks), SAME)
        return ImageMasks.from_arrays(filters.dilate(masks[new], config.dilate), level=level[new].tolist())

    def partitions(self, image: UInt8[np.ndarray, "height width 3"]) -> list[Int[np.ndarray, "height width"]]:
        """One label map of regions per level, the finest first, each nested in the next; labels are 0, 1, ...."""
        config = self.config
        lab = color.rgb2lab(image) * (config.lightness, 1.0, 1.0)
        first = segmentation.felzenszwalb(image, config.scale, config.sigma, config.min_region, channel_axis=-1)
        regions = RegionGraph(first, lab, config.edges, config.size)
        return [regions.merge(difference) for difference in sorted(config.differences)]


class RegionGraph:
    """Graph of the regions of an image, whose neighbours are merged in order of their difference.

    The difference of two regions is (colour + edges * contrast) * (a b / (a + b)) ** size. Here colour is the distance
    of their mean colours, contrast is the mean gradient along their border, and a and b are their fractions of the
    image. The last factor lets a small region join its neighbour when two large regions, equally unlike, stay apart.

    Args:
        labels: first regions, numbered from 0.
        lab: the image's colours in CIELAB, with lightness weighted.
        edges, size: see `GraphConfig`.
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
        for (first, second), length, contrast in zip(*_borders(labels, _gradient(lab)), strict=True):
            self.graph.add_edge(first, second, **self._border(self.graph, first, second, length, contrast))

    def merge(self, difference: float) -> Int[np.ndarray, "height width"]:
        """Merge neighbours that differ by less than `difference`. Returns the label map of the remaining regions."""
        graph.merge_hierarchical(
            self.labels, self.graph, difference, False, True, merge_func=self._absorb, weight_func=self._joined_border
        )
        names = np.empty(self.labels.max() + 1, dtype=int)
        for name, region in enumerate(self.graph.nodes):
            names[self.graph.nodes[region]["labels"]] = name
        return names[self.labels]

    def _border(self, rag: graph.RAG, first: int, second: int, length: float, contrast: float) -> dict[str, float]:
        """Attributes of the edge between two regions; `weight` is their difference."""
        a, b = rag.nodes[first], rag.nodes[second]
        colour = np.linalg.norm(a["mean"] - b["mean"])
        small = a["share"] * b["share"] / (a["share"] + b["share"])
        weight = (colour + self.edges * contrast) * small**self.size
        return {"length": length, "contrast": contrast, "weight": float(weight)}

    @staticmethod
    def _absorb(rag: graph.RAG, source: int, target: int) -> None:
        """Update the target's mean colour and size, as scikit-image's `merge_func`."""
        a, b = rag.nodes[source], rag.nodes[target]
        share = a["share"] + b["share"]
        b["mean"] = (a["mean"] * a["share"] + b["mean"] * b["share"]) / share
        b["share"] = share

    def _joined_border(self, rag: graph.RAG, source: int, target: int, neighbour: int) -> dict[str, float]:
        """Attributes of the edge from the merged region to a neighbour, as scikit-image's `weight_func`."""
        borders = [rag[region][neighbour] for region in (source, target) if rag.has_edge(region, neighbour)]
        length = sum(border["length"] for border in borders)
        contrast = sum(border["length"] * border["contrast"] for border in borders) / length
        return self._border(rag, target, neighbour, length, contrast)


def _gradient(lab: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width"]:
    """Colour difference per pixel, from derivatives of a Gaussian with a standard deviation of one pixel."""
    slopes = [ndimage.gaussian_filter(lab, (1, 1, 0), order=cast("Any", order)) for order in ((1, 0, 0), (0, 1, 0))]
    return np.linalg.norm(np.concatenate(slopes, axis=-1), axis=-1)


def _borders(
    labels: Int[np.ndarray, "height width"], gradient: Float[np.ndarray, "height width"]
) -> tuple[list[list[int]], list[float], list[float]]:
    """Pairs of neighbouring regions, the length of each pair's border in pixels, and the mean gradient along it."""
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
    """The image, shrunk if its longer side exceeds `longest_side` pixels."""
    height, width = image.shape[:2]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return image
    return cv2.resize(
        image, (max(round(width * scale), 1), max(round(height * scale), 1)), interpolation=cv2.INTER_AREA
    )
