"""Affinity, matching and losses against the paper's formulas written as loops, and against numbers worked by hand."""

from __future__ import annotations

import pytest
import torch
from helpers import (
    affinity_by_loops,
    assert_close,
    best_assignment,
    false_positive_loss_by_loops,
    matching_loss_by_loops,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from disconerf_ns.training import objective
from disconerf_ns.training.batch import stacked
from disconerf_ns.training.objective import MaskLosses, MaskTargets


def random_view(seed: int, pixels: int = 40, slots: int = 6, masks: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Slot probabilities under an accumulation, and overlapping random masks, one of them empty now and then."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(pixels, slots, generator=generator).mul(2).softmax(-1)
    opacity = torch.rand(pixels, 1, generator=generator)
    chance = torch.rand(masks, generator=generator)
    chance[0] = 0.0 if seed % 5 == 0 else chance[0]
    return probabilities * opacity, (torch.rand(pixels, masks, generator=generator) < chance).float()


def see(slots: torch.Tensor, masks: torch.Tensor) -> tuple[MaskTargets, MaskLosses]:
    """One view's masks matched one to one with its slots, and the losses."""
    count = masks.shape[1]
    alpha = objective.affinity(slots[None], masks[None])
    targets = objective.PendingMatching(alpha, torch.ones(1, count, dtype=torch.bool)).result([count])
    sizes = torch.tensor([count]), torch.tensor([len(slots)])
    return targets, objective.mask_losses(slots[None], masks[None], targets, *sizes)


def slots_of(targets: MaskTargets, view: int = 0) -> list[int]:
    return targets.sets[view].argmax(1).tolist()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40)
def test_losses_and_gradients_equal_the_formulas(seed: int) -> None:
    slots, masks = random_view(seed)
    fast, slow = slots.clone().requires_grad_(), slots.clone().requires_grad_()
    alpha = affinity_by_loops(slots, masks)
    assert_close(objective.affinity(slots[None], masks[None])[0], alpha)

    targets, found = see(fast, masks)
    chosen = tuple(slots_of(targets))
    assert len(set(chosen)) == masks.shape[1]
    total = sum(float(alpha[m, n]) for m, n in enumerate(chosen))
    assert total == pytest.approx(sum(float(alpha[m, n]) for m, n in enumerate(best_assignment(alpha))), abs=1e-5)
    assert_close(targets.affinity[0], alpha[range(len(chosen)), chosen])

    for value, twin in zip(found, (matching_loss_by_loops, false_positive_loss_by_loops)):
        expected = twin(slow, masks, chosen)
        assert_close(value, expected)
        (fast_gradient,) = torch.autograd.grad(value, fast, retain_graph=True)
        (slow_gradient,) = torch.autograd.grad(expected, slow)
        assert_close(fast_gradient, slow_gradient)


def test_views_of_a_batch_do_not_see_each_other_and_filling_counts_for_nothing() -> None:
    """Views of different sizes together are the mean of the views alone."""
    views = [random_view(1), random_view(2, pixels=25, masks=2), (torch.rand(31, 6), torch.zeros(31, 0))]
    batch = [stacked([view[part] for view in views]) for part in (0, 1)]
    counts, pixels = ([view[1].shape[1] for view in views], [len(view[0]) for view in views])
    real = torch.arange(batch[1].shape[2]) < torch.tensor(counts)[:, None]
    slots = batch[0].requires_grad_()
    targets = objective.PendingMatching(objective.affinity(slots, batch[1]), real).result(counts)
    found = objective.mask_losses(slots, batch[1], targets, torch.tensor(counts), torch.tensor(pixels))
    (found.matching + 3 * found.false_positive).backward()
    alone = [(view[0].clone().requires_grad_(), view[1]) for view in views]
    seen = [see(*view) for view in alone]
    for loss in (0, 1):
        assert_close(found[loss], sum(one[loss] for _, one in seen) / 3)
    for number, ((own, _), (own_targets, one)) in enumerate(zip(alone, seen)):
        ((one.matching + 3 * one.false_positive) / 3).backward()
        assert_close(slots.grad[number, : len(own)], own.grad)
        assert slots.grad[number, len(own) :].abs().sum() == 0
        assert slots_of(targets, number)[: counts[number]] == slots_of(own_targets)
    assert targets.counted.sum() == sum(counts)
    assert targets.used.tolist() == torch.stack([own.used for own, _ in seen]).any(0).tolist()


def test_half_precision_of_the_products_costs_little() -> None:
    """As on a GPU, where masks come in half precision: the gradients' error is that of a rounded probability."""
    slots, masks = random_view(7, pixels=4000, slots=30, masks=12)
    results = []
    for kind in (torch.float32, torch.float16):
        own = slots.clone().requires_grad_()
        targets, _ = see(own.detach(), masks)
        sizes = torch.tensor([12]), torch.tensor([4000])
        found = objective.mask_losses(own[None], masks[None].to(kind), targets, *sizes)
        (1e-4 * (found.matching + found.false_positive)).backward()
        assert own.grad.dtype == torch.float32
        results.append([torch.stack(found).detach(), own.grad])
    assert_close(results[1][0], results[0][0], 1e-3)
    assert_close(results[1][1], results[0][1], 2e-3)


@pytest.mark.parametrize("pixels", [1000, 3 * objective.COUNTED, 40 * objective.COUNTED + 17])
def test_affinity_in_half_precision_costs_little(pixels: int) -> None:
    """As on a GPU. The first mask and the first slot are everywhere: their sum is more than half precision can hold."""
    slots, masks = random_view(7, pixels=pixels, slots=30, masks=12)
    slots[:, 0] = masks[:, 0] = 1
    found = objective.affinity(slots[None], masks[None].half())
    assert found.dtype == torch.float32 and float(found[0, 0, 0]) == 1
    assert_close(found, objective.affinity(slots[None], masks[None]), 1e-3)


def test_two_masks_three_slots_by_hand() -> None:
    slots = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    masks = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    # mask 0 covers pixels 0, 1. Slot 0: minima 1 + 0.5, maxima 1 + 1. Slot 1: 0.5 over 1 + 1 + 0.5. Slot 2: 0.
    # mask 1 covers pixels 2, 3. Slot 0: 0. Slot 1: 0.5 over 0.5 + 1 + 1. Slot 2: 1.5 over 2.
    expected = torch.tensor([[1.5 / 2, 0.5 / 2.5, 0.0], [0.0, 0.5 / 2.5, 1.5 / 2]])
    assert_close(objective.affinity(slots[None], masks[None])[0], expected)
    targets, found = see(slots, masks)
    assert slots_of(targets) == [0, 2]
    # each mask differs from its slot by 1/2 in one pixel: (1/2) (1/4 + 1/4) / 4 pixels
    assert float(found.matching) == pytest.approx(0.25 / 4)
    # slot 1 leaks 1/2 into one pixel of each mask
    assert float(found.false_positive) == pytest.approx(0.25 / 4)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25)
def test_order_of_masks_and_slots_does_not_matter(seed: int) -> None:
    slots, masks = random_view(seed)
    generator = torch.Generator().manual_seed(seed)
    some, other = (
        torch.randperm(masks.shape[1], generator=generator),
        torch.randperm(slots.shape[1], generator=generator),
    )
    if masks.sum(0).min() > 0:  # an empty mask fits every slot equally badly, so its match is arbitrary
        assert_close(torch.stack(see(slots, masks)[1]), torch.stack(see(slots[:, other], masks[:, some])[1]))


def test_perfect_slots_cost_nothing() -> None:
    masks = torch.eye(3).repeat_interleave(4, 0)
    assert [float(loss) for loss in see(masks, masks)[1]] == [0, 0]


def test_a_view_without_masks_costs_nothing_and_keeps_the_graph() -> None:
    slots = torch.rand(10, 3, requires_grad=True)
    targets, found = see(slots, torch.zeros(10, 0))
    (found.matching + found.false_positive).backward()
    assert float(found.matching) == 0 and float(slots.grad.abs().max()) == 0
    assert not targets.used.any()


def test_affinity_has_no_gradient() -> None:
    assert not objective.affinity(torch.rand(1, 10, 3, requires_grad=True), torch.ones(1, 10, 2)).requires_grad


def test_more_masks_than_slots_are_refused() -> None:
    with pytest.raises(ValueError, match="3 masks .* 2 slots"):
        objective.assign(torch.rand(3, 2))
