"""Adam that updates all of its parameters in one fused kernel."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio.engine.optimizers import AdamOptimizerConfig


@dataclass
class FusedAdamConfig(AdamOptimizerConfig):
    """nerfstudio's Adam as one fused kernel, on a GPU and on a CPU."""

    fused: bool = True
    """Update all moments and parameters in one pass; with mixed precision, this also avoids waiting for the GPU."""
