"""The object field: o(x) = softmax(MLP(hashgrid(x))) over N object slots, of position alone (DiscoNeRF, 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from disconerf_ns.kernels.choice import choose, compositor, grid_class


@dataclass
class ObjectFieldConfig:
    """Size of the object field."""

    levels: int = 8
    """Levels of the hash grid."""
    coarsest: int = 16
    """Cells per axis of the coarsest level, over the whole contracted scene."""
    finest: int = 512
    """Cells per axis of the finest level."""
    log2_table: int = 19
    """Each level has at most 2^log2_table entries."""
    features_per_level: int = 2
    """Features per entry."""
    hidden_dim: int = 32
    """Width of the two hidden layers."""
    random_levels: int = 3
    """Coarsest levels that start at random, so that each slot starts as regions of space of its own. Where all slots
    start the same everywhere, the first matches go by the masks' size and differ between views."""
    start_contrast: float = 10.0
    """Factor on the initial last layer: how sharply those regions differ."""
    implementation: Literal["auto", "torch", "tcnn", "triton"] = "auto"
    """What computes the field. With a GPU, "auto" takes tinycudann where it is installed, else Triton, which comes with
    torch on Linux; without a GPU, torch. Checkpoints of Triton and torch are the same."""


class ObjectField(nn.Module):
    """Probabilities of N competing object slots at points of the contracted scene."""

    def __init__(self, config: ObjectFieldConfig, slots: int):
        super().__init__()
        implementation = choose(config.implementation)
        self.grid = grid_class(implementation)(
            config.levels, config.coarsest, config.finest, config.log2_table, config.features_per_level
        )
        self._composite = compositor(implementation)
        self.grid.randomize(config.random_levels)
        width = config.hidden_dim
        self.mlp = nn.Sequential(
            nn.Linear(self.grid.out_dim, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, slots)
        )
        self.start_contrast = config.start_contrast
        self.resize(slots)

    @property
    def slots(self) -> int:
        """Number N of object slots."""
        return self.mlp[-1].out_features

    def resize(self, slots: int) -> None:
        """Start anew with another number of slots; the parameters stay the same objects, so optimizers keep them."""
        last = self.mlp[-1]
        fresh = nn.Linear(last.in_features, slots, device=last.weight.device)
        last.weight.data, last.bias.data = self.start_contrast * fresh.weight.data, fresh.bias.data
        last.out_features = slots

    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n slots"]:
        """Slot probabilities, rows summing to 1.

        Args:
            positions: contracted positions in [0, 1]^3.
        """
        return self.mlp(self.grid(positions)).float().softmax(-1)

    def hidden(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n width"]:
        """What the last layer sees of contracted positions in [0, 1]^3."""
        return self.mlp[:-1](self.grid(positions))

    def composite(
        self, hidden: Float[Tensor, "points width"], accumulation: Float[Tensor, "rays"]
    ) -> Float[Tensor, "rays slots"]:
        """Slots rendered along rays, `render_slots` of `forward`, without the probabilities of all points in memory.

        Args:
            hidden: `hidden` of a ray's points, one after the other, of equal weight.
            accumulation: accumulation A in [0, 1], which gets no gradient.
        """
        last = self.mlp[-1]
        return self._composite(hidden, last.weight, last.bias, accumulation)

    def total_variation(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, ""]:
        """Total variation of the hash grid (Eq. 7) over the cells that hold `positions`, a mean over vertex pairs."""
        return self.grid.total_variation(positions)
