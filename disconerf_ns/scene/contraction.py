"""Scene positions to the unit cube in which the radiance field and the object field live, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from nerfstudio.field_components.spatial_distortions import SceneContraction
from torch import Tensor


@dataclass(frozen=True)
class Contraction:
    """nerfacto's map of the scene into [0, 1]^3: unbounded space is contracted, a bounded box is scaled."""

    box: Float[Tensor, "2 3"]
    """The scene's box, which is scaled where nothing is contracted."""
    distort: Callable[[Float[Tensor, "*n 3"]], Float[Tensor, "*n 3"]] | None
    """Contraction of unbounded space into [-2, 2]^3 (mip-NeRF 360, Eq. 10); None scales `box`."""

    def __call__(self, positions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Contracted positions in [0, 1]^3 of scene positions."""
        if self.distort is None:
            low, high = self.box
            return ((positions - low) / (high - low)).clamp(0, 1)
        if not has_maximum_norm(self.distort):
            return (self.distort(positions) + 2) / 4
        norm = positions.abs()
        norm = norm[..., :1].maximum(norm[..., 1:2]).maximum(norm[..., 2:])
        if norm.device.type == "cpu" and bool((norm < 1).all()):  # a GPU would be waited for
            return (positions + 2) / 4
        return (torch.where(norm < 1, positions, (2 - 1 / norm) * (positions / norm)) + 2) / 4

    def inverse(self, contracted: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Scene positions of contracted positions in [0, 1]^3; of the maximum norm where space is contracted."""
        if self.distort is None:
            low, high = self.box
            return low + contracted * (high - low)
        y = contracted * 4 - 2
        norm = y.abs().amax(-1, keepdim=True)
        return torch.where(norm > 1, y / (norm * (2 - norm).clamp(min=1e-3)), y)

    def around(self, low: Float[Tensor, "*n 3"], high: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 2 3"]:
        """Smallest contracted box around each scene box, of the maximum norm where space is contracted.

        A coordinate x_k of a point with norm n becomes x_k s(n), and s falls. So it is largest at the box's largest
        x_k, with the smallest n that the other axes allow if x_k is positive, and with the largest n otherwise.
        """
        if self.distort is None:
            return torch.stack([self(low), self(high)], -2)
        nearest = torch.where(low * high > 0, low.abs().minimum(high.abs()), 0)
        farthest = low.abs().maximum(high.abs())

        def outermost(x: Tensor, sign: int) -> Tensor:
            others = [torch.where(x[..., k, None] * sign >= 0, nearest, farthest).clone() for k in range(3)]
            for k, other in enumerate(others):
                other[..., k] = x[..., k].abs()
            norm = torch.stack([other.amax(-1) for other in others], -1).clamp(min=1)
            return (x * (2 - 1 / norm) / norm + 2) / 4

        return torch.stack([outermost(low, -1), outermost(high, 1)], -2)

    def stretch(self, contracted: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Factor by which `inverse` lengthens a short step from contracted positions, outwards where it contracts.

        With n the maximum norm of 4 y - 2, that is 4 / (2 - n)^2; steps across are lengthened less.
        """
        if self.distort is None:
            return (self.box[1] - self.box[0]).amax().expand(contracted.shape[:-1])
        norm = (contracted * 4 - 2).abs().amax(-1)
        return 4 / (2 - norm.clamp(min=1)).clamp(min=1e-3).square()


def has_maximum_norm(distort: object) -> bool:
    """Whether a contraction is nerfstudio's with the maximum norm, as nerfacto's is."""
    return isinstance(distort, SceneContraction) and distort.order == float("inf")


def voxel_of(contracted: Float[Tensor, "*n 3"], resolution: int) -> Int[Tensor, "*n 3"]:
    """Voxel of each contracted position in [0, 1]^3, of `resolution` along an axis."""
    return (contracted * resolution).long().clamp(0, resolution - 1)
