"""Results of a frame's rays, divided among parts of the rays and joined again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from disconerf_ns.rendering.edited import PlacedSamples


def select_rays(kept: Any, rays: Int[Tensor, "some"]) -> Any:
    """The part of a result that is about some rays, by index, in their order.

    Args:
        kept: a tensor with a row for each ray, samples of a placement, None, or dicts, lists and tuples of such.
    """
    if kept is None:
        return None
    if isinstance(kept, Tensor):
        return kept[rays.to(kept.device)]
    if isinstance(kept, PlacedSamples):
        return kept.among(rays)
    if isinstance(kept, dict):
        return {name: select_rays(each, rays) for name, each in kept.items()}
    return _like(kept, [select_rays(each, rays) for each in kept])


def together(parts: Sequence[Any], counts: Sequence[int]) -> Any:
    """Concatenate results of the same kind along their rays, in the order of the parts.

    Args:
        parts: results as `select_rays` takes them.
        counts: how many rays each is about.
    """
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.cat(list(parts))
    if isinstance(first, PlacedSamples):
        before = [sum(counts[:number]) for number in range(len(counts))]
        return PlacedSamples.cat([part._replace(rays=part.rays + start) for part, start in zip(parts, before)])
    if isinstance(first, dict):
        return {name: together([part[name] for part in parts], counts) for name in first}
    return _like(first, [together(column, counts) for column in zip(*parts)])


def _like(kept: Any, values: list[Any]) -> Any:
    """A list, tuple or named tuple of the same kind with other values."""
    return type(kept)(*values) if hasattr(kept, "_fields") else type(kept)(values)
