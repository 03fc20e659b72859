"""Closed surfaces through what photographs saw, whichever way that faces: hanging things, walls, ceilings, rooms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from disconerf_ns.scene.closed_surface import BACK, ClosedSurface, Sheet, away_from_openings
from disconerf_ns.scene.seen_rays import SeenRays

FACING = [(0, 0, 1), (0, 0, -1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (1, -2, 0.5), (-0.6, -0.7, -0.5)]
BOX = torch.tensor([[-1.2] * 3, [1.2] * 3])


def seen_along(points: Tensor, normals: Tensor) -> SeenRays:
    """Rays that end on points of a surface, straight from outside."""
    ones = torch.ones(len(points))
    return SeenRays(points + normals, -normals, ones, ones)


def through(rays: SeenRays, kind: type[ClosedSurface] = ClosedSurface) -> ClosedSurface:
    surface = kind.through(rays, BOX)
    assert surface is not None
    return surface


@pytest.mark.parametrize("facing", FACING)
def test_half_a_ball_is_solid_on_whichever_side_photographs_were_taken(facing: tuple[float, ...]) -> None:
    """Of a lamp that hangs, seen from below, a third of its inside counted as outside."""
    generator, up = torch.Generator().manual_seed(0), normalize(torch.tensor(facing).float(), dim=0)
    points = normalize(torch.randn(6000, 3, generator=generator), dim=-1)
    points = points[points @ up > -0.1]
    places = 2.4 * torch.rand(8000, 3, generator=generator) - 1.2
    places = places[places @ up > 0]
    held = through(seen_along(points, points)).holds(places)
    assert (held == (places.norm(dim=-1) < 1)).float().mean() > 0.98


def room() -> SeenRays:
    """Rays from about the middle of a cube to its six inner sides."""
    generator = torch.Generator().manual_seed(1)
    across, side = 2 * torch.rand(8000, 3, generator=generator) - 1, torch.arange(8000)
    points = across.clone()
    points[side, side % 3] = across[side, side % 3].sign()
    origins = 0.3 * torch.randn(8000, 3, generator=generator)
    apart = (points - origins).norm(dim=-1)
    return SeenRays(origins, (points - origins) / apart[:, None], apart, apart)


def test_the_air_of_a_room_is_not_inside_of_its_walls() -> None:
    air = 1.8 * torch.rand(2000, 3, generator=torch.Generator().manual_seed(2)) - 0.9
    surface = through(room())
    assert surface.holds(air).float().mean() < 0.01
    assert not surface.hulls(air).any()


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("facing", FACING)
def test_a_wall_is_solid_behind_what_a_thing_hid_of_it(facing: tuple[float, ...], shift: float) -> None:
    """A cabinet stood against a wall; without it there was a hole in the wall, which was solid as seen from one side
    alone, and less than a voxel thick.

    Along each line straight into the hole, what is solid begins within a voxel of the wall, and is as thick as said.
    """
    generator, out = torch.Generator().manual_seed(3), normalize(torch.tensor(facing).double(), dim=0)
    frame = torch.from_numpy(np.linalg.svd(out[None].numpy())[2][1:]).float()  # two directions along the wall
    along = 2 * torch.rand(9000, 2, generator=generator) - 1
    along, out = along[along.abs().amax(-1) > 0.35], out.float()
    own = seen_along(
        along @ frame + 0.004 * torch.randn(len(along), 1, generator=generator) * out, out.expand(len(along), 3)
    )
    surface = through(own, Sheet)
    hole = torch.cartesian_prod(*[torch.linspace(-0.3, 0.3, 7)] * 2) @ frame
    depths = surface.side * (torch.arange(-8, 12) + shift)
    held = surface.holds((hole[:, None] - depths[:, None] * out).flatten(0, 1)).view(len(hole), -1)
    assert not held[:, depths < -2 * surface.side].any()
    assert (held.sum(-1) >= BACK - 1).all()
    assert not surface.hulls(hole).any()


@pytest.mark.parametrize("turn", [0.0, 0.6])
def test_a_floor_goes_on_below_what_stood_in_the_corner_of_a_room(turn: float) -> None:
    """A shelf in a corner left a white hole: the floor was seen beside and before the shelf, and nowhere behind it."""
    generator, up = torch.Generator().manual_seed(3), torch.tensor([0.0, 0.0, 1.0])
    sides = torch.tensor([[np.cos(turn), np.sin(turn), 0.0], [-np.sin(turn), np.cos(turn), 0.0]]).float()
    places = 1.6 * torch.rand(8000, 2, generator=generator) - 0.8
    places = places[(places < 0).any(-1)]
    noise = 0.004 * torch.randn(len(places), 1, generator=generator)
    surface = through(seen_along(places @ sides + noise * up, up.expand(len(places), 3)), Sheet)
    corner = torch.cartesian_prod(*[torch.linspace(0.1, 0.75, 9)] * 2) @ sides
    assert surface.holds(corner - 2 * surface.side * up).float().mean() > 0.95
    assert not surface.holds(corner + 3 * surface.side * up).any()


def test_areas_of_an_open_surface_point_away_from_its_opening() -> None:
    corner = np.eye(3)[[[0, 1, 2]]]  # the slanting side of a tetrahedron at the origin
    sides = np.array(
        [[[0, 0, 0], [0, 1, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, 1, 0]], [[0, 0, 0], [1, 0, 0], [0, 0, 1]]]
    )
    assert away_from_openings(corner).numpy() == pytest.approx([3**-0.5] * 3, abs=0.01)
    assert away_from_openings(sides.astype(float)).numpy() == pytest.approx([-(3**-0.5)] * 3, abs=0.01)
    closed = away_from_openings(np.concatenate([corner, sides]))
    assert float(closed.norm()) == pytest.approx(1), "some direction"
