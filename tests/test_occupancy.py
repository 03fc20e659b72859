"""Occupancy of a ball of known place: which cells and rays it takes, and that nothing of it is cut away."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import assert_close
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.field_components.spatial_distortions import SceneContraction

from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.occupancy import Occupancy, intersect_box, with_neighbours
from disconerf_ns.surface.intervals import piecewise, piecewise_inverse

CENTRE, RADIUS = torch.tensor([0.2, -0.1, 0.3]), 0.25
BOX, CUBE = torch.stack([CENTRE - 0.3, CENTRE + 0.3]), Contraction(torch.tensor([[-2.0] * 3, [2.0] * 3]), None)


def ball() -> Occupancy:
    return Occupancy.build(lambda x: 200.0 * ((x - CENTRE).norm(dim=-1) < RADIUS), CUBE, BOX)


def test_the_share_is_asked_only_where_there_is_enough_of_anything() -> None:
    """Cells are those of the product of both, bit for bit; most of the cube is empty, and nobody asks whose it is."""
    asked = []

    def ball(x: torch.Tensor) -> torch.Tensor:
        return 200.0 * ((x - CENTRE).norm(dim=-1) < RADIUS)

    def half(x: torch.Tensor) -> torch.Tensor:
        asked.append(len(x))
        return (x[:, 0] > CENTRE[0]).float()

    together = Occupancy.build(lambda x: ball(x) * half(x), CUBE, 2 * BOX - CENTRE)
    every, asked[:] = sum(asked), []
    apart = Occupancy.build(ball, CUBE, 2 * BOX - CENTRE, share=half)
    assert torch.equal(apart.occupied, together.occupied) and 0 < apart.occupied.float().mean() < 0.5
    assert 0 < sum(asked) < every / 4


@pytest.mark.parametrize("reach", [1, 2])
def test_neighbours_are_the_cells_around_corners_among_them(reach: int) -> None:
    cells = torch.zeros(9, 5, 1, dtype=torch.bool)
    cells[1, 1, 0] = cells[8, 4, 0] = True
    around = with_neighbours(cells, reach)
    for x, y, z in torch.ones_like(cells).nonzero().tolist():
        low, high = ([max(0, at - reach) for at in (x, y, z)], [at + reach + 1 for at in (x, y, z)])
        assert around[x, y, z] == cells[low[0] : high[0], low[1] : high[1], low[2] : high[2]].any()


@pytest.mark.parametrize("distort", [None, SceneContraction(order=float("inf"))], ids=["box", "unbounded"])
def test_a_contraction_is_undone(distort) -> None:
    contraction = Contraction(torch.tensor([[-3.0, -2, -1], [3, 2, 1]]), distort)
    positions = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([6.0, 4, 2])
    positions -= torch.tensor([3.0, 2, 1])
    contracted = contraction(positions)
    assert contracted.min() >= 0 and contracted.max() <= 1
    assert_close(contraction.inverse(contracted), positions, 1e-4)


@pytest.mark.parametrize("order", [None, 2, float("inf")])
def test_a_contraction_has_its_own_norm(order) -> None:
    """Every contraction was taken for the one with the maximum norm."""
    distort = SceneContraction(order=order)
    positions = 4 * torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    cube = torch.tensor([[-1.0] * 3, [1.0] * 3])
    assert_close(Contraction(cube, distort)(positions), (distort(positions) + 2) / 4)


def test_spacing_is_undone() -> None:
    distance = torch.tensor([0.0, 0.3, 1.0, 2.5, 900.0])
    assert_close(piecewise_inverse(piecewise(distance)), distance, 1e-4)


def test_box_by_hand() -> None:
    box = torch.tensor([[0.0, 0, 0], [1, 1, 1]])
    origins = torch.tensor([[-1.0, 0.5, 0.5], [-1, 2, 0.5], [0.5, 0.5, 0.5], [2, 0.5, 0.5]])
    directions = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]])
    enter, leave = intersect_box(origins, directions, box)
    assert_close(enter[[0, 2]], torch.tensor([1.0, 0.0]))
    assert_close(leave[[0, 2]], torch.tensor([2.0, 0.5]))
    assert (enter >= leave).tolist() == [False, True, False, True]


def test_the_whole_ball_is_held_and_little_else() -> None:
    occupancy = ball()
    directions = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert occupancy.holds(CENTRE + directions * RADIUS * 0.999).all()
    cell = 0.6 / 32
    assert not occupancy.holds(CENTRE + directions * (RADIUS + 4 * cell)).any()


def test_a_floor_beyond_the_unit_cube_keeps_its_middle() -> None:
    box = torch.tensor([[-3.0, -3, -0.55], [3, 3, -0.45]])

    def slab(x: torch.Tensor) -> torch.Tensor:
        return 200.0 * ((x > box[0]) & (x < box[1])).all(-1)

    occupancy = Occupancy.build(slab, Contraction(box, SceneContraction(order=float("inf"))), box)
    x, y = torch.meshgrid(torch.linspace(-2.9, 2.9, 30), torch.linspace(-2.9, 2.9, 30), indexing="ij")
    assert occupancy.holds(torch.stack([x, y, torch.full_like(x, -0.5)], -1)).float().mean() > 0.99


def test_samples_cover_the_ball_and_only_rays_near_it_are_taken() -> None:
    occupancy, generator = ball(), torch.Generator().manual_seed(1)
    origins = torch.tensor([0.0, 0.0, 3.0]) + 0.1 * torch.randn(400, 3, generator=generator)
    towards = CENTRE + 0.25 * torch.randn(400, 3, generator=generator)
    directions = torch.nn.functional.normalize(towards - origins, dim=-1)
    rays = RayBundle(origins, directions, torch.ones(400, 1), torch.zeros(400, 1, dtype=torch.long))
    hit, samples = occupancy.ray_samples(rays, steps=64, count=24)

    to_centre = CENTRE - origins
    along = (to_centre * directions).sum(-1)
    offset = (to_centre.square().sum(-1) - along**2).clamp(min=0).sqrt()
    taken = torch.zeros(400, dtype=torch.bool)
    taken[hit] = True
    assert taken[offset < RADIUS * 0.98].all() and not taken[offset > RADIUS + 0.1].any()

    half = (RADIUS**2 - offset[hit] ** 2).clamp(min=0).sqrt()
    through = half > 0.1
    start, end = samples.edges[:, 0], samples.edges[:, -1]
    slack = (end - start) / 24
    assert (start - slack < along[hit] - half)[through].all() and (end + slack > along[hit] + half)[through].all()
    assert (samples.edges.diff(dim=-1) > 0).all()


def test_positions_are_held_by_the_cell_that_they_are_in() -> None:
    """Of a grid whose axes are turned in memory, too; beyond the grid, and where there is no number, is nothing."""
    grid = ball()
    side = len(grid.occupied)
    turned = replace(grid, occupied=grid.occupied.permute(2, 1, 0))
    positions = torch.cat([BOX[0] + torch.rand(500, 3) * 1.2 * (BOX[1] - BOX[0]), torch.full((1, 3), torch.nan)])
    positions[0, 1], positions[1, 2] = torch.inf, -torch.inf
    for each in (grid, turned):
        for position, held in zip(positions, each.holds(positions).tolist()):
            cell = ((position - BOX[0]) / (BOX[1] - BOX[0]) * side).floor()
            inside = bool(((cell >= 0) & (cell < side)).all())
            assert held == (inside and bool(each.occupied[tuple(cell.long())]))


def test_a_point_is_contracted_alike_alone_and_among_far_ones() -> None:
    contraction = Contraction(torch.zeros(2, 3), SceneContraction(order=float("inf")))
    near, far = torch.rand(50, 3) * 2 - 1, torch.rand(50, 3) * 9 + 1
    assert torch.equal(contraction(near), contraction(torch.cat([near, far]))[:50])
    assert contraction(torch.full((1, 3), torch.nan)).isnan().all()
