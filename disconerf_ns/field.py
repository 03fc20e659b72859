"""The object field o(x) = softmax(MLP(hashgrid(x))): probabilities of N object slots at a position (DiscoNeRF, 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from disconerf_ns.kernels.choice import choose, compositor, grid_class

LANES = 16
"""Torch computes the softmax of rows with fewer columns one number at a time on a CPU."""


@dataclass
class ObjectFieldConfig:
    """Architecture of the object field."""

    levels: int = 8
    """Number of hash grid levels."""
    coarsest: int = 16
    """Number of cells per axis of the coarsest level, which covers the whole contracted scene."""
    finest: int = 512
    """Number of cells per axis of the finest level."""
    log2_table: int = 19
    """Base-2 logarithm of the maximum number of entries per level."""
    features_per_level: int = 2
    """Number of features per hash grid entry."""
    hidden_dim: int = 32
    """Number of units in each of the two hidden layers."""
    random_levels: int = 3
    """Number of coarsest levels with random initial entries, which give each slot its own regions of space. If all
    slots start alike, the first matches depend on the masks' sizes and differ between views."""
    start_contrast: float = 10.0
    """Factor on the initial weights of the last layer; larger factors separate the slots' regions more sharply."""
    implementation: Literal["auto", "torch", "tcnn", "triton"] = "auto"
    """Backend that computes the field. On a GPU, "auto" takes tinycudann if it is installed, otherwise Triton, which
    comes with torch on Linux; on a CPU it takes torch. Triton and torch read each other's checkpoints."""


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
        return self._last.out_features

    @property
    def _last(self) -> nn.Linear:
        """The layer whose outputs are the slots."""
        return cast("nn.Linear", self.mlp[-1])

    def resize(self, slots: int) -> None:
        """Set the number of slots and reset the last layer; its parameters stay the same objects for optimizers."""
        last = self._last
        fresh = nn.Linear(last.in_features, slots, device=last.weight.device)
        last.weight.data, last.bias.data = self.start_contrast * fresh.weight.data, fresh.bias.data
        last.out_features = slots

    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n slots"]:
        """Slot probabilities, rows summing to 1.

        Args:
            positions: contracted positions in [0, 1]^3; others are moved into it, and NaN to its middle.
        """
        return softmax_of_rows(self.mlp(self.grid(in_cube(positions))).float())

    def hidden(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n width"]:
        """Inputs of the last layer at contracted positions in [0, 1]^3."""
        return self.mlp[:-1](self.grid(in_cube(positions)))

    def composite(
        self, hidden: Float[Tensor, "points width"], accumulation: Float[Tensor, "rays"]
    ) -> Float[Tensor, "rays slots"]:
        """Slots rendered along rays: `render_slots` of `forward`, without the probabilities of all points in memory.

        Args:
            hidden: values of `hidden` at points of equal weight, all points of a ray one after the other.
            accumulation: accumulation A in [0, 1], which gets no gradient.
        """
        last = self._last
        return self._composite(hidden, last.weight, last.bias, accumulation)

    def total_variation(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, ""]:
        """Total variation of the hash grid (Eq. 7) in the cells that hold `positions`, as a mean over vertex pairs."""
        return self.grid.total_variation(positions)


def in_cube(positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Positions moved into [0, 1]^3: rays that miss a crop box have some that are no numbers, which no table holds."""
    return positions.nan_to_num(0.5).clamp(0, 1)


def softmax_of_rows(values: Float[Tensor, "n columns"]) -> Float[Tensor, "n columns"]:
    """Softmax of each row; of short ones, where nothing learns, in a fourth of torch's time on a CPU."""
    if values.shape[1] < LANES and values.device.type == "cpu" and not torch.is_grad_enabled():
        return values.T.softmax(0).T
    return values.softmax(-1)
