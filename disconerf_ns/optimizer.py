"""Adam that updates all of its parameters in one fused kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nerfstudio.engine.optimizers import AdamOptimizerConfig
from torch.optim import Adam


class FusedAdam(Adam):
    """Adam that stays fused where it takes over the state of one that was not."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load moments and settings; how they are computed is not loaded."""
        groups = [{**group, "fused": True, "foreach": None} for group in state_dict["param_groups"]]
        super().load_state_dict({**state_dict, "param_groups": groups})


@dataclass
class FusedAdamConfig(AdamOptimizerConfig):
    """nerfstudio's Adam as one fused kernel, on a GPU and on a CPU."""

    _target: type = field(default_factory=lambda: FusedAdam)
    fused: bool = True
    """Update all moments and parameters in one pass; with mixed precision, this also avoids waiting for the GPU."""
