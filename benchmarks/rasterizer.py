"""3D gaussians drawn on a CPU: their projections as ellipses (EWA), front to back, composited (Kerbl et al. 2023).

It does what gsplat's `rasterization` does on a GPU, tile by tile in torch: fast enough for small pictures of some
hundred thousand gaussians.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor
from torch.nn.functional import normalize

from disconerf_ns.gaussians.splats import Splats

BLUR = 0.3
"""Variance in square pixels that is added to every ellipse, as all splat viewers do."""
BESIDE = 0.15
"""Fraction of the picture's size beside it beyond which the affine approximation, which fails there, is held."""
THINNEST = 1 / 255
"""Opacity below which a gaussian does not change a pixel."""
MOST = 0.999
NEAR = 0.01
TILE = 16


class Ellipses(NamedTuple):
    """Projections of gaussians that lie in front of the camera and in the picture."""

    row: Int[Tensor, "n"]
    """Index of the gaussian."""
    means: Float[Tensor, "n 2"]
    """Pixel coordinates."""
    conics: Float[Tensor, "n 3"]
    """Entries xx, xy, yy of the inverse covariances."""
    depths: Float[Tensor, "n"]
    radii: Float[Tensor, "n"]
    """Three standard deviations along the longer axis, in pixels."""


class Picture(NamedTuple):
    """A picture of gaussians on black."""

    rgb: Float[Tensor, "height width 3"]
    alpha: Float[Tensor, "height width"]


def project(splats: Splats, camera: Cameras) -> Ellipses:
    """Project gaussians by the local affine approximation of a pinhole camera.

    Args:
        splats: gaussians in the camera's world coordinates.
        camera: one camera of nerfstudio, which looks along -z.
    """
    width, height = int(camera.width), int(camera.height)
    fx, fy, cx, cy = (float(value) for value in (camera.fx, camera.fy, camera.cx, camera.cy))
    pose = camera.camera_to_worlds.reshape(3, 4).to(splats.means)
    turn = (pose[:, :3] * torch.tensor([1.0, -1.0, -1.0])).T
    x, y, z = ((splats.means - pose[:, 3]) @ turn.T).unbind(-1)
    row = (z > NEAR).nonzero()[:, 0]
    x, y, z = x[row], y[row], z[row]
    u = (x / z).clamp((-cx - BESIDE * width) / fx, (width - cx + BESIDE * width) / fx)
    v = (y / z).clamp((-cy - BESIDE * height) / fy, (height - cy + BESIDE * height) / fy)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [torch.stack([fx / z, zero, -fx * u / z], -1), torch.stack([zero, fy / z, -fy * v / z], -1)], 1
    )
    linear = jacobian @ turn
    covariance = linear @ splats.selected(row).covariances @ linear.mT
    xx, xy, yy = covariance[:, 0, 0] + BLUR, covariance[:, 0, 1], covariance[:, 1, 1] + BLUR
    determinant = (xx * yy - xy * xy).clamp(min=1e-10)
    middle = (xx + yy) / 2
    radii = torch.ceil(3 * (middle + (middle * middle - determinant).clamp(min=0.01).sqrt()).sqrt())
    means = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)
    size = torch.tensor([width, height])
    inside = ((means + radii[:, None] > 0) & (means - radii[:, None] < size)).all(-1)
    conics = torch.stack([yy, -xy, xx], -1) / determinant[:, None]
    return Ellipses(row[inside], means[inside], conics[inside], z[inside], radii[inside])


def rasterize(splats: Splats, camera: Cameras) -> Picture:
    """Draw gaussians from one camera.

    Args:
        splats: gaussians in the camera's world coordinates.
        camera: one camera.
    """
    origin = camera.camera_to_worlds.reshape(3, 4)[:, 3].to(splats.means)
    colors = splats.colors(normalize(splats.means - origin, dim=-1))
    image = composite(splats, camera, torch.cat([colors, torch.ones(len(splats), 1)], 1))
    return Picture(image[..., :3], image[..., 3])


def composite(splats: Splats, camera: Cameras, values: Float[Tensor, "n c"]) -> Float[Tensor, "height width c"]:
    """Values of gaussians, weighted with what of each is seen in a pixel.

    Args:
        splats, camera: as in `rasterize`.
        values: of each gaussian.
    """
    width, height = int(camera.width), int(camera.height)
    found = project(splats, camera)
    order = found.depths.argsort()
    found = Ellipses(*(column[order] for column in found))
    opacities, values = splats.opacities[found.row], values[found.row]
    image = torch.zeros(height, width, values.shape[1])
    low, high = found.means - found.radii[:, None], found.means + found.radii[:, None]
    for top in range(0, height, TILE):
        in_row = ((high[:, 1] > top) & (low[:, 1] < top + TILE)).nonzero()[:, 0]
        for left in range(0, width, TILE):
            touching = in_row[(high[in_row, 0] > left) & (low[in_row, 0] < left + TILE)]
            part = image[top : top + TILE, left : left + TILE]
            part += _tile(found, opacities, values, touching, left, top, part.shape)
    return image


def _tile(
    found: Ellipses, opacities: Tensor, values: Tensor, rows: Tensor, left: int, top: int, shape: tuple[int, ...]
) -> Float[Tensor, "rows columns c"]:
    y, x = torch.meshgrid(torch.arange(shape[0]) + top + 0.5, torch.arange(shape[1]) + left + 0.5, indexing="ij")
    dx = x.flatten()[:, None] - found.means[rows, 0]
    dy = y.flatten()[:, None] - found.means[rows, 1]
    xx, xy, yy = found.conics[rows].unbind(-1)
    alpha = opacities[rows] * torch.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy)
    alpha = torch.where(alpha < THINNEST, 0.0, alpha.clamp(max=MOST))
    left_over = torch.cumprod(1 - alpha, -1)
    weights = alpha * torch.cat([torch.ones_like(left_over[:, :1]), left_over[:, :-1]], 1)
    return (weights @ values[rows]).view(shape)
