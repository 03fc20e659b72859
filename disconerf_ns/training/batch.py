"""Batches of the object stage: frozen surface points, masks, and the slots that the masks are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int16, Shaped
from torch import Tensor

from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.masks.masked_view import MaskedView, unpack
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training.objective import MaskTargets, quick


def stacked(parts: Sequence[Shaped[Tensor, "..."]]) -> Shaped[Tensor, "parts ..."]:
    """Stack tensors into one; smaller tensors are padded with zeros at the end of each axis."""
    shapes = {part.shape for part in parts}
    if len(shapes) == 1:
        return torch.stack(list(parts))
    padded = parts[0].new_zeros(len(parts), *(max(sizes) for sizes in zip(*shapes)))
    for row, part in zip(padded, parts):
        row[tuple(slice(size) for size in part.shape)] = part
    return padded


def real_masks(counts: Sequence[int], device: torch.device | str) -> Bool[Tensor, "views masks"]:
    """True for real masks, False for the padding of views with fewer masks than others.

    Args:
        counts: number of masks of each view.
        device: device of the result.
    """
    most = torch.arange(max(counts, default=0), device=device)
    return most < torch.tensor(list(counts), device=device)[:, None]


def targets_of(explanations: Sequence[Explanation]) -> MaskTargets:
    """The sets of slots that explain the masks of several views."""
    return MaskTargets(
        sets=stacked([explanation.sets for explanation in explanations]),
        affinity=stacked([explanation.affinity for explanation in explanations]),
        counted=stacked([explanation.explained for explanation in explanations]),
    )


@dataclass
class ObjectBatch:
    """Pixels of one iteration of the object stage; views with fewer pixels or masks are padded with zeros."""

    packed: Int16[Tensor, "views pixels points 3"]
    """Contracted surface points, packed as in `SurfaceSamples`."""
    accumulation: Float[Tensor, "views pixels"]
    """Accumulation A in [0, 1]; 0 for pixels without a loss."""
    masks: Float[Tensor, "views pixels masks"]
    """Binary masks M; 0 for pixels without a loss."""
    rays: Int[Tensor, "views"]
    """Number of pixels of each view, without padding."""
    pixels: Int[Tensor, "views"]
    """Number of pixels of each view that have a loss."""
    real: Bool[Tensor, "views masks"]
    """True for real masks, False for padding."""
    targets: MaskTargets | None
    """Sets of slots that the masks are compared with; None matches the masks with the current slots."""
    counts: Sequence[int] = ()
    """Number of masks of each view, which the host needs for that matching."""

    @classmethod
    def of(
        cls,
        surfaces: Sequence[SurfaceSamples],
        views: Sequence[MaskedView],
        explanations: Sequence[Explanation] | None,
        device: torch.device | str,
    ) -> ObjectBatch:
        """Gather whole views into a batch.

        Args:
            surfaces: surface samples of each view.
            views: masks of the same views.
            explanations: explanations of these masks; None matches the masks with the current slots.
            device: device of the batch.
        """
        valid = stacked([view.valid for view in views]).to(device, non_blocking=True)
        bits = stacked([view.bits for view in views]).to(device, non_blocking=True)
        counts = [len(view.bits) for view in views]
        return cls(
            packed=stacked([surface.packed for surface in surfaces]).to(device, non_blocking=True),
            accumulation=stacked([surface.accumulation for surface in surfaces]).to(device).float() * valid,
            masks=(unpack(bits, valid.shape[1]) * valid[:, None]).mT.to(quick(bits.device)),
            rays=torch.tensor([len(surface) for surface in surfaces], device=device),
            pixels=valid.sum(1),
            real=real_masks(counts, device),
            targets=None if explanations is None else targets_of(explanations),
            counts=counts,
        )

    @property
    def surface(self) -> SurfaceSamples:
        """All rays of the batch, padding included, one view after the other."""
        return SurfaceSamples(self.packed.flatten(0, 1), self.accumulation.flatten())

    def choose(self, count: int) -> Int[Tensor, "count"]:
        """Indices of random surface points: all views are equally likely, and so are all points within a view."""
        device = self.rays.device
        view = torch.randint(len(self.rays), (count,), device=device)
        ray = (torch.rand(count, device=device) * self.rays[view]).long().clamp(max=self.packed.shape[1] - 1)
        point = torch.randint(self.packed.shape[2], (count,), device=device)
        return (view * self.packed.shape[1] + ray) * self.packed.shape[2] + point
