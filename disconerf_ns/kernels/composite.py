"""The object field's last layer, softmax and sum along the ray in one function: O = A / k sum_j softmax(W h_j + b).

The probabilities of all points, (points, slots), would be the object stage's largest tensor. Here they exist for a
chunk of rays at a time, and the backward pass computes them again.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

PROBABILITIES_AT_ONCE = {"cpu": 2**18, "gpu": 2**26}
"""Largest number of probabilities in memory at a time: as many as a CPU's cache holds, or as keep a GPU busy."""


def composite(
    hidden: Float[Tensor, "points width"],
    weight: Float[Tensor, "slots width"],
    bias: Float[Tensor, "slots"],
    accumulation: Float[Tensor, "rays"],
) -> Float[Tensor, "rays slots"]:
    """Slots rendered along rays.

    Each ray has k = points / rays points of equal weight, which are consecutive in `hidden`. Logits are computed in the
    precision of `hidden` (half under autocast), everything else at least in float32.

    Args:
        hidden: features h of the points, the input of the last layer.
        weight, bias: W and b of the last layer.
        accumulation: A of the rays; it gets no gradient, because it belongs to the frozen radiance field.
    """
    return _Composite.apply(hidden.contiguous(), weight, bias, accumulation)


class _Composite(torch.autograd.Function):
    """`composite` for a chunk of rays at a time; the backward pass computes the probabilities again.

    Probabilities lie in memory as (k, slots, rays), so that the softmax works on many rays at once even with few slots.
    """

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, bias: Tensor, accumulation: Tensor) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias, accumulation)
        out = hidden.new_empty(len(accumulation), len(weight), dtype=_exact(hidden))
        for rays, points in _chunks(hidden, weight, accumulation):
            torch.mul(_probabilities(points, weight, bias).mean(0), accumulation[rays], out=out[rays].T)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        hidden, weight, bias, accumulation = ctx.saved_tensors
        with torch.autocast(hidden.device.type, enabled=False):
            exact, grad_hidden = weight.to(grad), torch.empty_like(hidden)
            grad_weight, grad_bias = torch.zeros_like(exact), torch.zeros_like(bias, dtype=grad.dtype)
            per_ray = _per_ray(grad_hidden, accumulation)
            for rays, points in _chunks(hidden, weight, accumulation):
                probability = _probabilities(points, weight, bias)
                pull = probability * (grad[rays].T * (accumulation[rays] / points.shape[1]))
                pull -= probability * pull.sum(1, keepdim=True)
                per_ray[rays] = (pull.mT @ exact).transpose(0, 1).to(hidden)
                grad_weight += (pull @ points.transpose(0, 1).to(grad)).sum(0)
                grad_bias += pull.sum((0, 2))
        return grad_hidden, grad_weight.to(weight), grad_bias.to(bias), None


def _exact(hidden: Tensor) -> torch.dtype:
    """The precision of everything but the logits."""
    return torch.promote_types(hidden.dtype, torch.float32)


def _per_ray(hidden: Tensor, accumulation: Tensor) -> Tensor:
    """(points, width) as (rays, k, width)."""
    rays, (points, width) = len(accumulation), hidden.shape
    return hidden.view(rays, points // max(rays, 1), width)


def _chunks(hidden: Tensor, weight: Tensor, accumulation: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Slices of rays, each with the hidden features of its points, (rays, k, width)."""
    per_ray = _per_ray(hidden, accumulation)
    most = PROBABILITIES_AT_ONCE["cpu" if hidden.device.type == "cpu" else "gpu"]
    rays = max(1, most // max(1, per_ray.shape[1] * len(weight)))
    for start in range(0, len(accumulation), rays):
        chunk = slice(start, start + rays)
        yield chunk, per_ray[chunk]


def _probabilities(points: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Slot probabilities (k, slots, rays) of points (rays, k, width)."""
    with torch.autocast(points.device.type, enabled=False):
        logits = weight.to(points) @ points.permute(1, 2, 0)
        return (logits.to(_exact(points)) + bias.to(_exact(points))[:, None]).softmax(1)
