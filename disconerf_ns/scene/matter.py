"""What an object is made of where it was photographed: a part of the density of everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from disconerf_ns.scene.completion import Completion

AtPositions = Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n"]]
"""A number at scene positions."""


class Matter(NamedTuple):
    """The density of everything, and the share of it that is an object's, which costs more to ask for."""

    everything: AtPositions
    share: AtPositions
    """In [0, 1]."""

    def completed(self, completion: Completion | None) -> Matter:
        """The same where photographs looked, and what is completed where they did not."""
        if completion is None:
            return self

        def everything(x: Tensor) -> Tensor:
            there = completion.at(x)
            return self.everything(x) * there.kept + there.density

        def share(x: Tensor) -> Tensor:
            there = completion.at(x)
            seen = self.everything(x) * there.kept
            return (seen * self.share(x) + there.density) / (seen + there.density).clamp(min=1e-9)

        return Matter(everything, share)
