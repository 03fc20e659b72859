"""The closed surface of an object: the smooth one through the points that photographs saw of it, cut by their hull, or,
of a piece of what surrounds the scene, by the upright box around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import ConvexHull, KDTree, QhullError
from torch import Tensor

from disconerf_ns.scene.lazy import lazy
from disconerf_ns.scene.poisson_warnings import warnings_of_poisson_unsaid
from disconerf_ns.scene.seen_rays import SeenRays
from disconerf_ns.scene.solid import UprightBox

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
BACK = 3
"""Voxels behind a piece of what surrounds the scene in which it is solid."""
TILTS = ((0.0, 0.0, 0.0), (0.02, -0.01, 0.015), (-0.015, 0.02, -0.01))
"""Lines that look for the smooth surface lean by so much: most of them decide, since one may graze it."""
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
    away: Float[Tensor, "3"]
    """Direction in which the smooth surface has no opening."""
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
        within = self._reaches(positions)
        return within.masked_scatter(within, self._behind(positions[within]))

    def hulls(self, positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        """Whether scene positions are inside of the convex hull of the seen points themselves, without their foot; no
        scene position, if this hull holds air."""
        if self.hollow:
            return torch.zeros(len(positions), dtype=torch.bool, device=positions.device)
        return self._within(self.tight, positions)

    @lazy
    def planes(self) -> Float[Tensor, "planes 4"]:
        """Normals and offsets of the hull that reaches down to the foot."""
        return planes_around(grounded(self.firm.data))

    @lazy
    def hollow(self) -> bool:
        """Whether the hull holds air. It does if most rays start in it, as they do between a room's walls."""
        return bool(self._within(self.tight, self.own.origins).float().mean() > 0.5)

    def _reaches(self, positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        """Whether scene positions are where the object may be: in the hull that reaches down to its foot."""
        return self._within(self.planes, positions)

    def _behind(self, positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        """Whether the smooth surface shows its back to scene positions, looked at away from its openings.

        Where nothing was seen, the surface may stay open: a ceiling's is open above, a wall's on its far side. And
        what a closed surface encloses is air where it was photographed from inside, as a room's.
        """
        from open3d.core import Tensor as Open3dTensor

        tilts = torch.tensor(TILTS, device=positions.device)
        directions = torch.nn.functional.normalize(self.away.to(positions) + tilts, dim=-1)
        backs = torch.zeros(len(positions), dtype=torch.long, device=positions.device)
        for some in torch.arange(len(positions)).split(AT_ONCE):
            for direction in directions:
                lines = torch.cat([positions[some], direction.expand(len(some), 3)], -1).float().cpu().numpy()
                met = self.smooth.cast_rays(Open3dTensor.from_numpy(lines), nthreads=1)
                normals = torch.from_numpy(met["primitive_normals"].numpy()).to(direction)  # 0 where nothing is met
                backs[some] += normals @ direction > 0
        return backs > len(TILTS) / 2

    def _within(self, planes: Float[Tensor, "planes 4"], positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        normals, offsets = planes.to(positions).split([3, 1], -1)
        outside = [torch.addmm(offsets, normals, some.T).amax(0) for some in positions.split(FEW)]
        return torch.cat(outside) < SLACK * self.side

    def distances(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """Distance of scene positions to the nearest of the object's seen points that is no outlier."""
        return torch.from_numpy(self.firm.query(positions.cpu().double().numpy())[0]).to(positions)


class Sheet(ClosedSurface):
    """The surface of a piece of what surrounds the scene, such as a wall or a room's corner.

    It goes on to the sides of the upright box around its points: the floor below a shelf in a corner was seen beside
    and before the shelf alone, so the corner lies outside of their hull. Behind it everything is solid, although the
    hull of a flat piece is as thin as its points are scattered.
    """

    @lazy
    def hollow(self) -> bool:
        """Yes: the hull of a corner holds the room's air."""
        return True

    @lazy
    def _span(self) -> tuple[Float[Tensor, "3"], Float[Tensor, "3 3"], Float[Tensor, "3"]]:
        """Middle of the upright box around the points, its axes as rows, and half of its size with some slack."""
        box = UprightBox.around(torch.from_numpy(self.firm.data))
        return torch.tensor(box.centre), box.axes, torch.tensor(box.size) / 2 + SLACK * self.side

    def _reaches(self, positions: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
        """Whether scene positions are in the box around the points, or at most `BACK` voxels behind it."""
        centre, axes, most = (each.to(positions) for each in self._span)
        steps = self.side * self.away.to(positions) * torch.arange(BACK + 1, device=positions.device)[:, None]
        return torch.stack([((positions + step - centre) @ axes.T).abs().le(most).all(-1) for step in steps]).any(0)


def _enclosed(
    ends: Float[np.ndarray, "n 3"], along: Float[np.ndarray, "n 3"], side: float
) -> tuple[open3d.t.geometry.RaycastingScene, Float[Tensor, "3"], Float[Tensor, "faces 4"], KDTree]:
    """The Poisson surface through points, where it has no opening, the planes of the points' hull, and the points that
    are no outliers.

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
        tight = planes_around(firm)
        looked = np.asarray(cloud.normals).copy()
        cloud.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(NEIGHBOURS))
        normals = np.asarray(cloud.normals)
        normals[(normals * looked).sum(-1) > 0] *= -1
        with warnings_of_poisson_unsaid():
            mesh, _ = o3d.geometry.TriangleMesh.create_from_point_cloud_poisson(cloud, depth=DEPTH, n_threads=1)
        smooth = o3d.t.geometry.RaycastingScene(nthreads=1)
        smooth.add_triangles(o3d.t.geometry.TriangleMesh.from_legacy(mesh))
    away = away_from_openings(np.asarray(mesh.vertices)[np.asarray(mesh.triangles)])
    return smooth, away, tight, KDTree(firm)


def away_from_openings(triangles: Float[np.ndarray, "n 3 3"]) -> Float[Tensor, "3"]:
    """The direction in which a surface of triangles, turned outwards, has no opening.

    The areas of a closed surface, as vectors, add up to nothing. Those of an open one add up to what would close it,
    and point away from it. A slight lean makes some direction of nothing.
    """
    areas = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    lean = 1e-3 * np.linalg.norm(areas, axis=-1).sum()
    return torch.nn.functional.normalize(torch.from_numpy(areas.sum(0) + lean).float(), dim=0)


def planes_around(points: Float[np.ndarray, "n 3"]) -> Float[Tensor, "planes 4"]:
    """Normals and offsets of the convex hull of points."""
    return torch.from_numpy(ConvexHull(points).equations).float()


def grounded(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 3"]:
    """An object's points, and those straight below them at the height on which it stands; z points up."""
    foot = np.quantile(points[:, 2], FOOT)
    above = points[points[:, 2] > foot]
    return np.concatenate([points, np.column_stack([above[:, :2], np.full(len(above), foot)])])
