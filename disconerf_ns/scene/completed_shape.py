"""The shape of an object where no photograph saw it, bounded by rays and by the surface through its seen points."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import ConvexHull
from torch import Tensor

from disconerf_ns.scene.occupancy import intersect_box
from disconerf_ns.scene.seen_rays import SeenRays

DEPTH = 6
"""Depth of the octree in which the surface is found."""
NEIGHBOURS, OUTLYING = 16, 2.0
"""Neighbouring points that tell a normal. A point is an outlier if it lies this many standard deviations farther from
them than points do in the mean."""
SLACK = 0.5
"""Voxels around the convex hull that count to it."""
AT_ONCE = 2**13
"""Rays, or positions, that are looked at together."""


def passed(rays: SeenRays, low: Float[Tensor, "3"], side: float, shape: list[int]) -> Bool[Tensor, "x y z"]:
    """Voxels that rays pass to their ends and a voxel beyond.

    Args:
        rays: the rays.
        low: the voxels' lower corner.
        side: side of a voxel.
        shape: voxels along each axis.
    """
    size = torch.tensor(shape, device=low.device)
    enter, leave = intersect_box(rays.origins, rays.directions, torch.stack([low, low + size * side]))
    leave = leave.minimum(rays.ends + side)
    seen = torch.zeros(shape, dtype=torch.bool, device=low.device)
    for some in (enter < leave).nonzero()[:, 0].split(AT_ONCE):
        longest = float((leave[some] - enter[some]).max())
        distances = enter[some, None] + torch.arange(0, longest + side, side, device=low.device)
        places = rays.origins[some, None] + rays.directions[some, None] * distances[..., None]
        seen |= voxels_of(places[distances < leave[some, None]], low, side, shape)
    return seen


def voxels_of(
    points: Float[Tensor, "n 3"], low: Float[Tensor, "3"], side: float, shape: list[int]
) -> Bool[Tensor, "x y z"]:
    """Voxels that hold points; arguments as in `passed`."""
    cells = ((points - low) / side).floor().long()
    held = torch.zeros(shape, dtype=torch.bool, device=low.device)
    there = ((cells >= 0) & (cells < torch.tensor(shape, device=low.device))).all(-1)
    held[cells[there].unbind(-1)] = True
    return held


def inside_of(own: SeenRays, positions: Float[Tensor, "n 3"], side: float) -> Bool[Tensor, "n"]:
    """Positions inside of the smooth closed surface through seen points, and of their convex hull.

    Args:
        own: rays that end on the object.
        positions: scene positions.
        side: side of a voxel; finer detail does not count.
    Raises:
        QhullError: the points lie in one plane.
    """
    import open3d as o3d

    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(own.points.cpu().double().numpy()))
    cloud.normals = o3d.utility.Vector3dVector(own.directions.cpu().double().numpy())
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        cloud, _ = cloud.voxel_down_sample(side / 2).remove_statistical_outlier(NEIGHBOURS, OUTLYING)
        planes = ConvexHull(np.asarray(cloud.points)).equations
        along = np.asarray(cloud.normals).copy()
        cloud.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(NEIGHBOURS))
        normals = np.asarray(cloud.normals)
        normals[(normals * along).sum(-1) > 0] *= -1
        mesh, _ = o3d.geometry.TriangleMesh.create_from_point_cloud_poisson(cloud, depth=DEPTH, n_threads=1)
        surface = o3d.t.geometry.RaycastingScene(nthreads=1)
        surface.add_triangles(o3d.t.geometry.TriangleMesh.from_legacy(mesh))
    places = positions.cpu().double().numpy()
    inside = np.zeros(len(places), bool)
    for start in range(0, len(places), AT_ONCE):
        some = places[start : start + AT_ONCE]
        beyond = (some @ planes[:, :3].T + planes[:, 3]).max(-1)
        queries = o3d.core.Tensor.from_numpy(some.astype(np.float32))
        within = surface.compute_occupancy(queries, nthreads=1, nsamples=3).numpy() > 0.5
        inside[start : start + AT_ONCE] = within & (beyond < SLACK * side)
    return torch.from_numpy(inside).to(positions.device)
