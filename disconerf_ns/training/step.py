"""A training step that is ready to be computed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from torch import Tensor

Losses = dict[str, Tensor]
Metrics = dict[str, Tensor]


class TrainingStep(NamedTuple):
    """A step whose data are drawn; the trainer computes its losses and differentiates them."""

    kind: Hashable | None
    """Steps of one kind call the same operators with tensors at the same addresses, so that one CUDA graph serves them
    all; None for a step that no graph can capture."""
    compute: Callable[[], tuple[Losses, Metrics]]
    """Computes weighted losses, and metrics."""
