"""A picture on a mesh: unwrapped by xatlas, as nerfstudio's own exporter does, and baked from the field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import ndimage
from torch import Tensor

from disconerf_ns.export.mesh import ObjectMesh, Texture

Baker = Callable[[Float[Tensor, "n 3"], Float[Tensor, "n 3"]], Float[Tensor, "n 3"]]
"""Positions and unit normals of a surface to its colours in [0, 1]."""


def textured(mesh: ObjectMesh, bake: Baker, size: int) -> ObjectMesh:
    """A mesh under a baked picture; vertices on seams of the picture are there once for each of its sides.

    Args:
        mesh: the mesh.
        bake: gives the colours.
        size: height and width of the picture in pixels.
    """
    import xatlas

    vertices, normals = mesh.vertices.cpu().float().numpy(), mesh.normals.cpu().float().numpy()
    origin, faces, uv = xatlas.parametrize(vertices, mesh.faces.cpu().numpy().astype(np.uint32), normals)
    index = torch.from_numpy(origin.astype(np.int64)).to(mesh.faces.device)
    split = replace(mesh.at(index), faces=torch.from_numpy(faces.astype(np.int64)).to(mesh.faces.device))
    face, weights, texels = rasterized(uv, faces.astype(np.int64), size)
    corners = split.faces[torch.from_numpy(face).to(split.faces.device)]
    shares = torch.from_numpy(weights).to(split.vertices)[..., None]
    rgb = bake(
        (split.vertices[corners] * shares).sum(1),
        torch.nn.functional.normalize((split.normals[corners] * shares).sum(1), dim=-1),
    )
    image, known = np.zeros((size, size, 3)), np.zeros((size, size), bool)
    image[texels[:, 0], texels[:, 1]], known[texels[:, 0], texels[:, 1]] = rgb.cpu().numpy(), True
    if not known.any():  # no face covers the middle of a pixel
        image[:], known[:] = mesh.colors.mean(0).cpu().numpy(), True
    distances, indices = np.zeros(known.shape), np.zeros((2, *known.shape), np.int32)
    ndimage.distance_transform_edt(~known, return_indices=True, distances=distances, indices=indices)
    filled = image[indices[0], indices[1]]
    return replace(split, texture=Texture(uv.astype(np.float32), (255 * filled + 0.5).astype(np.uint8)))


def rasterized(
    uv: Float[np.ndarray, "vertices 2"], faces: Int[np.ndarray, "faces 3"], size: int
) -> tuple[Int[np.ndarray, "texels"], Float[np.ndarray, "texels 3"], Int[np.ndarray, "texels 2"]]:
    """The pixels of a picture whose middles lie on a face: face, barycentric weights, and (row, column) from the top.

    Args:
        uv: texture coordinates in [0, 1].
        faces: corners of the triangles.
        size: height and width of the picture.
    """
    x, y = (uv * [size, -size] + [-0.5, size - 0.5])[faces].transpose(2, 0, 1).astype(np.float64)
    left, top = np.floor(x.min(1)).astype(int), np.floor(y.min(1)).astype(int)
    columns, rows = (np.ceil(a.max(1)).astype(int) - b + 1 for a, b in ((x, left), (y, top)))
    face = np.repeat(np.arange(len(faces)), columns * rows)
    within = np.arange(len(face)) - np.repeat(np.cumsum(columns * rows) - columns * rows, columns * rows)
    column, row = left[face] + within % columns[face], top[face] + within // columns[face]
    (ax, bx, cx), (ay, by, cy) = x[face].T, y[face].T
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    with np.errstate(divide="ignore", invalid="ignore"):
        b = ((column - ax) * (cy - ay) - (cx - ax) * (row - ay)) / area
        c = ((bx - ax) * (row - ay) - (column - ax) * (by - ay)) / area
        a = 1 - b - c
        on = (np.minimum(np.minimum(a, b), c) >= -1e-6) & (column >= 0) & (column < size) & (row >= 0) & (row < size)
    return face[on], np.stack([a, b, c], -1)[on], np.stack([row, column], -1)[on]
