"""The frozen surface: the few points per ray that carry the radiance field's weight.

The radiance field never changes in the object stage, so every training view is sampled once. A ray with volume
rendering weights w_i (Eq. 1) keeps k points at equal steps of the weights' cumulative distribution; a rendered slot is
then O = A / k sum_j o(x_j), with accumulation A = sum_i w_i.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int16, Shaped
from torch import Tensor
from torch.nn.functional import pad

POSITION_STEPS = 2**16 - 1
"""Steps of a packed coordinate between 0 and 1."""
SOLID = 0.5
"""Accumulation above which a ray has a surface."""


def weight_quantiles(
    weights: Float[Tensor, "rays samples"], edges: Float[Tensor, "rays edges"], count: int, spread: float = 1e-6
) -> Float[Tensor, "rays count"]:
    """Distances at which the cumulative weight reaches (j + 1/2) / count of its total, linear in each bin.

    Args:
        weights: rendering weights, >= 0.
        edges: distances of the bins' edges, samples + 1 of them, increasing.
        count: points per ray.
        spread: weight in all that is added, the same to each sample; a ray without weight gets evenly spread points.
    """
    cdf = pad((weights + spread / weights.shape[-1]).cumsum(-1), (1, 0))
    levels = (torch.arange(count, device=weights.device) + 0.5) / count * cdf[:, -1:]
    upper = torch.searchsorted(cdf, levels.contiguous(), right=True).clamp(1, weights.shape[-1])
    below, above = cdf.gather(-1, upper - 1), cdf.gather(-1, upper)
    fraction = ((levels - below) / (above - below)).clamp(0, 1)
    start, end = edges.gather(-1, upper - 1), edges.gather(-1, upper)
    return start + fraction * (end - start)


@dataclass
class SurfaceSamples:
    """Surface points of rays: of one view while cached, of a whole batch in training."""

    packed: Int16[Tensor, "rays count 3"]
    """Contracted positions in steps of 1 / 65535."""
    accumulation: Float[Tensor, "rays"]
    """Accumulation A in [0, 1]."""

    @classmethod
    def pack(cls, positions: Float[Tensor, "rays count 3"], accumulation: Float[Tensor, "rays"]) -> SurfaceSamples:
        """Round contracted positions in [0, 1]^3 to 16-bit fixed point, which is finer near 1 than half precision.

        A ray with a position or an accumulation that is not finite sees nothing: its accumulation is 0.
        """
        finite = positions.isfinite().all(-1).all(-1) & accumulation.isfinite()
        steps = (positions.nan_to_num(0.5).clamp(0, 1) * POSITION_STEPS).round() - 2**15
        return cls(steps.to(torch.int16), torch.where(finite, accumulation, 0).half())

    @property
    def positions(self) -> Float[Tensor, "rays count 3"]:
        """Contracted positions in [0, 1]^3."""
        return (self.packed.float() + 2**15) / POSITION_STEPS

    @property
    def solid(self) -> Bool[Tensor, "rays"]:
        """True for rays that have a surface."""
        return self.accumulation > SOLID

    def __getitem__(self, rays: slice | Shaped[Tensor, "_"]) -> SurfaceSamples:
        """Samples of the selected rays."""
        return SurfaceSamples(self.packed[rays], self.accumulation[rays])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SurfaceSamples:
        """The same samples on another device; with `non_blocking` the host does not wait for the copy."""
        return SurfaceSamples(
            self.packed.to(device, non_blocking=non_blocking), self.accumulation.to(device, non_blocking=non_blocking)
        )

    @staticmethod
    def cat(parts: list[SurfaceSamples]) -> SurfaceSamples:
        """Samples of several views, one view after the other."""
        return SurfaceSamples(torch.cat([p.packed for p in parts]), torch.cat([p.accumulation for p in parts]))

    @property
    def nbytes(self) -> int:
        """Memory of the samples in bytes."""
        return self.packed.nbytes + self.accumulation.nbytes

    def __len__(self) -> int:
        return len(self.packed)


def render_slots(
    probabilities: Float[Tensor, "points slots"], accumulation: Float[Tensor, "rays"]
) -> Float[Tensor, "rays slots"]:
    """Slots rendered along rays whose k points carry equal weight: O = A / k sum_j o(x_j).

    Args:
        probabilities: slot probabilities o in [0, 1], all points of a ray one after the other.
        accumulation: accumulation A in [0, 1].
    """
    per_ray = probabilities.view(len(accumulation), -1, probabilities.shape[-1])
    return per_ray.mean(1) * accumulation[:, None]
