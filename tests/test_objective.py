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

from disconerf_ns import objective


def random_view(seed: int, pixels: int = 40, slots: int = 6, masks: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Slot probabilities under an accumulation, and overlapping random masks, one of them empty now and then."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(pixels, slots, generator=generator).mul(2).softmax(-1)
    opacity = torch.rand(pixels, 1, generator=generator)
    chance = torch.rand(masks, generator=generator)
    chance[0] = 0.0 if seed % 5 == 0 else chance[0]
    return probabilities * opacity, (torch.rand(pixels, masks, generator=generator) < chance).float()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_losses_and_gradients_equal_the_formulas(seed: int) -> None:
    slots, masks = random_view(seed)
    fast, slow = slots.clone().requires_grad_(), slots.clone().requires_grad_()
    shared = objective.overlaps(fast, masks)
    alpha = objective.affinity(shared)
    assert_close(alpha, affinity_by_loops(slots, masks))

    gamma = objective.match(alpha)
    total = sum(float(alpha[m, n]) for m, n in enumerate(gamma))
    assert total == pytest.approx(sum(float(alpha[m, n]) for m, n in enumerate(best_assignment(alpha))), abs=1e-5)

    chosen = tuple(gamma.tolist())
    for loss, twin in (
        (objective.matching_loss, matching_loss_by_loops),
        (objective.false_positive_loss, false_positive_loss_by_loops),
    ):
        fast_value, slow_value = loss(shared, gamma), twin(slow, masks, chosen)
        assert_close(fast_value, slow_value)
        (fast_gradient,) = torch.autograd.grad(fast_value, fast, retain_graph=True)
        (slow_gradient,) = torch.autograd.grad(slow_value, slow)
        assert_close(fast_gradient, slow_gradient)


def test_two_masks_three_slots_by_hand() -> None:
    slots = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    masks = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    shared = objective.overlaps(slots, masks)
    # mask 0 covers pixels 0, 1. Slot 0: minima 1 + 0.5, maxima 1 + 1. Slot 1: 0.5 over 1 + 1 + 0.5. Slot 2: 0.
    # mask 1 covers pixels 2, 3. Slot 0: 0. Slot 1: 0.5 over 0.5 + 1 + 1. Slot 2: 1.5 over 2.
    expected = torch.tensor([[1.5 / 2, 0.5 / 2.5, 0.0], [0.0, 0.5 / 2.5, 1.5 / 2]])
    assert_close(objective.affinity(shared), expected)
    gamma = objective.match(expected)
    assert gamma.tolist() == [0, 2]
    # each mask differs from its slot by 1/2 in one pixel: (1/2) (1/4 + 1/4) / 4 pixels
    assert float(objective.matching_loss(shared, gamma)) == pytest.approx(0.25 / 4)
    # slot 1 leaks 1/2 into one pixel of each mask
    assert float(objective.false_positive_loss(shared, gamma)) == pytest.approx(0.25 / 4)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_order_of_masks_and_slots_does_not_matter(seed: int) -> None:
    slots, masks = random_view(seed)
    generator = torch.Generator().manual_seed(seed)
    some, other = (
        torch.randperm(masks.shape[1], generator=generator),
        torch.randperm(slots.shape[1], generator=generator),
    )

    def losses(o, m):
        shared = objective.overlaps(o, m)
        gamma = objective.match(objective.affinity(shared))
        return torch.stack([objective.matching_loss(shared, gamma), objective.false_positive_loss(shared, gamma)])

    if masks.sum(0).min() > 0:  # an empty mask fits every slot equally badly, so its match is arbitrary
        assert_close(losses(slots, masks), losses(slots[:, other], masks[:, some]))


def test_perfect_slots_cost_nothing() -> None:
    masks = torch.eye(3).repeat_interleave(4, 0)
    shared = objective.overlaps(masks, masks)
    gamma = objective.match(objective.affinity(shared))
    assert float(objective.matching_loss(shared, gamma)) == 0
    assert float(objective.false_positive_loss(shared, gamma)) == 0


def test_a_view_without_masks_costs_nothing_and_keeps_the_graph() -> None:
    slots = torch.rand(10, 3, requires_grad=True)
    shared = objective.overlaps(slots, torch.zeros(10, 0))
    gamma = objective.match(objective.affinity(shared))
    loss = objective.matching_loss(shared, gamma) + objective.false_positive_loss(shared, gamma)
    loss.backward()
    assert float(loss) == 0 and float(slots.grad.abs().max()) == 0


def test_affinity_and_matching_have_no_gradient() -> None:
    slots = torch.rand(10, 3, requires_grad=True)
    shared = objective.overlaps(slots, torch.ones(10, 2))
    assert not objective.affinity(shared).requires_grad


def test_more_masks_than_slots_are_refused() -> None:
    with pytest.raises(ValueError, match="3 masks .* 2 slots"):
        objective.match(torch.rand(3, 2))
