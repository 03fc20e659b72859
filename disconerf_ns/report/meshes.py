"""Small coloured meshes for the page's own viewer: from files of an export, or from an object's solid voxels."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from scipy import ndimage
from skimage.measure import marching_cubes

from disconerf_ns.errors import UserError, reason
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.small_json import GREATEST

MOST_VERTICES = 8_000
"""Vertices of a mesh on the page, at most."""
SMOOTH = 0.8
"""Standard deviation in voxels of the blur that rounds solid voxels off."""
DEPTHS = (0.0, 0.5, 1.0)
"""Voxels below the surface at which colours are looked up; denser places count more."""
STEPS = 2**16 - 1
"""Steps of a packed coordinate."""
SUFFIXES = (".ply", ".obj", ".glb")
"""Files that hold meshes, the best first."""


@dataclass(frozen=True)
class Mesh:
    """Triangles with a colour at each vertex, in scene coordinates, z up."""

    vertices: Float[np.ndarray, "vertices 3"]
    colors: UInt8[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "triangles 3"]

    def simplified(self, most: int = MOST_VERTICES) -> Mesh:
        """The mesh with at most so many vertices: those in one cell of a grid become one, at their mean."""
        if len(self.vertices) <= most:
            return self
        low, extent = self.vertices.min(0), max(float(np.ptp(self.vertices, axis=0).max()), 1e-9)
        cells = math.sqrt(most)
        while True:
            keys = ((self.vertices - low) / extent * cells).astype(np.int64)
            _, joined, count = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
            if len(count) <= most:
                break
            cells *= 0.9
        joined = joined.reshape(-1)
        mean = lambda values: _sums(joined, values, len(count)) / count[:, None]
        triangles = joined[self.triangles]
        a, b, c = triangles.T
        triangles = np.unique(triangles[(a != b) & (b != c) & (c != a)], axis=0)
        return Mesh(mean(self.vertices), mean(self.colors).round().astype(np.uint8), triangles)

    def moved(self, by: Similarity) -> Mesh:
        """The mesh turned, scaled and moved."""
        return replace(self, vertices=by.points(torch.from_numpy(self.vertices)).numpy())

    def packed(self) -> str:
        """The mesh as base64, in a cube of side 1 about the origin.

        Three little-endian unsigned 32-bit numbers: vertices V, triangles T and 0; 3 V positions of 16 bit, from 0 to
        65535; 3 T indices of 32 bit where V is above 65535, of 16 bit otherwise; 3 V bytes of colours. Each of these
        begins at a multiple of 4 bytes.
        """
        low, high = self.vertices.min(0), self.vertices.max(0)
        side = max(float((high - low).max()), 1e-9)
        steps = ((self.vertices - (low + high) / 2) / side + 0.5) * STEPS
        kind = "<u4" if len(self.vertices) > STEPS else "<u2"
        head = np.array([len(self.vertices), len(self.triangles), 0], "<u4")
        parts = [head, steps.round().clip(0, STEPS).astype("<u2"), self.triangles.astype(kind), self.colors]
        return base64.b64encode(b"".join(_aligned(part.tobytes()) for part in parts)).decode()


def _sums(groups: Int[np.ndarray, "n"], values: np.ndarray, count: int) -> Float[np.ndarray, "count 3"]:
    return np.stack([np.bincount(groups, column, count) for column in values.T.astype(float)], 1)


def _aligned(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)


def solid_mesh(
    scene: ArrangedScene, each: SceneObject, photographed_from: Float[torch.Tensor, "cameras 3"]
) -> Mesh | None:
    """The surface of an object's solid voxels, rounded off, in the colours of the field; None if nothing is solid.

    A vertex has the colour of the field just below it, as a photograph sees it that faces it, and as a person coloured
    the object.

    Args:
        scene: the scene under a person's edit.
        each: one of its objects.
        photographed_from: positions of the training cameras in scene coordinates.
    """
    grid = scene.bodies.solid(each.id).grid
    smooth = ndimage.gaussian_filter(np.pad(grid.occupied.cpu().numpy().astype(np.float32), 2), SMOOTH)
    if smooth.max() <= 0.5:
        return None
    places, triangles, normals, _ = marching_cubes(smooth, 0.5, gradient_direction="ascent")
    cells = torch.from_numpy(places.copy() - 2 + 0.5).to(grid.low)
    inwards = torch.from_numpy(normals.copy()).to(cells)
    to_scene = lambda cells: grid.contraction.inverse(grid.low + cells / len(grid.occupied) * grid.size)
    vertices = to_scene(cells)
    inner = torch.stack([to_scene(cells + depth * inwards) for depth in DEPTHS], 1)
    inside = torch.nn.functional.normalize(to_scene(cells + inwards) - vertices, dim=-1)
    directions = looks_that_face(vertices, inside, photographed_from.to(vertices))
    radiance = scene.trained.radiance
    with radiance.still():
        parts = [
            radiance.shade(points, looking[:, None])
            for points, looking in zip(inner.split(2**14), directions.split(2**14))
        ]
        density, rgb = (torch.cat(column) for column in zip(*parts))
        weight = density.reshape(*inner.shape[:2], 1) + 1e-6
        color = (weight * rgb.reshape(inner.shape)).sum(1) / weight.sum(1)
        owner = torch.full(color.shape[:1], int(each.id), device=color.device)
        color = scene.table.tint(color, owner).clamp(0, 1)
    bytes_ = (255 * color).round().byte().cpu().numpy()
    return Mesh(vertices.cpu().numpy().astype(float), bytes_, triangles.astype(np.int64))


def looks_that_face(
    points: Float[torch.Tensor, "n 3"], inwards: Float[torch.Tensor, "n 3"], cameras: Float[torch.Tensor, "cameras 3"]
) -> Float[torch.Tensor, "n 3"]:
    """The unit direction from the camera that faces each point of a surface most, to the point.

    Args:
        points: scene positions.
        inwards: unit normals into the surface.
        cameras: positions of cameras.
    """
    best = torch.full(points.shape[:1], -2.0, device=points.device)
    looks = inwards.clone()
    for camera in cameras:
        look = torch.nn.functional.normalize(points - camera, dim=-1)
        facing = (look * inwards).sum(-1)
        looks = torch.where((facing > best)[:, None], look, looks)
        best = facing.maximum(best)
    return looks


def exported_mesh(files: Sequence[Path], to_scene: Similarity) -> Mesh | None:
    """The mesh that some files of an export hold; None if none of them does.

    Args:
        files: files of one object, of `disconerf export`.
        to_scene: the frame of the capture, in which their vertices are, to the scene's.
    Raises:
        UserError: a file cannot be read.
    """
    for suffix in SUFFIXES:
        for file in (file for file in files if file.suffix.lower() == suffix):
            try:
                mesh = _read(file, to_scene)
            except Exception as error:  # whatever trimesh makes of a broken file
                raise UserError(f"report: {file} cannot be read ({reason(error)}); export it anew.") from error
            if mesh is not None:
                return mesh
    return None


def _read(file: Path, to_scene: Similarity) -> Mesh | None:
    """The first mesh of a file, or None if there is none.

    Raises:
        ValueError: its vertices are no points, a triangle has a vertex that is not there, or colours are missing.
    """
    import trimesh

    scene = trimesh.load_scene(file, process=False)
    meshes = (each for each in scene.geometry.values() if isinstance(each, trimesh.Trimesh))
    loaded = next((each for each in meshes if len(each.faces) > 0), None)
    if loaded is None:
        return None
    vertices, triangles = np.array(loaded.vertices, dtype=float), np.array(loaded.faces, dtype=np.int64)
    if vertices.shape[1:] != (3,) or not (np.abs(vertices) <= GREATEST).all():
        raise ValueError("its vertices are no points")
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise ValueError("a triangle has a vertex that is not there")
    colors = _vertex_colors(loaded, linear=file.suffix.lower() == ".glb")
    if len(colors) != len(vertices):
        raise ValueError("it has not one colour for each vertex")
    return Mesh(to_scene.points(torch.from_numpy(vertices)).numpy(), colors, triangles)


def _vertex_colors(loaded: Any, linear: bool) -> UInt8[np.ndarray, "vertices 3"]:
    """The sRGB colours of trimesh's vertices; those of a texture where there is one, which is never linear.

    Args:
        loaded: trimesh's mesh.
        linear: whether colours at vertices are light, as glTF says.
    """
    beside_a_material = getattr(loaded.visual, "vertex_attributes", {}).get("color")
    if beside_a_material is None and hasattr(loaded.visual, "to_color"):
        return np.array(loaded.visual.to_color().vertex_colors)[:, :3].astype(np.uint8)
    colors = np.array(loaded.visual.vertex_colors if beside_a_material is None else beside_a_material)[:, :3] / 255
    if linear:
        colors = np.where(colors <= 0.0031308, 12.92 * colors, 1.055 * colors ** (1 / 2.4) - 0.055)
    return (255 * colors).round().astype(np.uint8)
