"""The colours of a surface: as the cameras that see a point best see it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn.functional import normalize

from disconerf_ns.compat.lenses import origins
from disconerf_ns.export.grid import ObjectGrid
from disconerf_ns.export.light import light, spread
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId

BEST = 3
"""Cameras whose colours are averaged at a point."""
OUTSIDE = 1.0
"""Cubes in front of the surface at which it is decided whether a camera sees a point."""
UNSEEN = 0.05
"""Light times cosine from which on a camera sees a point."""
AT_ONCE = 2**17
"""Points whose colours are asked for together."""


def lines_of_sight(
    grid: ObjectGrid,
    cameras: Cameras,
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    space: Callable[[Float[Tensor, "n 3"]], Bool[Tensor, "n"]] | None = None,
) -> tuple[Float[Tensor, "best n"], Float[Tensor, "best n 3"]]:
    """How well the best cameras see points of a surface, and the unit directions along which they do.

    A camera sees a point as well as its light gets there, times the cosine between ray and normal. Other objects keep
    no light off, so no camera sees a point before which another object stood, as far as the space that photographs
    looked into says.

    Args:
        grid: the object's density.
        cameras: the training cameras.
        points: scene positions.
        normals: unit vectors outwards.
        space: whether photographs looked into positions, such as `SeenSpace`; everywhere by default.
    """
    before = points + OUTSIDE * grid.cube(points) * normals
    seen, directions = [], []
    for camera in spread(cameras):
        along = normalize(points - origins(camera, points)[:, 0], dim=-1)
        directions.append(along)
        seen.append(light(grid, camera, before) * (-along * normals).sum(-1).clamp(min=0))
    best = torch.stack(seen).topk(min(BEST, len(seen)), dim=0)
    looked = torch.ones_like(points[:, 0]) if space is None else space(before).to(points)
    return best.values * looked, torch.stack(directions).gather(0, best.indices[..., None].expand(-1, -1, 3))


def colors_of(
    scene: ArrangedScene,
    id: ObjectId,
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    weights: Float[Tensor, "best n"],
    directions: Float[Tensor, "best n 3"],
) -> Float[Tensor, "n 3"]:
    """RGB in [0, 1] of points of an object, as the edit colours it: a mean over the cameras that see them best.

    A point that no camera sees has the colour of the nearest one that is seen, because the field knows none there.
    Where the object is completed, and beside others, it has the colour of its completion.

    Args:
        scene: the scene.
        id: the object.
        points: scene positions.
        normals: unit vectors outwards.
        weights, directions: of the best cameras, as `lines_of_sight` gives them.
    """
    unseen = weights[0] < UNSEEN
    weights = torch.where(unseen, 1.0, weights * (weights >= UNSEEN))
    directions = torch.where(unseen[None, :, None], -normals, directions)
    total = torch.zeros_like(points)
    with scene.trained.radiance.still():
        for weight, along in zip(weights, directions):
            shades = [
                scene.trained.radiance.shade(some, those)[1]
                for some, those in zip(points.split(AT_ONCE), along.split(AT_ONCE))
            ]
            total += weight[:, None] * torch.cat(shades).to(total)
    rgb = total / weights.sum(0)[:, None]
    if unseen.any() and not unseen.all():
        _, nearest = KDTree(points[~unseen].cpu().numpy()).query(points[unseen].cpu().numpy())
        rgb[unseen] = rgb[~unseen][torch.from_numpy(nearest).to(rgb.device)]
    if (completion := scene.bodies.completion(id)) is not None:
        rgb = completion.at(points - completion.side * normals).over(rgb)
    return scene.table.tint(rgb, torch.full((len(points),), id, device=points.device)).clamp(0, 1)
