"""The closed surface of an object: the smooth one through the points that photographs saw of it, cut by their hull."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import ConvexHull, KDTree, QhullError
from torch import Tensor

from disconerf_ns.scene.poisson_warnings import warnings_of_poisson_unsaid
from disconerf_ns.scene.seen_rays import SeenRays

if TYPE_CHECKING:
    import open3d

VOXELS, LONGEST = 64**3, 192
"""Voxels of an object, about, and along its longest side, at most."""
APART = 1.3
"""Smallest side of a voxel, as a multiple of the mean distance of seen points: rays then pass all of seen space."""
LEAST = 100
"""Seen points of an object, at least; fewer tell nothing of its shape."""
DEPTH = 6
"""Depth of the octree in which the surface is found."""
NEIGHBOURS, OUTLYING = 16, 2.0
"""Neighbouring points that tell a normal. A point is an outlier if it lies this many standard deviations farther from
them than points do in the mean."""
COMPANY, AT_HAND = 0.15, 3.0
"""A point also is an outlier if it has less than this fraction of the median number of points within so many voxels:
rays that end deep in a fuzzy thing do."""
FOOT = 0.05
"""Fraction of an object's seen points that lie below the height on which it stands; noise makes them scatter."""
SLACK = 0.5
"""Voxels around the convex hull that count to it."""
AT_ONCE, FEW = 2**13, 2**9
"""Positions that are looked at together, and those whose distances from all planes of a hull fit into a cache."""


@dataclass(frozen=True, eq=False)
class ClosedSurface:
    """The Poisson surface through an object's seen points, cut by their convex hull.

    The Poisson surface (Kazhdan and Hoppe, *Screened Poisson Surface Reconstruction*, 2013) goes on as the seen surface
    does where no photograph looked. The hull cuts it, because it bulges where no points hold it. Things stand on the
    ground, and what is below them was seldom seen, so the hull reaches straight down from every point to their foot.
    """

    own: SeenRays
    """Rays that end on the object."""
    side: float
    """Side of the voxels in which the object is completed, in scene units; finer detail does not count."""
    smooth: open3d.t.geometry.RaycastingScene
    planes: Float[Tensor, "planes 4"]
    """Normals and offsets of the hull that reaches down to the foot."""
    tight: Float[Tensor, "faces 4"]
    """Normals and offsets of the hull of the seen points alone."""
    firm: KDTree
    """The ends of rays without outliers, half a voxel apart."""

    @classmethod
    def through(cls, own: SeenRays, box: Float[Tensor, "2 3"]) -> ClosedSurface | None:
        """Enclose an object.

        Args:
            own: rays that end on it.
            box: its box in scene coordinates; ends outside of it do not count.
        Returns:
            None where too little of the object was seen, or where what was seen lies in one plane.
        """
        own = own[((own.points >= box[0]) & (own.points <= box[1])).all(-1)]
        if len(own) < LEAST:
            return None
        ends = own.points.cpu().double().numpy()
        apart, size = float(KDTree(ends).query(ends, k=2)[0][:, 1].mean()), (box[1] - box[0]).double()
        side = max(float(size.prod() / VOXELS) ** (1 / 3), float(size.max()) / LONGEST, APART * apart)
        try:
            return cls(own, side, *_enclosed(ends, own.directions.cpu().double().numpy(), side))
        except (QhullError, RuntimeError, ValueError):  # what scipy and open3d raise of such points
            return None

    def holds(self, positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        """Whether scene positions are inside."""
        from open3d.core import Tensor as Open3dTensor

        within = self._within(self.planes, positions)
        places = positions[within].cpu().numpy().astype(np.float32)
        parts = [
            self.smooth.compute_occupancy(Open3dTensor.from_numpy(some), nthreads=1, nsamples=3).numpy() > 0.5
            for some in np.split(places, range(AT_ONCE, len(places), AT_ONCE))
            if len(some) > 0
        ]
        inside = torch.from_numpy(np.concatenate([np.zeros(0, bool), *parts]))
        return within.masked_scatter(within, inside.to(within.device))

    def hulls(self, positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        """Whether scene positions are inside of the convex hull of the seen points themselves, without their foot."""
        return self._within(self.tight, positions)

    def _within(self, planes: Float[Tensor, "planes 4"], positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        normals, offsets = planes.to(positions).split([3, 1], -1)
        outside = [torch.addmm(offsets, normals, some.T).amax(0) for some in positions.split(FEW)]
        return torch.cat(outside) < SLACK * self.side

    def distances(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """Distance of scene positions to the nearest of the object's seen points that is no outlier."""
        return torch.from_numpy(self.firm.query(positions.cpu().double().numpy())[0]).to(positions)


def _enclosed(
    ends: Float[np.ndarray, "n 3"], along: Float[np.ndarray, "n 3"], side: float
) -> tuple[open3d.t.geometry.RaycastingScene, Float[Tensor, "planes 4"], Float[Tensor, "faces 4"], KDTree]:
    """The Poisson surface through points, the planes of their hulls, and the points that are no outliers.

    Args:
        ends: the points, seen along the directions `along`.
        side: distance between points, about, from which on they count apart.
    """
    import open3d as o3d

    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(ends))
    cloud.normals = o3d.utility.Vector3dVector(along)
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        cloud, _ = cloud.voxel_down_sample(side / 2).remove_statistical_outlier(NEIGHBOURS, OUTLYING)
        points = np.asarray(cloud.points)
        company = KDTree(points).query_ball_point(points, AT_HAND * side, return_length=True)
        cloud = cloud.select_by_index(np.flatnonzero(company >= COMPANY * np.median(company)).tolist())
        firm = np.asarray(cloud.points)
        planes, tight = (torch.from_numpy(ConvexHull(each).equations).float() for each in (grounded(firm), firm))
        looked = np.asarray(cloud.normals).copy()
        cloud.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(NEIGHBOURS))
        normals = np.asarray(cloud.normals)
        normals[(normals * looked).sum(-1) > 0] *= -1
        with warnings_of_poisson_unsaid():
            mesh, _ = o3d.geometry.TriangleMesh.create_from_point_cloud_poisson(cloud, depth=DEPTH, n_threads=1)
        smooth = o3d.t.geometry.RaycastingScene(nthreads=1)
        smooth.add_triangles(o3d.t.geometry.TriangleMesh.from_legacy(mesh))
    return smooth, planes, tight, KDTree(firm)


def grounded(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 3"]:
    """An object's points, and those straight below them at the height on which it stands; z points up."""
    foot = np.quantile(points[:, 2], FOOT)
    above = points[points[:, 2] > foot]
    return np.concatenate([points, np.column_stack([above[:, :2], np.full(len(above), foot)])])
