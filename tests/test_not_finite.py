"""Positions that are not finite reach no gather: whatever is asked about them answers something finite.

On a GPU, a row outside of a table ends the process, so each function that looks up a place has to stand NaN by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers import assert_close
from torch import Tensor

from disconerf_ns.field import ObjectField, ObjectFieldConfig
from disconerf_ns.kernels.hash_grid import TorchHashGrid
from disconerf_ns.scene.connected_parts import ConnectedParts
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.occupancy import Occupancy
from disconerf_ns.scene.seen_voxels import SeenVoxels

NAN, INF = float("nan"), float("inf")
ODD = torch.tensor(
    [
        [NAN, NAN, NAN],
        [0.5, NAN, 0.5],
        [INF, 0.5, 0.5],
        [0.5, -INF, 0.5],
        [1e30, -1e30, 0.5],
        [3e9, -3e9, 7.0],
        [-0.1, 1.1, 2.0],
    ]
)
INSIDE = torch.tensor([[0.0, 0.5, 0.99], [0.3, 0.6, 0.9]])
BOX = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
UNIT = Contraction(BOX, None)


def grid() -> TorchHashGrid:
    torch.manual_seed(0)
    grid = TorchHashGrid(3, 4, 64, 10, 2)
    grid.randomize(3)
    return grid


def occupancy() -> Occupancy:
    return Occupancy.build(lambda x: torch.full(x.shape[:-1], 9.0), UNIT, BOX, resolution=4)


def callees() -> dict[str, Callable[[Tensor], Tensor]]:
    field = ObjectField(ObjectFieldConfig(levels=3, finest=64, log2_table=10, implementation="torch"), 4)
    voxels = SeenVoxels.of(INSIDE, torch.tensor([1, 2]), 4, resolution=8)
    return {
        "object field": field,
        "hidden layer": field.hidden,
        "total variation": lambda x: field.total_variation(x).expand(len(x)),
        "voxels": voxels,
        "occupancy": occupancy().holds,
        "connected parts": ConnectedParts.of(occupancy()).at,
    }


@pytest.mark.parametrize("name", callees())
def test_every_lookup_stands_positions_that_are_not_finite(name: str) -> None:
    """Points in the cube get the same answer as without them."""
    look_up = callees()[name]
    answer, alone = look_up(torch.cat([ODD, INSIDE])), look_up(INSIDE)
    assert answer.isfinite().all() and len(answer) == len(ODD) + len(INSIDE)
    if name != "total variation":
        assert_close(answer[len(ODD) :].float(), alone.float())


def test_rows_of_the_hash_grid_are_rows_of_its_tables() -> None:
    """It may answer NaN where it is asked about NaN, from rows that are there, and of the others as without them."""
    table = grid()
    answer = table(torch.cat([ODD, INSIDE]))
    assert torch.equal(answer[len(ODD) :], table(INSIDE))
    table.total_variation(torch.cat([ODD, INSIDE])).backward()
    assert all(parameter.grad.isfinite().all() for parameter in table.parameters())


def test_gradients_of_the_field_stay_finite() -> None:
    field = ObjectField(ObjectFieldConfig(levels=3, finest=64, log2_table=10, implementation="torch"), 4)
    field(torch.cat([ODD, INSIDE])).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in field.parameters())


def test_points_that_are_not_finite_are_not_held() -> None:
    assert not occupancy().holds(ODD[:2]).any() and occupancy().holds(INSIDE).all()
