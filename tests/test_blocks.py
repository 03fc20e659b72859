"""Objects of a capture cut into blocks: those that span a border become one, and all others stay apart."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from disconerf_ns.discovery import blocks
from disconerf_ns.discovery.blocks import LEAST_VOXELS, Block, BlockVoxels, matches, merge
from disconerf_ns.discovery.cells import Cells, MaskedSurface, solid_points
from disconerf_ns.discovery.find import find_consensus
from disconerf_ns.surface.samples import SurfaceSamples

BALLS = torch.linspace(0.06, 0.94, 8)
"""Places along x of balls in a row beside a beam, which is as long as the scene; the beam is object 8."""
RAYS, REACH, EDGE = 600, 0.25, 0.03


def row_of_voxels(objects: list[int], start: int = 0) -> Block:
    """One point in the middle of each voxel of a row along x, with edges of 1."""
    x = torch.arange(len(objects)) + start + 0.5
    return Block(torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)], 1), torch.tensor(objects))


def test_the_iou_of_two_objects_by_hand() -> None:
    """Both look at voxels 4 to 15: 0 holds 8 of them and 1 holds 10, of which 8 are the same."""
    one = BlockVoxels.of(row_of_voxels([0] * 12 + [-1] * 4), 1.0)
    other = BlockVoxels.of(row_of_voxels([1] * 10 + [0] * 50, start=4), 1.0)
    (match,) = matches(one, other, (3, 7))
    assert match == (pytest.approx(8 / 10), (3, 0), (7, 1))


def test_a_voxel_belongs_to_the_object_with_most_points() -> None:
    points = torch.tensor([[-0.5, 0, 0]] * 3 + [[0.5, 0, 0]])
    voxels = BlockVoxels.of(Block(points, torch.tensor([2, 1, 2, 0])), 1.0)
    assert voxels.owner.tolist() == [2, 0] and voxels.keys[0] < voxels.keys[1]


def test_blocks_apart_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(blocks, "matches", lambda one, other, at: compared.append(at) or ())
    merge([row_of_voxels([0] * 9, start) for start in (0, 5, 20, 28)], 1.0)
    assert compared == [(0, 1), (2, 3)]


def test_few_voxels_match_nothing() -> None:
    for count in (LEAST_VOXELS - 1, LEAST_VOXELS):
        same = BlockVoxels.of(row_of_voxels([0] * count), 1.0)
        assert len(list(matches(same, same, (0, 1)))) == (count == LEAST_VOXELS)


def test_an_object_through_three_blocks_is_one() -> None:
    rows = [row_of_voxels([0] * 30, start) for start in (0, 20, 40)]
    assert [numbers.tolist() for numbers in merge(rows, 1.0)] == [[0], [0], [0]]


def test_two_objects_of_a_block_stay_two() -> None:
    """The second block has them as one: it gets the number of the one that it is more like."""
    rows = [row_of_voxels([0] * 10 + [1] * 30), row_of_voxels([0] * 40)]
    assert [numbers.tolist() for numbers in merge(rows, 1.0)] == [[0, 1], [1]]
    around = [*rows, row_of_voxels([0] * 10 + [-1] * 30)]
    assert [numbers.tolist() for numbers in merge(around, 1.0)] == [[0, 1], [1], [0]]


def test_blocks_without_objects_or_apart() -> None:
    nothing = Block(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    assert [len(numbers) for numbers in merge([nothing, nothing], 1.0)] == [0, 0]
    far = merge([row_of_voxels([0] * 9), row_of_voxels([0] * 9, start=1000), nothing], 1.0)
    assert [numbers.tolist() for numbers in far] == [[0], [1], []]
    with pytest.raises(ValueError, match="voxels of 1e-06 from the origin"):
        merge([row_of_voxels([0] * 9)], 1e-6)


def truth(points: Tensor) -> Tensor:
    """Object at each point of the made scene."""
    return torch.where(points[:, 1] < 0.4, len(BALLS), (points[:, :1] - BALLS).abs().argmin(1))


def seen_from(x: float, seed: int) -> MaskedSurface:
    """The surface within REACH of x, and masks of the objects; every third view has two neighbours in one mask."""
    generator = torch.Generator().manual_seed(seed)
    random = torch.rand(RAYS, 3, generator=generator)
    ball = 0.55 + 0.05 * torch.nn.functional.normalize(random - 0.5, dim=-1)
    ball[:, 0] += BALLS[torch.randint(len(BALLS), (RAYS,), generator=generator)] - 0.55
    beam = random * torch.tensor([1.0, 0.06, 0.06]) + torch.tensor([0.0, 0.3, 0.5])
    points = torch.cat([ball, beam])
    points = points[((points[:, 0] - x).abs() < REACH) & (points[:, 0] > 0) & (points[:, 0] < 1)]
    masks = torch.nn.functional.one_hot(truth(points), len(BALLS) + 1).float()
    masks = masks[:, masks.any(0)]
    if seed % 3 == 0:
        masks = torch.cat([masks[:, :2].amax(1, keepdim=True), masks[:, 2:]], 1)
    return SurfaceSamples.pack(points[:, None], torch.ones(len(points))), masks


def test_a_scene_cut_in_two_has_each_object_once() -> None:
    """Each half is searched by itself, in views from its side that look over the border."""
    halves = [torch.linspace(0.1, 0.5, 14), torch.linspace(0.5, 0.9, 14)]
    searched = []
    for half, places in enumerate(halves):
        views = [seen_from(float(x), 100 * half + view) for view, x in enumerate(places)]
        found = find_consensus(views)
        points = torch.cat([solid_points(surface) for surface, _ in views])
        searched.append(Block(points, found.groups[Cells(found.points).at(points)]))
    numbers = merge(searched, EDGE)
    apart = sum(map(len, numbers))
    every = torch.cat([of[block.objects] for of, block in zip(numbers, searched)])
    true = torch.cat([truth(block.points) for block in searched])
    table = torch.zeros(int(every.max()) + 1, len(BALLS) + 1)
    table.index_put_((every, true), torch.ones(()), accumulate=True)
    assert len(table) == len(BALLS) + 1 < apart
    assert sorted(table.argmax(1).tolist()) == list(range(len(BALLS) + 1)), "each number is another true object"
    assert float(table.amax(1).sum() / table.sum()) > 0.99
