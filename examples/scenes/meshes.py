"""Procedural triangle meshes: surfaces of revolution, bevelled boxes, swept tubes. z is up; lengths in scene units."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import PchipInterpolator


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh with one normal and one texture coordinate per vertex."""

    points: np.ndarray
    """(V, 3) positions."""
    faces: np.ndarray
    """(F, 3) vertex indices, counter-clockwise seen from outside."""
    normals: np.ndarray
    """(V, 3) unit normals."""
    uv: np.ndarray
    """(V, 2) texture coordinates; a texture repeats outside [0, 1]."""

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        """The mesh shifted by (x, y, z)."""
        return replace(self, points=self.points + np.array([x, y, z]))

    def turned(self, degrees: float, axis: str = "z") -> Mesh:
        """The mesh turned about a coordinate axis through the origin."""
        rotation = axis_rotation(degrees, axis)
        return replace(self, points=self.points @ rotation.T, normals=self.normals @ rotation.T)

    def planar_uv(self, scale: float) -> Mesh:
        """Texture coordinates seen from above: one tile is `scale` units wide, its middle at the origin."""
        return replace(self, uv=self.points[:, :2] / scale + 0.5)


def axis_rotation(degrees: float, axis: str) -> np.ndarray:
    """(3, 3) right-handed rotation about the axis "x", "y" or "z"."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rotation = np.eye(3)
    rotation[[first, first, second, second], [first, second, first, second]] = [cosine, -sine, sine, cosine]
    return rotation


def curve(points: list[tuple[float, ...]], samples: int = 96) -> np.ndarray:
    """A smooth curve through the points, (samples, D), without overshoot; parametrised by chord length."""
    points = np.asarray(points, dtype=float)
    chord = np.linalg.norm(np.diff(points, axis=0), axis=1)
    position = np.concatenate([[0.0], np.cumsum(chord)])
    return PchipInterpolator(position, points)(np.linspace(0.0, position[-1], samples))


def rounded_polyline(points: list[tuple[float, float]], radius: float, samples: int = 5) -> np.ndarray:
    """A polyline whose corners are replaced by arcs that start `radius` before the corner (quadratic Bezier)."""
    points = np.asarray(points, dtype=float)
    t = np.linspace(0.0, 1.0, samples)[:, None]
    pieces = [points[:1]]
    for before, corner, after in zip(points[:-2], points[1:-1], points[2:], strict=True):
        start, end = (
            corner + (other - corner) * min(0.5, radius / np.linalg.norm(other - corner)) for other in (before, after)
        )
        pieces.append((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end)
    return np.concatenate([*pieces, points[-1:]])


def revolve(profile: np.ndarray, segments: int = 96) -> Mesh:
    """The surface that a profile sweeps about the z axis.

    Args:
        profile: (n, 2) radius and height, the outside on its right hand (upwards for a vase's outer wall).
        segments: number of steps around the axis.
    Returns:
        A mesh with u along the circumference and v along the profile, both in [0, 1].
    """
    profile = _without_repeats(profile)
    angle = np.linspace(0.0, 2 * np.pi, segments + 1)
    tangent = np.gradient(profile, axis=0)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def sweep(radial: np.ndarray, height: np.ndarray) -> np.ndarray:
        ring = radial[:, None, None] * around[None]
        return np.concatenate([ring, np.broadcast_to(height[:, None, None], (*ring.shape[:2], 1))], axis=2)

    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    u, v = np.meshgrid(angle / (2 * np.pi), length / length[-1])
    return _grid_mesh(sweep(profile[:, 0], profile[:, 1]), sweep(normal[:, 0], normal[:, 1]), np.stack([u, v], axis=2))


def ball(radius: float, segments: int = 96) -> Mesh:
    """A sphere about the origin; v runs from the bottom to the top pole."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    return revolve(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), segments)


def box(width: float, depth: float, height: float, bevel: float) -> Mesh:
    """A box on the plane z = 0 with rounded edges; every side carries the whole texture.

    Args:
        width, depth, height: full lengths along x, y and z.
        bevel: radius of the edges, less than half of the shortest side.
    """
    half = np.array([width, depth, height]) / 2
    inner = half - bevel
    sides = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            first, second = (axis + 1) % 3, (axis + 2) % 3
            a, b = np.meshgrid(_bevelled_line(half[first], bevel), _bevelled_line(half[second], bevel), indexing="ij")
            cube = np.empty((*a.shape, 3))
            cube[..., first], cube[..., second], cube[..., axis] = a, b, sign * half[axis]
            core = np.clip(cube, -inner, inner)
            normal = cube - core
            normal /= np.linalg.norm(normal, axis=2, keepdims=True)
            uv = _side_uv(cube / half, axis, sign)
            side = _grid_mesh(core + bevel * normal, normal, uv)
            sides.append(side if sign < 0 else replace(side, faces=side.faces[:, ::-1]))
    return join(sides).moved(z=height / 2)


def relief(width: float, depth: float, heights: np.ndarray) -> Mesh:
    """A height field over a rectangle about the origin, seen from above; the texture covers it once.

    Args:
        width, depth: full lengths along x and y.
        heights: (rows, columns) z on a regular grid; rows go along y, columns along x.
    """
    rows, columns = heights.shape
    u, v = np.meshgrid(np.linspace(0.0, 1.0, columns), np.linspace(0.0, 1.0, rows))
    slope_y, slope_x = np.gradient(heights, depth / (rows - 1), width / (columns - 1))
    normal = np.stack([-slope_x, -slope_y, np.ones_like(heights)], axis=2)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    points = np.stack([width * (u - 0.5), depth * (v - 0.5), heights], axis=2)
    return _grid_mesh(points, normal, np.stack([u, v], axis=2))


def tube(path: np.ndarray, radius: np.ndarray | float, segments: int = 32) -> Mesh:
    """A tube with open ends along a path.

    Args:
        path: (n, 3) centre line.
        radius: one radius, or one for each point of the path.
    """
    path = np.asarray(path, dtype=float)
    radius = np.broadcast_to(np.asarray(radius, dtype=float), len(path))
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.empty_like(path)
    carried = np.cross(tangent[0], [0.0, 0.0, 1.0] if abs(tangent[0, 2]) < 0.9 else [1.0, 0.0, 0.0])
    for i, direction in enumerate(tangent):
        carried = carried - direction * (carried @ direction)
        carried = carried / np.linalg.norm(carried)
        side[i] = carried
    other = np.cross(tangent, side)
    angle = np.linspace(0.0, 2 * np.pi, segments + 1)[None, :, None]
    normal = np.cos(angle) * side[:, None] + np.sin(angle) * other[:, None]
    u, v = np.meshgrid(angle.ravel() / (2 * np.pi), np.linspace(0.0, 1.0, len(path)))
    return _grid_mesh(path[:, None] + radius[:, None, None] * normal, normal, np.stack([u, v], axis=2))


def join(meshes: list[Mesh]) -> Mesh:
    """One mesh out of several."""
    offsets = np.cumsum([0, *(len(mesh.points) for mesh in meshes[:-1])])
    return Mesh(
        points=np.concatenate([mesh.points for mesh in meshes]),
        faces=np.concatenate([mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=True)]),
        normals=np.concatenate([mesh.normals for mesh in meshes]),
        uv=np.concatenate([mesh.uv for mesh in meshes]),
    )


def _grid_mesh(points: np.ndarray, normals: np.ndarray, uv: np.ndarray) -> Mesh:
    """A mesh from (rows, columns, ...) arrays; the outside is where rows x columns is a left-handed turn."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    flat = points.reshape(-1, 3)
    edges = flat[faces[:, 1]] - flat[faces[:, 0]], flat[faces[:, 2]] - flat[faces[:, 0]]
    faces = faces[np.linalg.norm(np.cross(*edges), axis=1) > 1e-12]
    return Mesh(flat, faces, normals.reshape(-1, 3), uv.reshape(-1, 2))


def _bevelled_line(half: float, bevel: float, samples: int = 5) -> np.ndarray:
    """Coordinates from -half to half, dense in the two bevels."""
    arc = bevel * np.tan(np.linspace(0.0, np.pi / 4, samples))
    return np.concatenate([-(half - bevel) - arc[::-1], (half - bevel) + arc])


def _side_uv(unit: np.ndarray, axis: int, sign: float) -> np.ndarray:
    """Texture coordinates of a box side from coordinates in [-1, 1]: upright, and on top for a reader in front."""
    x, y, z = (unit[..., i] for i in range(3))
    u, v = {0: (sign * y, z), 1: (-sign * x, z), 2: (sign * x, y)}[axis]
    return np.stack([u, v], axis=-1) / 2 + 0.5


def _without_repeats(profile: np.ndarray) -> np.ndarray:
    step = np.linalg.norm(np.diff(profile, axis=0), axis=1)
    return profile[np.concatenate([[True], step > 1e-9])]
