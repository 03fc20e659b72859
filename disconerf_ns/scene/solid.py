"""Where an object is solid: voxels that light does not pass, without the haze around it and without crumbs."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from scipy import ndimage
from torch import Tensor

from disconerf_ns.scene.lazy import lazy
from disconerf_ns.scene.occupancy import Occupancy
from disconerf_ns.scene.similarity import Similarity

OPAQUE = 0.5
"""Opacity of a ray across a voxel from which on the voxel is solid."""
CRUMB = 0.05
"""Connected pieces with a smaller fraction of the largest one's voxels are crumbs."""


@dataclass(frozen=True)
class UprightBox:
    """A box that stands upright: its third axis is z, its first the longer horizontal one."""

    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    """Length, width and height in scene units; length >= width."""
    yaw: float
    """Angle from the x axis to the first axis, counterclockwise seen from above, in radians in (-pi / 2, pi / 2]."""

    @classmethod
    def around(cls, points: Float[Tensor, "n 3"]) -> UprightBox:
        """The smallest upright box around points, of which at least three are not above one line."""
        from trimesh.bounds import oriented_bounds_2D

        places = points.double().cpu().numpy()
        to_box, _ = oriented_bounds_2D(places[:, :2])
        turned = places[:, :2] @ to_box[:2, :2].T
        low, high = (np.append(f(turned, 0), f(places[:, 2])) for f in (np.min, np.max))
        size, yaw = high - low, math.atan2(to_box[0, 1], to_box[0, 0])
        if size[1] > size[0]:
            size, yaw = size[[1, 0, 2]], yaw + math.pi / 2
        x, y = (low + high)[:2] / 2 @ to_box[:2, :2]
        yaw = math.pi / 2 - (math.pi / 2 - yaw) % math.pi
        length, width, height = map(float, size)
        return cls((float(x), float(y), float((low + high)[2] / 2)), (length, width, height), float(yaw))

    @property
    def underside(self) -> tuple[float, float, float]:
        """The middle of its underside."""
        x, y, z = self.centre
        return x, y, z - self.size[2] / 2

    @property
    def axes(self) -> Float[Tensor, "3 3"]:
        """The directions of length, width and height, as rows."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return torch.tensor([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])

    def as_json(self, frame: Similarity) -> dict[str, list]:
        """`centre`, `size` (length, width, height) and `axes` (their unit directions, as rows) in another frame.

        Args:
            frame: scene coordinates to those of the frame.
        """
        return {
            "centre": frame.points(torch.tensor(self.centre, dtype=torch.float64)).tolist(),
            "size": [frame.scale * side for side in self.size],
            "axes": frame.directions(self.axes.double()).tolist(),
        }

    @property
    def corners(self) -> Float[Tensor, "8 3"]:
        """The corners in scene coordinates."""
        signs = torch.tensor(list(itertools.product((-0.5, 0.5), repeat=3)))
        return torch.tensor(self.centre) + (signs * torch.tensor(self.size)) @ self.axes


@dataclass(frozen=True, eq=False)
class Solid:
    """The solid voxels of an object, those inside of it included; in a grid over its box in contracted space."""

    grid: Occupancy

    @classmethod
    def of(cls, grid: Occupancy) -> Solid:
        """Keep the pieces of occupied cells that are no crumbs, and fill what they enclose.

        Args:
            grid: cells of at least `OPAQUE` opacity.
        """
        occupied = without_crumbs(grid.occupied)
        filled = torch.from_numpy(with_enclosed(occupied.cpu().numpy())).to(occupied.device)
        return cls(replace(grid, occupied=filled))

    @lazy
    def _cells(self) -> Int[Tensor, "voxels 3"]:
        return self.grid.occupied.nonzero()

    def __len__(self) -> int:
        return len(self._cells)

    def _scene(self, cells: Shaped[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        return self.grid.contraction.inverse(self.grid.low + cells / len(self.grid.occupied) * self.grid.size)

    @property
    def cell(self) -> float:
        """Longest side of a voxel in contracted coordinates."""
        return float((self.grid.size / len(self.grid.occupied)).amax())

    @lazy
    def points(self) -> Float[Tensor, "voxels 3"]:
        """Middles of the voxels, in scene coordinates."""
        return self._scene(self._cells + 0.5)

    @lazy
    def volumes(self) -> Float[Tensor, "voxels"]:
        """Volumes of the voxels, in cubic scene units; exact where space is not contracted."""
        half = torch.eye(3, device=self._cells.device) / 2
        edges = self._scene(self._cells[:, None] + 0.5 + half) - self._scene(self._cells[:, None] + 0.5 - half)
        return torch.linalg.det(edges).abs()

    @property
    def volume(self) -> float:
        """Volume in cubic scene units."""
        return float(self.volumes.sum())

    @property
    def centre(self) -> tuple[float, float, float]:
        """Centre of mass at an even density, in scene coordinates; NaN where nothing is solid."""
        x, y, z = ((self.points * self.volumes[:, None]).sum(0) / self.volumes.sum()).tolist()
        return x, y, z

    @lazy
    def box(self) -> UprightBox | None:
        """The smallest upright box around the voxels; None where nothing is solid."""
        return UprightBox.around(self.corners) if len(self) > 0 else None

    @property
    def corners(self) -> Float[Tensor, "corners 3"]:
        """Corners of the voxels, in scene coordinates."""
        offsets = torch.tensor(list(itertools.product((0, 1), repeat=3)), device=self._cells.device)
        return self._scene((self._cells[:, None] + offsets).flatten(0, 1))


def pieces_of(cells: Bool[Tensor, "x y z"]) -> Int[np.ndarray, "x y z"]:
    """The connected piece that each cell is in, from 1, neighbours by a corner being connected; 0 for other cells."""
    pieces = np.zeros(cells.shape, np.int32)
    ndimage.label(cells.cpu().numpy(), structure=np.ones((3, 3, 3)), output=pieces)
    return pieces


def connected_to(seeds: Bool[Tensor, "x y z"], cells: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """The cells in pieces, neighbours by a corner being connected, that hold one of the seeds."""
    pieces = pieces_of(cells)
    held = np.unique(pieces[seeds.cpu().numpy()])
    return torch.from_numpy(np.isin(pieces, held[held > 0])).to(cells.device)


def with_enclosed(cells: Bool[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Cells, and all that they enclose."""
    filled = np.empty_like(cells)
    ndimage.binary_fill_holes(cells, output=filled)
    return filled


def without_crumbs(occupied: Bool[Tensor, "x y z"], least: float = CRUMB) -> Bool[Tensor, "x y z"]:
    """Occupied cells in pieces, neighbours by a corner being connected, that are not much smaller than the largest.

    Args:
        occupied: the cells.
        least: smallest fraction of the largest piece's cells that a piece has.
    """
    pieces = pieces_of(occupied)
    sizes = np.bincount(pieces.flatten())
    sizes[0] = 0
    return torch.from_numpy((sizes >= max(least * sizes.max(), 1))[pieces]).to(occupied.device)
