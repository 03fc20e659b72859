"""What cameras see of a thing: the share of its surface from which light arrives through all that stands between."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.compat.lenses import origins, projected
from disconerf_ns.rendering.left import sample_edited
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.occupancy import intersect_box, with_neighbours
from disconerf_ns.scene.solid import Solid

POINTS = 32
"""Points of a surface that are looked for."""
SEES = 0.1
"""Share of a thing's surface from which on a camera sees it; the side that is turned to the camera is about half."""


def surface_of(solid: Solid) -> Float[Tensor, "points 3"]:
    """Middles of at most `POINTS` voxels of a solid's surface, in scene coordinates."""
    beside_empty = with_neighbours(~solid.grid.occupied)
    return drawn(solid.points[beside_empty[solid.grid.occupied]].cpu())


def drawn(points: Float[Tensor, "n 3"], count: int = POINTS) -> Float[Tensor, "points 3"]:
    """At most `count` of some points, the same ones each time."""
    return points[torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[:count]]


def shares_seen(
    scene: ArrangedScene, cameras: Cameras, points: Float[Tensor, "points 3"], margin: float
) -> Float[Tensor, "cameras"]:
    """Share of the points that each camera sees: inside its picture, and with nothing between, the scene unedited.

    Args:
        cameras: n of any kind; their lenses count as free of distortion.
        points: of a surface, in scene coordinates.
        margin: depth of surface that may lie before a point.
    """
    cameras = cameras.to("cpu")
    inside = projected(cameras, points)[2]
    point, camera = inside.nonzero(as_tuple=True)
    seen, starts = torch.zeros(inside.shape), origins(cameras, points)[point, camera]
    until = (points[point] - starts).norm(dim=-1) - margin
    seen[point, camera] = (hidden(scene, starts, points[point], until, edited=False) < 0.5).float()
    return seen.mean(0)


def shares_clear(
    scene: ArrangedScene, positions: Float[Tensor, "places 3"], points: Float[Tensor, "points 3"]
) -> Float[Tensor, "places"]:
    """Share of a thing's points that nothing in the edited scene hides from each place, up to the box of the points."""
    origins, ends = pairs(positions, points)
    away = ends - origins
    distance = away.norm(dim=-1)
    enter, _ = intersect_box(origins, away / distance[:, None], torch.stack([points.amin(0), points.amax(0)]))
    clear = hidden(scene, origins, ends, enter.minimum(distance), edited=True) < 0.5
    return clear.view(len(positions), -1).float().mean(-1)


def in_sight(
    scene: ArrangedScene, positions: Float[Tensor, "places 3"], photographs: Float[Tensor, "photographs 3"]
) -> Bool[Tensor, "places"]:
    """Places that can be seen from where half of some photographs were taken, so that no wall is between.

    Light is followed as the photographs saw it: towards them. Seen from outside, where no photograph was taken, the
    samples of a radiance field may miss a wall.
    """
    origins, ends = pairs(photographs, positions)
    free = hidden(scene, origins, ends, (ends - origins).norm(dim=-1), edited=False) < 0.5
    return free.view(len(photographs), -1).float().mean(0) >= 0.5


def pairs(
    starts: Float[Tensor, "starts 3"], ends: Float[Tensor, "ends 3"]
) -> tuple[Float[Tensor, "pairs 3"], Float[Tensor, "pairs 3"]]:
    """Each start with each end, the ends of a start after each other."""
    return starts.repeat_interleave(len(ends), 0), ends.repeat(len(starts), 1)


def hidden(
    scene: ArrangedScene,
    origins: Float[Tensor, "rays 3"],
    points: Float[Tensor, "rays 3"],
    until: Float[Tensor, "rays"],
    edited: bool,
) -> Float[Tensor, "rays"]:
    """Fraction of a point's light that is lost on its way to an origin: the rendering weights (Eq. 1) in between.

    Args:
        until: distance from the origin from which on nothing counts.
        edited: whether the scene's edit counts.
    """
    radiance, size, parts = scene.trained.radiance, scene.options.rays_at_once, []
    ends = (column.to(radiance.device).split(size) for column in (origins, points, until))
    with radiance.still():
        for start, end, last in zip(*ends):
            distance = (end - start).norm(dim=-1, keepdim=True)
            directions = (end - start) / distance.clamp(min=1e-9)
            rays = RayBundle(origins=start, directions=directions, pixel_area=torch.ones_like(distance))
            if edited and scene.edit.repaints:
                samples = sample_edited(scene, rays).samples
                weights, depth = samples.weights, (samples.positions - start[:, None]).norm(dim=-1)
            else:
                intervals = radiance.sample(rays)
                weights, depth = intervals.weights(radiance.densities(intervals)), intervals.middles
            parts.append((weights * (depth < last[:, None])).sum(-1).cpu())
    return torch.cat(parts) if parts else torch.zeros(0)
