"""A training step that is ready to be computed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from torch import Tensor

Losses = dict[str, Tensor]
Metrics = dict[str, Tensor]


class TrainingStep(NamedTuple):
    """What the trainer differentiates."""

    kind: Hashable | None
    """Steps of one kind call the same operators with tensors at the same addresses, so that one CUDA graph serves them
    all; None for a step that no graph can capture."""
    compute: Callable[[], tuple[Losses, Metrics]]
    """Computes weighted losses, and metrics."""
