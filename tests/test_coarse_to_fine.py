"""Finer levels of the radiance field's hash grid wait for coarser ones."""

import types

import torch
from nerfstudio.field_components.mlp import MLPWithHashEncoding
from test_hashgrid import StandInEncoding
from torch import nn

from disconerf_ns.training.coarse_to_fine import CoarseToFine


def test_levels_that_wait_get_no_gradient_in_torch() -> None:
    torch.manual_seed(0)
    grid = MLPWithHashEncoding(num_levels=4, min_res=4, max_res=32, log2_hashmap_size=10, implementation="torch")
    hold = CoarseToFine(grid)
    table = grid.model[0].hash_table
    for levels in (4, 3, 1):
        hold.open_levels = levels
        grid.zero_grad()
        grid(torch.rand(200, 3)).square().sum().backward()
        learns = table.grad.view(4, -1).abs().sum(1) > 0
        assert learns.tolist() == [level < levels for level in range(4)]
    assert all(p.grad.abs().sum() > 0 for p in grid.model[1].parameters())


def test_levels_that_wait_get_no_gradient_in_tinycudann() -> None:
    torch.manual_seed(0)
    config = {"otype": "HashGrid", "n_levels": 4, "n_features_per_level": 2, "base_resolution": 4}
    encoding = StandInEncoding(3, config | {"per_level_scale": 2.0})
    network = 48
    params = nn.Parameter(torch.cat([torch.randn(network), encoding.params.detach()]))
    grid = MLPWithHashEncoding(num_levels=4, min_res=4, max_res=32, log2_hashmap_size=19, implementation="torch")
    del grid.model
    object.__setattr__(grid, "model", types.SimpleNamespace(params=params))
    CoarseToFine(grid).open_levels = 2
    (params * torch.ones_like(params)).sum().backward()
    encoding.params = nn.Parameter(params.grad[network:])
    assert (params.grad[:network] == 1).all()
    assert [bool(t.any()) for t in encoding.tables] == [True, True, False, False]
    assert all((t == 1).all() for t in encoding.tables[:2])
