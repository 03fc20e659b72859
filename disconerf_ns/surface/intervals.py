"""Samples of rays: intervals between increasing distances, their rendering weights (Eq. 1), and how rays are spaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Intervals:
    """Samples of rays, one after the other along each ray; the field is looked at in the middle of each."""

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    edges: Float[Tensor, "rays edges"]
    """Distances between the samples, increasing; one more than there are samples."""

    @property
    def middles(self) -> Float[Tensor, "rays samples"]:
        """Distance of the middle of each sample."""
        return (self.edges[:, :-1] + self.edges[:, 1:]) / 2

    @property
    def positions(self) -> Float[Tensor, "rays samples 3"]:
        """Scene position of the middle of each sample."""
        return self.origins[:, None] + self.directions[:, None] * self.middles[..., None]

    def at(self, rays: Int[Tensor, "some"]) -> Intervals:
        """The samples of some rays, by index."""
        return Intervals(self.origins[rays], self.directions[rays], self.edges[rays])

    def weights(self, density: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples"]:
        """Rendering weights w_i = T_i - T_i+1, with the transmittance T_i = exp(-sum of density times length before i).

        Samples whose density is not a number, and all behind them on the ray, weigh nothing.
        """
        passed = (density * self.edges.diff(dim=-1)).cumsum(-1)
        transmittance = pad(passed, (1, 0)).neg_().exp_()
        return (transmittance[:, :-1] - transmittance[:, 1:]).nan_to_num_()


# -------------------------------------------------------------------- spacing


class Spacing(NamedTuple):
    """Monotone map of distances to the numbers in which samples are spread evenly along a ray, and its inverse."""

    of: Callable[[Float[Tensor, "*n"]], Float[Tensor, "*n"]]
    inverse: Callable[[Float[Tensor, "*n"]], Float[Tensor, "*n"]]


def piecewise(distance: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """nerfacto's spacing of a ray: linear up to distance 1, in disparity beyond; [0, inf) to [0, 1)."""
    return torch.where(distance < 1, distance / 2, 1 - 1 / (2 * distance.clamp(min=1)))


def piecewise_inverse(spacing: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Distance of a spacing in [0, 1]; infinite at 1, as in nerfstudio, so that rays beside a crop box see nothing."""
    return torch.where(spacing < 0.5, 2 * spacing, 0.5 / (1 - spacing))


PIECEWISE = Spacing(piecewise, piecewise_inverse)
UNIFORM = Spacing(lambda distance: distance, lambda spacing: spacing)
