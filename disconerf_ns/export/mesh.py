"""An object as a triangle mesh, and the surface of its inside as one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from nerfstudio.cameras.cameras import Cameras
from scipy import ndimage
from torch import Tensor

from disconerf_ns.errors import UserError
from disconerf_ns.export.grid import ObjectGrid
from disconerf_ns.export.light import darkness
from disconerf_ns.export.simplify import simplified
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.scene.occupancy import with_neighbours
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.solid import Solid, with_enclosed, without_crumbs

SURFACE = 0.5
"""Darkness at which the surface lies: half of the light is lost there."""
GRAIN = 0.7
"""Standard deviation, in cubes, of the Gaussian that takes the grain off the darkness."""
BORDER = 1.0
"""The same for the border between two objects, where an owner is all or nothing."""
LOST = 0.01
"""A mesh that leaves out more than this fraction of its object's solid volume is made anew, of smaller cubes."""
FINER = 1.5
"""How many times as many cubes along the longest side the next mesh has."""
FINEST = 0.5
"""Side of the smallest such cubes in voxels: the solid is not known any finer."""


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture that lies on a mesh."""

    uv: Float[np.ndarray, "vertices 2"]
    """Texture coordinates in [0, 1] of the mesh's vertices, from the picture's lower left corner."""
    image: UInt8[np.ndarray, "height width 3"]
    """RGB."""


@dataclass(frozen=True, eq=False)
class ObjectMesh:
    """A triangle mesh; faces are counterclockwise seen from outside."""

    vertices: Float[Tensor, "vertices 3"]
    faces: Int[Tensor, "faces 3"]
    normals: Float[Tensor, "vertices 3"]
    """Unit vectors that point outwards."""
    colors: Float[Tensor, "vertices 3"]
    """RGB in [0, 1], as a screen shows it (sRGB)."""
    seen: Float[Tensor, "vertices"]
    """How well the best camera sees a vertex, in [0, 1]: the light that gets there times the cosine to the normal."""
    texture: Texture | None = None
    """What is shown in place of `colors`."""
    resolution: int = 0
    """Cubes along the longest side in which it was found; 0 where it was not found in cubes."""
    lost: float = 0.0
    """Fraction of the object's solid volume that it leaves out, in [0, 1]."""

    def __len__(self) -> int:
        return len(self.faces)

    def only(self, kept: Bool[Tensor, "vertices"]) -> ObjectMesh:
        """The mesh without faces that have none of the kept vertices, and without vertices that have no face then."""
        faces = self.faces[kept[self.faces].any(-1)]
        used, corners = faces.unique(return_inverse=True)
        return replace(self.at(used), faces=corners)

    def at(self, index: Int[Tensor, "others"]) -> ObjectMesh:
        """The mesh with these vertices in the place of its own; its faces are left as they are."""
        names = "vertices", "normals", "colors", "seen"
        return replace(self, **{name: getattr(self, name)[index] for name in names})

    def moved(self, by: Similarity) -> ObjectMesh:
        """The mesh turned, scaled and moved."""
        return replace(self, vertices=by.points(self.vertices), normals=by.directions(self.normals))


def surface(
    scene: ArrangedScene, each: SceneObject, cameras: Cameras, resolution: int, most: int
) -> tuple[ObjectMesh, ObjectGrid]:
    """The closed surface of an object in scene coordinates, `seen` by nobody yet, and the grid that it was found in.

    Marching cubes find it in the grid, whose cubes are contracted where the scene is; vertices are taken back into the
    scene. Normals point against the gradient of the darkness. Cubes that are too large for thin parts, such as the legs
    of a chair, are made smaller until the surface keeps these parts, or the cubes are half as wide as solid voxels.

    Args:
        scene: the scene, whose edit says what the object is made of.
        each: the object.
        cameras: the training cameras.
        resolution: cubes along its longest side, at least.
        most: number of faces, at most; 0 keeps them all.
    Raises:
        UserError: nothing of the object is solid.
    """
    from skimage.measure import marching_cubes

    solid = scene.bodies.whole(each.id)
    if len(solid) == 0:
        raise UserError(f"export: {each.label} has no surface: nothing of it is solid; it is haze.")
    grid, inside, lost = _shape(scene, each, cameras, resolution)
    while lost > LOST and grid.step > (smallest := FINEST * solid.cell):
        resolution = math.ceil(resolution * min(FINER, grid.step / smallest))
        grid, inside, lost = _shape(scene, each, cameras, resolution)
    if inside.max() <= SURFACE:
        raise UserError(f"export: {each.label} has no surface: light passes all of it.")
    vertices, faces, _, _ = marching_cubes(inside, SURFACE, gradient_direction="ascent")
    vertices, faces = simplified(vertices, faces, most or len(faces))
    places = torch.from_numpy(vertices.astype(np.float32)).to(grid.density)
    corners = torch.from_numpy(faces.astype(np.int64)).to(places.device)
    normals, black = _normals(grid, inside, places), torch.zeros_like(places)
    nobody = torch.zeros_like(places[:, 0])
    return ObjectMesh(grid.scene(places), corners, normals, black, nobody, resolution=resolution, lost=lost), grid


class _Shape(NamedTuple):
    """The inside of an object's surface, sampled on a grid."""

    grid: ObjectGrid
    inside: Float[np.ndarray, "x y z"]
    """Above `SURFACE` inside, at the grid's corners."""
    lost: float
    """Fraction of the object's solid volume that is not inside, in [0, 1]."""


def _shape(scene: ArrangedScene, each: SceneObject, cameras: Cameras, resolution: int) -> _Shape:
    grid = ObjectGrid.of(scene, each.id, resolution)
    with scene.trained.radiance.still():
        dark = darkness(grid, cameras).cpu().numpy()
    own = grid.near.float().cpu().numpy()
    inside = np.minimum(ndimage.gaussian_filter(dark, GRAIN), ndimage.gaussian_filter(own, BORDER))
    inside = _without_crumbs(inside)
    return _Shape(grid, inside, lost_of(scene.bodies.whole(each.id), grid, inside))


def lost_of(solid: Solid, grid: ObjectGrid, inside: Float[np.ndarray, "x y z"]) -> float:
    """The fraction of a solid's volume, in [0, 1], that lies more than a voxel away from all that is inside.

    Where half of a ray's light is lost may be a voxel deeper than where the first voxel is solid.

    Args:
        solid: the solid voxels.
        grid: where `inside` is known.
        inside: above `SURFACE` inside.
    """
    if inside.max() <= SURFACE:
        return 1.0
    values = torch.from_numpy(inside.astype(np.float32)).to(grid.density)
    everywhere = torch.ones_like(solid.grid.occupied)
    middles = Solid(replace(solid.grid, occupied=everywhere)).points
    kept = grid.at(values, grid.places(middles)).view(everywhere.shape) > SURFACE
    out = ~with_neighbours(kept)[solid.grid.occupied]
    return float(solid.volumes[out].sum() / solid.volumes.sum())


def _without_crumbs(inside: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z"]:
    """The same values, 0 where an inside is in pieces much smaller than the largest, and 1 in what it encloses."""
    solid = with_enclosed(inside > SURFACE)
    kept = without_crumbs(torch.from_numpy(solid)).numpy()
    return np.where(solid & ~kept, 0.0, np.where(solid & (inside <= SURFACE), 1.0, inside))


def _normals(
    grid: ObjectGrid, inside: Float[np.ndarray, "x y z"], places: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """Unit vectors against the gradient of the darkness, in scene coordinates.

    By the chain rule a gradient in the grid is one in the scene times the Jacobian of the way back, J = dx/dp.
    """
    slopes = (torch.from_numpy(slope.astype(np.float32)).to(places) for slope in np.gradient(inside))
    gradient = torch.stack([grid.at(slope.contiguous(), places) for slope in slopes], -1)
    half = torch.eye(3, device=places.device) / 2
    jacobian = (grid.scene(places[:, None] + half) - grid.scene(places[:, None] - half)).transpose(1, 2)
    back = torch.linalg.solve(jacobian.transpose(1, 2), gradient[..., None])[..., 0]
    return -torch.nn.functional.normalize(back, dim=-1)
