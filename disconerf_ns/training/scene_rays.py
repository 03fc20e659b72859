"""Rays of all training views with their masks, of which every iteration of the object stage draws some.

The losses are means over pixels with fixed targets, so their mean over drawn pixels is unbiased. Every iteration looks
at every view: a view's rays, in the order of a space-filling curve, are divided into as many equal parts as rays are
drawn, and each part gives one. So the drawn rays lie evenly over the surface that the view shows.

All that a draw needs is on the device, and its shapes are always the same, so that the host waits for nothing and a
CUDA graph can hold the draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int16, UInt8
from torch import Tensor

from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.masks.masked_view import MaskedView, pack, unpack
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.surface.storage import sample_sizes
from disconerf_ns.training.batch import ObjectBatch, real_masks, targets_of
from disconerf_ns.training.curve import along_curve
from disconerf_ns.training.objective import MaskTargets, quick

Rays = tuple[Int16[Tensor, "rays points 3"], Float[Tensor, "rays"], UInt8[Tensor, "rays bytes"]]
"""Packed surface points, accumulation in half precision, and masks with one bit each: the first mask of a ray's view is
the highest bit of the ray's first byte, so that all masks of a ray are a few neighbouring bytes."""


LEAST_RAYS = 2**20
"""Number of rays that are kept however small the budgets of memory are: a few dozen MiB."""


def row_bytes(masks: int) -> int:
    """Bytes of one ray's masks."""
    return -(-masks // 8)


def stride_within(rays: int, points: int, masks: int, surface_bytes: int, mask_bytes: int) -> int:
    """The least stride with which rays fit into the budgets of memory, or LEAST_RAYS rays are kept.

    Args:
        rays: number of rays of all views.
        points: surface points per ray.
        masks: largest number of masks of a view; 0 where none of a device's views has any.
        surface_bytes: budget of the surface points.
        mask_bytes: budget of the masks.
    """
    fit = min(surface_bytes // sum(sample_sizes(1, points)), mask_bytes // max(row_bytes(masks), 1))
    return -(-rays // max(fit, LEAST_RAYS))


def pixels_that_count(surface: SurfaceSamples, view: MaskedView, stride: int) -> Int[Tensor, "rays"]:
    """A view's pixels whose rays are kept, along a space-filling curve; the first pixel where none has a loss.

    Args:
        surface: surface samples of the view.
        view: its masks.
        stride: every so many rays along the curve, one is kept.
    """
    kept = view.valid.nonzero()[:, 0]
    if len(kept) == 0:
        kept = kept.new_zeros(1)
    return kept[along_curve(surface.packed[kept, 0])[::stride]]


def rays_that_count(surface: SurfaceSamples, view: MaskedView, masks: int, stride: int) -> Rays:
    """A view's rays that have a loss, along a space-filling curve; without any, one ray that sees nothing.

    Args:
        surface: surface samples of the view.
        view: its masks.
        masks: number of masks to which the view's masks are padded with zeros.
        stride: every so many rays along the curve, one is kept.
    """
    kept = pixels_that_count(surface, view, stride)
    counts = view.valid[kept]
    bits = unpack(view.bits, len(view.valid))[:, kept].mT.bool() & counts[:, None]
    bits = torch.nn.functional.pad(bits, (0, masks - bits.shape[1]))
    return surface.packed[kept], surface.accumulation[kept] * counts, pack(bits)


@dataclass
class SceneRays:
    """The rays that have a loss, one view after the other."""

    rays: Rays
    """Rays of all views, as `rays_that_count` returns them."""
    first: Int[Tensor, "views"]
    """Index of each view's first ray."""
    count: Int[Tensor, "views"]
    """Number of each view's rays, at least 1."""
    real: Bool[Tensor, "views masks"]
    """True for real masks, False for padding."""
    targets: MaskTargets
    """Sets of slots that the masks of all views are compared with."""
    drawn: int
    """Number of rays that a draw takes of each view."""

    @classmethod
    def of(
        cls,
        surfaces: Sequence[SurfaceSamples],
        views: Iterable[MaskedView],
        explanations: Sequence[Explanation],
        drawn: int,
        stride: int,
        device: torch.device | str,
    ) -> SceneRays:
        """Bring rays and masks to the device that trains.

        Args:
            surfaces: surface samples of each view.
            views: masks of the same views.
            explanations: explanations of these masks, on the device.
            drawn: number of rays that a draw takes of all views, rounded so that it takes the same number of each, at
                least one and at most as many as the largest view has.
            stride: every so many rays of a view, one is kept; 1 keeps all.
            device: device of the rays.
        """
        masks = [len(explanation.sets) for explanation in explanations]
        total = sum(-(-len(surface) // stride) for surface in surfaces)
        rays: Rays = (
            torch.empty(total, *surfaces[0].packed.shape[1:], dtype=torch.int16, device=device),
            torch.empty(total, dtype=torch.float16, device=device),
            torch.empty(total, row_bytes(max(masks)), dtype=torch.uint8, device=device),
        )
        counts, end = [], 0
        for surface, view in zip(surfaces, views):
            part = rays_that_count(surface.to(device), view.to(device), max(masks), stride)
            counts.append(len(part[0]))
            start, end = end, end + counts[-1]
            for column, values in zip(rays, part):
                column[start:end] = values
        count = torch.tensor(counts, device=device)
        return cls(
            rays=(rays[0][:end], rays[1][:end], rays[2][:end]),
            first=count.cumsum(0) - count,
            count=count,
            real=real_masks(masks, device),
            targets=targets_of(explanations),
            drawn=min(max(drawn // len(counts), 1), max(counts)),
        )

    def draw(self) -> ObjectBatch:
        """Random rays of every view; part i of n parts of a view's rays gives ray (i count + r) // n, 0 <= r < count.

        All pairs (i, r) together give each ray n times, so that each is drawn n / count times on average.
        """
        packed, accumulation, bits = self.rays
        shape = len(self.count), self.drawn
        part, count = torch.arange(self.drawn, device=self.count.device), self.count[:, None]
        random = torch.randint(2**62, shape, device=self.count.device) % count
        ray = self.first[:, None] + (part * count + random) // self.drawn
        each = torch.full_like(self.count, self.drawn)
        return ObjectBatch(
            packed=packed[ray],
            accumulation=accumulation[ray].float(),
            masks=unpack(bits[ray], self.real.shape[1]).to(quick(bits.device)),
            rays=each,
            pixels=each,
            real=self.real,
            targets=self.targets,
        )
