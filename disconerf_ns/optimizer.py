"""Adam in one pass over its parameters."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio.engine.optimizers import AdamOptimizerConfig


@dataclass
class FusedAdamConfig(AdamOptimizerConfig):
    """nerfstudio's Adam, as one kernel, on a CPU too."""

    fused: bool = True
    """Update all moments and parameters in one pass, and with mixed precision without waiting for the GPU."""
