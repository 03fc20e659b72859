"""Whole views as one batch: their frozen surface points, masks, and what the masks are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.masks.masked_view import MaskedView, unpack
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training.objective import MaskTargets, quick


def stacked(parts: Sequence[Shaped[Tensor, "..."]]) -> Shaped[Tensor, "parts ..."]:
    """Tensors as one, each filled up with zeros to the largest."""
    shapes = {part.shape for part in parts}
    if len(shapes) == 1:
        return torch.stack(list(parts))
    out = parts[0].new_zeros(len(parts), *(max(sizes) for sizes in zip(*shapes)))
    for place, part in zip(out, parts):
        place[tuple(slice(size) for size in part.shape)] = part
    return out


@dataclass
class ObjectBatch:
    """Whole views of one object iteration; those with fewer pixels or masks are filled up with nothing."""

    packed: Shaped[Tensor, "views pixels points 3"]
    """Contracted surface points, packed as in `SurfaceSamples`."""
    accumulation: Float[Tensor, "views pixels"]
    """Accumulation A in [0, 1], 0 for pixels that take part in no loss."""
    masks: Float[Tensor, "views pixels masks"]
    """Binary masks, 0 for pixels that take part in no loss."""
    rays: Int[Tensor, "views"]
    """Pixels of each view."""
    pixels: Int[Tensor, "views"]
    """Those that take part in a loss."""
    counts: list[int]
    """Masks of each view."""
    targets: MaskTargets | None
    """What the masks are compared with; None matches them with the slots as they are now."""

    @classmethod
    def of(
        cls,
        surfaces: Sequence[SurfaceSamples],
        views: Sequence[MaskedView],
        explanations: Sequence[Explanation] | None,
        device: torch.device | str,
    ) -> ObjectBatch:
        """Views on a device.

        Args:
            surfaces: surface samples of each view.
            views: masks of the same views.
            explanations: what those masks are about; None matches them with the slots as they are now.
            device: where the batch goes.
        """
        valid = stacked([view.valid for view in views]).to(device, non_blocking=True)
        bits = stacked([view.bits for view in views]).to(device, non_blocking=True)
        masks = (unpack(bits, valid.shape[1]) * valid[:, None]).mT.to(quick(bits.device))
        targets = None
        if explanations is not None:
            alpha = stacked([some.affinity for some in explanations])
            about = stacked([some.explained for some in explanations])
            targets = MaskTargets(stacked([some.sets for some in explanations]), alpha, about)
        return cls(
            packed=stacked([surface.packed for surface in surfaces]).to(device, non_blocking=True),
            accumulation=stacked([surface.accumulation for surface in surfaces]).to(device).float() * valid,
            masks=masks,
            rays=torch.tensor([len(surface) for surface in surfaces], device=device),
            pixels=valid.sum(1),
            counts=[len(view.bits) for view in views],
            targets=targets,
        )

    @property
    def real(self) -> Bool[Tensor, "views masks"]:
        """True for real masks, False for padding."""
        counts = torch.tensor(self.counts, device=self.masks.device)
        return torch.arange(self.masks.shape[2], device=self.masks.device) < counts[:, None]

    @property
    def surface(self) -> SurfaceSamples:
        """All rays, one view after the other."""
        return SurfaceSamples(self.packed.flatten(0, 1), self.accumulation.flatten())

    def choose(self, count: int) -> Int[Tensor, "count"]:
        """Random points of the batch's surface: each as likely within its view, and views as likely as each other."""
        device = self.rays.device
        view = torch.randint(len(self.rays), (count,), device=device)
        ray = (torch.rand(count, device=device) * self.rays[view]).long().clamp(max=self.packed.shape[1] - 1)
        point = torch.randint(self.packed.shape[2], (count,), device=device)
        return (view * self.packed.shape[1] + ray) * self.packed.shape[2] + point
