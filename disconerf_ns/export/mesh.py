"""An object as a triangle mesh, and the surface of its inside as one."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.solid import without_crumbs

SURFACE = 0.5
"""Darkness at which the surface lies: half of the light is lost there."""
GRAIN = 0.7
"""Standard deviation, in cubes, of the Gaussian that takes the grain off the darkness."""
BORDER = 1.0
"""The same for the border between two objects, where an owner is all or nothing."""


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
    texture: Texture | None = None
    """What is shown in place of `colors`."""

    def __len__(self) -> int:
        return len(self.faces)

    def only(self, kept: Bool[Tensor, "vertices"]) -> ObjectMesh:
        """The mesh without faces that have none of the kept vertices, and without vertices that have no face then."""
        faces = self.faces[kept[self.faces].any(-1)]
        used, corners = faces.unique(return_inverse=True)
        return replace(
            self, vertices=self.vertices[used], faces=corners, normals=self.normals[used], colors=self.colors[used]
        )

    def moved(self, by: Similarity) -> ObjectMesh:
        """The mesh turned, scaled and moved."""
        return replace(self, vertices=by.points(self.vertices), normals=by.directions(self.normals))


def surface(
    scene: ArrangedScene, each: SceneObject, cameras: Cameras, resolution: int, most: int
) -> tuple[ObjectMesh, ObjectGrid]:
    """The closed surface of an object in scene coordinates, without colours, and the grid that it was found in.

    Marching cubes find it in the grid, whose cubes are contracted where the scene is; vertices are taken back into the
    scene. Normals point against the gradient of the darkness.

    Args:
        scene: the scene, whose edit says what the object is made of.
        each: the object.
        cameras: the training cameras.
        resolution: cubes along its longest side.
        most: number of faces, at most; 0 keeps them all.
    Raises:
        UserError: nothing of the object is solid.
    """
    from skimage.measure import marching_cubes

    if len(scene.solid(each.id)) == 0:
        raise UserError(f"export: {each.label} has no surface: nothing of it is solid; it is haze.")
    grid = ObjectGrid.of(scene, each.id, resolution)
    with scene.trained.radiance.still():
        dark = darkness(grid, cameras).cpu().numpy()
    own = grid.near.float().cpu().numpy()
    inside = np.minimum(ndimage.gaussian_filter(dark, GRAIN), ndimage.gaussian_filter(own, BORDER))
    inside = _without_crumbs(inside)
    if inside.max() <= SURFACE:
        raise UserError(f"export: {each.label} has no surface: light passes all of it.")
    vertices, faces, _, _ = marching_cubes(inside, SURFACE, gradient_direction="ascent")
    vertices, faces = simplified(vertices, faces, most or len(faces))
    places = torch.from_numpy(vertices.astype(np.float32)).to(grid.density)
    corners = torch.from_numpy(faces.astype(np.int64)).to(places.device)
    return ObjectMesh(grid.scene(places), corners, _normals(grid, inside, places), torch.zeros_like(places)), grid


def _without_crumbs(inside: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z"]:
    """The same values, 0 where an inside is in pieces much smaller than the largest, and 1 in what it encloses."""
    solid = np.asarray(ndimage.binary_fill_holes(inside > SURFACE))
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
