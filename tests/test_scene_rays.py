"""Drawn rays: what a draw takes, that it is unbiased, what is kept of each ray, and that a CUDA graph can hold it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
from helpers import assert_close
from tiny_run import Run
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from disconerf_ns.discovery.consensus import Consensus
from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.field import ObjectField, ObjectFieldConfig
from disconerf_ns.masks.masked_view import MaskedView, pack
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training import objective
from disconerf_ns.training.batch import ObjectBatch
from disconerf_ns.training.curve import along_curve, morton_codes
from disconerf_ns.training.object_outputs import LossWeights, object_outputs
from disconerf_ns.training.objective import MaskTargets
from disconerf_ns.training.scene_rays import LEAST_RAYS, SceneRays, stride_within

SLOTS = 5
FIELD = ObjectFieldConfig(levels=3, coarsest=4, finest=16, log2_table=9, implementation="torch")


class World:
    """Views with random points, of which some have no loss, random masks, and random explanations of these."""

    def __init__(self, pixels: tuple[int, ...] = (12, 8), masks: tuple[int, ...] = (3, 9)):
        torch.manual_seed(0)
        self.surfaces = [SurfaceSamples.pack(torch.rand(n, 2, 3), torch.rand(n)) for n in pixels]
        self.masks = [torch.rand(k, n) < 0.5 for k, n in zip(masks, pixels)]
        valid = [torch.arange(n) % 4 != 1 for n in pixels]
        self.views = [MaskedView(i, pack(mask), kept) for i, (mask, kept) in enumerate(zip(self.masks, valid))]
        self.explanations = [Explanation((torch.rand(k, SLOTS) < 0.3).float(), torch.rand(k)) for k in masks]

    def rays(self, drawn: int, stride: int = 1) -> SceneRays:
        return SceneRays.of(self.surfaces, self.views, self.explanations, drawn, stride, "cpu")

    def whole(self) -> ObjectBatch:
        return ObjectBatch.of(self.surfaces, self.views, self.explanations, "cpu")


@pytest.fixture
def every_draw(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Random numbers that count up from draw to draw, so that a multiple of all numbers of rays of draws is all."""
    counter = itertools.count()
    draws = lambda high, shape, device: torch.full(shape, next(counter), device=device)
    with monkeypatch.context() as patched:
        patched.setattr("disconerf_ns.training.scene_rays.torch.randint", draws)
        yield 9 * 6


def losses(field: ObjectField, batch: ObjectBatch) -> Tensor:
    image = field.composite(field.hidden(batch.surface.positions.flatten(0, 1)), batch.surface.accumulation)
    image = image.unflatten(0, batch.accumulation.shape)
    return torch.stack(objective.mask_losses(image, batch.masks, batch.targets, batch.real.sum(1), batch.pixels))


@pytest.mark.parametrize("drawn", [2, 10, 14])
def test_all_draws_together_are_the_whole_views(every_draw: int, drawn: int) -> None:
    """Losses and their gradients: 9 and 6 rays count in two views, and draws take 1, 5 or 7 of each."""
    world, field = World(), ObjectField(FIELD, SLOTS)
    rays = world.rays(drawn)
    assert rays.count.tolist() == [9, 6] and rays.drawn == drawn // 2
    found = sum(losses(field, rays.draw()) for _ in range(every_draw)) / every_draw
    expected = losses(field, world.whole())
    assert_close(found, expected)
    for one, other in zip(found, expected):
        ours, theirs = (torch.autograd.grad(each, list(field.parameters()), retain_graph=True) for each in (one, other))
        for a, b in zip(ours, theirs):
            assert_close(a, b)


def test_a_view_that_is_drawn_whole_has_each_ray_once() -> None:
    rays = World((12, 12), (3, 9)).rays(drawn=1000)
    batch = rays.draw()
    assert rays.drawn == 9 and torch.equal(batch.packed.flatten(0, 1), rays.rays[0])


def test_a_ray_has_the_masks_of_its_pixel() -> None:
    world = World()
    batch = world.rays(10).draw()
    for view, (surface, masks) in enumerate(zip(world.surfaces, world.masks)):
        for ray in range(5):
            (pixel,) = (surface.packed == batch.packed[view, ray]).all(-1).all(-1).nonzero()[:, 0].tolist()
            assert world.views[view].valid[pixel]
            assert float(batch.accumulation[view, ray]) == float(surface.accumulation[pixel])
            assert batch.masks[view, ray].tolist() == masks[:, pixel].tolist() + [0] * (9 - len(masks))
    assert batch.real.sum(1).tolist() == [3, 9] and batch.pixels.tolist() == batch.rays.tolist() == [5, 5]


def test_views_where_nothing_counts_and_views_without_masks_cost_nothing() -> None:
    world = World((12, 8, 4), (3, 0, 4))
    world.views[2].valid[:] = False
    field = ObjectField(FIELD, SLOTS)
    rays = world.rays(60)
    assert rays.count.tolist() == [9, 6, 1]
    batch = rays.draw()
    assert batch.accumulation[2].abs().max() == batch.masks[2].max() == batch.masks[1].max() == 0
    assert_close(losses(field, batch), losses(field, world.whole()))


def test_a_device_without_any_mask_learns_nothing_from_them() -> None:
    """Of two devices that share the views, one may have none of those with masks."""
    rays = 100 * LEAST_RAYS
    assert stride_within(rays, 2, 0, 14 * rays, 2 * rays) == 1
    world = World((12, 8), (0, 0))
    field = ObjectField(FIELD, SLOTS)
    batch = world.rays(60).draw()
    assert batch.masks.shape == (2, 9, 0)
    assert losses(field, batch).tolist() == losses(field, world.whole()).tolist() == [0.0, 0.0]


def test_every_second_ray_along_the_curve_is_kept() -> None:
    world = World((12, 12), (3, 3))
    all_rays, half = world.rays(2), world.rays(2, stride=2)
    assert half.count.tolist() == [5, 5]
    for column, kept in zip(all_rays.rays, half.rays):
        assert torch.equal(kept[:5], column[:9:2]) and torch.equal(kept[5:], column[9::2])


def test_strides_by_hand() -> None:
    rays = 100 * LEAST_RAYS  # with 2 points and 9 masks a ray has 14 bytes and 2 bytes
    assert stride_within(rays, 2, 9, 14 * rays, 2 * rays) == 1
    assert stride_within(rays, 2, 9, 14 * rays - 1, 2 * rays) == 2
    assert stride_within(rays, 2, 9, 14 * (rays // 7 + 1), 2 * rays) == 7
    assert stride_within(rays, 2, 9, 0, 0) == 100
    assert stride_within(LEAST_RAYS, 2, 9, 0, 0) == 1


def test_codes_of_the_curve_by_hand() -> None:
    cells = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 0], [1, 1, 1], [3, 0, 1], [1023] * 3])
    assert morton_codes(cells).tolist() == [0, 1, 2, 4, 8, 7, 13, 2**30 - 1]


def test_points_along_the_curve_are_neighbours() -> None:
    torch.manual_seed(0)
    packed = SurfaceSamples.pack(torch.rand(4096, 1, 3), torch.ones(4096)).packed[:, 0]
    order = along_curve(packed)
    assert order.sort().values.tolist() == list(range(4096))
    steps = packed[order].float().diff(dim=0).norm(dim=-1) / 65535
    assert float(steps.mean()) < 0.12, "1/16 is the distance of neighbours, 0.66 that of any two points"


class NoHost(TorchDispatchMode):
    """Refuses what a CUDA graph cannot hold: values that the host reads, its tensors, sizes that depend on values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        on = {each.device.type for each in tree_leaves((args, kwargs, out)) if isinstance(each, Tensor)}
        assert on <= {"meta"}, f"{func} on {on}"
        return out


def test_an_iteration_needs_nothing_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw, forward and backward pass on tensors without values, with torch's operators in the place of Triton's."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())
    monkeypatch.setattr(torch, "tensor", lambda *args, **kwargs: pytest.fail("a tensor of the host's numbers"))
    views, masks, total = 4, 9, 1000
    with torch.device("meta"):
        field, number, real = ObjectField(FIELD, SLOTS), torch.empty(views).long(), torch.empty(views, masks).bool()
        targets = MaskTargets(torch.empty(views, masks, SLOTS), torch.empty(views, masks), real)
        kept = torch.empty(total, 2, 3).short(), torch.empty(total).half(), torch.empty(total, 2).byte()
        rays = SceneRays(kept, number, number, real, targets, drawn=20)
        consensus = Consensus(torch.empty(50, 3), torch.empty(50).long(), torch.empty(50, 8).long())
    with NoHost():
        outputs = object_outputs(field, rays.draw(), consensus, 30, 40)
        outputs.metrics()
        losses = outputs.loss_dict(LossWeights(0.01, 0.1, 0.1))
        sum(losses.values()).backward()
    assert set(losses) == {"matching_loss", "false_positive_loss", "tv_loss", "consensus_loss"}
    assert all(parameter.grad is not None for parameter in field.parameters())
    for of_the_host in (real.nonzero, number.sum().item, lambda: number[real[:, 0]], lambda: torch.ones(2)):
        with NoHost(), pytest.raises((AssertionError, RuntimeError)):
            of_the_host()


@pytest.mark.parametrize(("matching", "rays"), [("scene", 140), ("scene", 0), ("view", 140)])
def test_a_run_draws_rays_of_all_views_or_takes_whole_views(
    run: Run, monkeypatch: pytest.MonkeyPatch, matching: str, rays: int
) -> None:
    pipeline = run.trainer.pipeline
    vars(pipeline.object_stage).pop("scene_rays", None)
    monkeypatch.setattr(pipeline.config.datamanager, "rays_per_batch", rays)
    monkeypatch.setattr(pipeline.model.config, "matching", matching)
    if matching == "view":
        monkeypatch.setattr(pipeline.object_stage, "explanations", [])
    batch = pipeline.object_stage.next_batch()
    vars(pipeline.object_stage).pop("scene_rays", None)
    drawn = matching == "scene" and rays > 0
    assert pipeline.object_stage.draws_rays == drawn
    views, pixels = (14, 10) if drawn else (5, len(pipeline.object_stage.surfaces[0]))
    assert batch.accumulation.shape == (views, pixels)
    assert (batch.targets is None) == (matching == "view")
