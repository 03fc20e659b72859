"""Losses of masks against unions of slots: Triton's kernels against torch in value and gradient."""

from __future__ import annotations

import pytest
import torch
from helpers import assert_close
from torch import Tensor

from disconerf_ns.kernels.union_losses import union_losses as twin

pytest.importorskip("triton")
from disconerf_ns.kernels.union_losses_triton import BLOCK, TILE, union_losses

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def random_views(views: int, pixels: int, masks: int, slots: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Slot probabilities, binary masks, sets of slots, counted masks, and a factor for each view."""
    torch.manual_seed(0)
    image = torch.randn(views, pixels, slots).mul(2).softmax(-1)
    member = (torch.rand(views, pixels, masks) < 0.3).to(dtype)
    sets, counted = (torch.rand(views, masks, slots) < 0.2).float(), (torch.rand(views, masks, 1) < 0.7).float()
    return tuple(each.to(DEVICE) for each in (image, member, sets, counted, torch.rand(views)))


def values_and_gradient(function, image: Tensor, *rest: Tensor) -> list[Tensor]:
    image = image.clone().requires_grad_()
    matching, intruding = function(image, *rest)
    (gradient,) = torch.autograd.grad(2 * matching - 3 * intruding, image)
    return [matching, intruding, gradient]


SIZES = [
    (1, 1, 1, 1),
    (3, 2 * BLOCK + 5, 5, 7),
    (2, BLOCK, TILE, TILE),
    (2, BLOCK - 1, TILE + 1, 2 * TILE + 1),
    (2, 9, 0, 4),
]
"""Views, pixels, masks and slots."""


@pytest.mark.parametrize("sizes", SIZES)
def test_losses_and_gradient_equal_torch(sizes: tuple[int, int, int, int]) -> None:
    given = random_views(*sizes, torch.float32)
    for found, expected in zip(values_and_gradient(union_losses, *given), values_and_gradient(twin, *given)):
        assert_close(found, expected, 1e-5)


def test_half_precision_of_the_masks_rounds_products_and_not_sums() -> None:
    given = random_views(2, 3 * BLOCK, 20, 40, torch.float16)
    exact = given[0], given[1].float(), *given[2:]
    for found, expected in zip(values_and_gradient(union_losses, *given), values_and_gradient(twin, *exact)):
        assert found.dtype == torch.float32
        assert_close(found, expected, 1e-3)


def test_masks_by_pixel_by_mask_or_in_steps_are_the_same() -> None:
    image, member, *rest = random_views(2, 2 * BLOCK + 3, TILE + 1, 7, torch.float32)
    expected = values_and_gradient(twin, image, member, *rest)
    by_mask, in_steps = member.mT.contiguous().mT, torch.stack([member, member], -1)[..., 0]
    assert by_mask.mT.is_contiguous() and not in_steps.is_contiguous() and not in_steps.mT.is_contiguous()
    for stored in (by_mask, in_steps):
        for a, b in zip(values_and_gradient(union_losses, image.mT.contiguous().mT, stored, *rest), expected):
            assert_close(a, b, 1e-5)
