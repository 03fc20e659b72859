"""3D gaussians as a value: where they are, how large, how they are turned, how opaque, and what colour they show."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn.functional import normalize, pad, softplus

from disconerf_ns.gaussians.spherical_harmonics import basis, degree_of, turned
from disconerf_ns.scene.similarity import Similarity

PROBES = 16
"""Points that stand for a gaussian."""


@cache
def standard_probes() -> Float[Tensor, "probes 3"]:
    """Points spread as a normal distribution is: a low-discrepancy sequence, with mean 0 and covariance 1 exactly."""
    uniform = torch.quasirandom.SobolEngine(3, scramble=True, seed=0).draw(PROBES, dtype=torch.float64)
    points = torch.special.ndtri(uniform)
    points = points - points.mean(0)
    whitening = torch.linalg.cholesky((points.T @ points / PROBES).inverse())
    return points @ whitening


@dataclass(frozen=True, eq=False)
class Splats:
    """3D gaussians with the parameters of 3D Gaussian Splatting, as files hold them."""

    means: Float[Tensor, "n 3"]
    log_scales: Float[Tensor, "n 3"]
    """Logarithms of the standard deviations along the gaussian's own axes."""
    quaternions: Float[Tensor, "n 4"]
    """Turn of the axes, (w, x, y, z), of any length but 0."""
    opacity_logits: Float[Tensor, "n"]
    """Opacity at the mean, before the sigmoid."""
    sh: Float[Tensor, "n bases 3"]
    """Spherical harmonics of the colour, less 1/2, up to a degree from 0 to 3; degree 0 first."""

    def __len__(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        """Degree of the spherical harmonics."""
        return degree_of(self.sh.shape[1])

    @property
    def opacities(self) -> Float[Tensor, "n"]:
        """Opacity at the mean, in [0, 1]."""
        return self.opacity_logits.sigmoid()

    @property
    def scales(self) -> Float[Tensor, "n 3"]:
        """Standard deviations along the own axes."""
        return self.log_scales.exp()

    @property
    def axes(self) -> Float[Tensor, "n 3 3"]:
        """The own axes as columns, of length 1."""
        w, x, y, z = normalize(self.quaternions, dim=-1).unbind(-1)
        rows = (
            (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    @property
    def covariances(self) -> Float[Tensor, "n 3 3"]:
        """Covariance matrices."""
        spread = self.axes * self.scales[:, None]
        return spread @ spread.mT

    def colors(self, directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB of each gaussian as seen along a unit direction, from the camera to it; at least 0."""
        return (torch.einsum("nb,nbc->nc", basis(directions, self.degree), self.sh) + 0.5).clamp(min=0)

    @property
    def finite(self) -> Bool[Tensor, "n"]:
        """True for gaussians that can be drawn: no value of theirs is NaN or too large, and they have a turn."""
        values = [*self.columns, self.scales]
        finite = [value.isfinite().reshape(len(self), value.shape[1:].numel()).all(-1) for value in values]
        return torch.stack(finite).all(0) & (self.quaternions.norm(dim=-1) > 0)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the parameters, in hexadecimal digits."""
        digest = hashlib.sha256()
        for column in self.columns:
            digest.update(column.cpu().numpy().tobytes())
        return digest.hexdigest()

    def probes(self) -> Float[Tensor, "n probes 3"]:
        """Points spread as each gaussian is, with its mean and covariance; the same pattern for all."""
        return self.means[:, None] + standard_probes().to(self.means) @ (self.axes * self.scales[:, None]).mT

    # ---------------------------------------------------------------- other splats

    def selected(self, which: Shaped[Tensor, "_"]) -> Splats:
        """Some of the gaussians, by a mask or by indices."""
        return Splats(*(column[which] for column in self.columns))

    def to(self, device: torch.device | str) -> Splats:
        """The gaussians on another device."""
        return Splats(*(column.to(device) for column in self.columns))

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """The parameters in the order of the fields."""
        return self.means, self.log_scales, self.quaternions, self.opacity_logits, self.sh

    @staticmethod
    def cat(parts: Sequence[Splats]) -> Splats:
        """Gaussians of several parts, at least one, one after the other, with the largest degree of them."""
        most = max(part.sh.shape[1] for part in parts)
        grown = [replace(part, sh=pad(part.sh, (0, 0, 0, most - part.sh.shape[1]))) for part in parts]
        return Splats(*(torch.cat(columns) for columns in zip(*(part.columns for part in grown))))

    def placed(self, placement: Similarity) -> Splats:
        """The gaussians turned, scaled and moved together, with the colours that they show on their sides."""
        w, x, y, z = placement.rotation
        product = torch.tensor([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]], dtype=torch.float64)
        return Splats(
            placement.points(self.means.double()).to(self.means),
            self.log_scales + math.log(placement.scale),
            self.quaternions @ product.T.to(self.quaternions),
            self.opacity_logits,
            turned(self.sh, placement.matrix[:3, :3] / placement.scale),
        )

    def halves(self) -> Splats:
        """Each gaussian cut in two across its longest axis: all first halves, then all second ones.

        Half a normal distribution has its mean at sigma sqrt(2 / pi) and variance sigma^2 (1 - 2 / pi); a half is the
        gaussian of these moments, so both together have the whole's mean and covariance. They share its optical depth
        -log(1 - opacity) in proportion to their height, 1 / (2 sqrt(1 - 2 / pi)) of the whole's.
        """
        longest = self.log_scales.argmax(-1, keepdim=True)
        axis = self.axes.gather(2, longest[:, None].expand(-1, 3, 1))[..., 0]
        step = axis * self.scales.gather(1, longest) * math.sqrt(2 / math.pi)
        narrower = math.log(1 - 2 / math.pi) / 2
        log_scales = self.log_scales.scatter_add(1, longest, torch.full_like(self.log_scales[:, :1], narrower))
        depth = (softplus(self.opacity_logits.double()) / (2 * math.exp(narrower))).clamp(min=1e-300)
        logits = (depth + (-torch.expm1(-depth)).log()).to(self.opacity_logits)
        half = replace(self, log_scales=log_scales, opacity_logits=logits)
        return Splats.cat([replace(half, means=self.means + step), replace(half, means=self.means - step)])
