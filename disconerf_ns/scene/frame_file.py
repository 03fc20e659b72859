"""The file in which nerfstudio keeps how a run's dataparser turned, moved and scaled the cameras."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from disconerf_ns.small_json import small_json

FRAME = "dataparser_transforms.json"
"""Name of the file, beside config.yml."""


class DataparserFrame(NamedTuple):
    """A dataparser's changes of the poses."""

    transform: Float64[Tensor, "3 4"]
    """Comes before the scale."""
    scale: float
    """Larger than 0."""


def read_frame(path: Path) -> DataparserFrame:
    """Read a run's dataparser_transforms.json.

    Raises:
        UserError: the file is missing, or it is not what ns-train writes.
    """
    with small_json(path, "the frame of the capture", "ns-train writes this file beside config.yml.") as content:
        rows = [row.numbers(4) for row in content["transform"].list(most=4)]
        if len(rows) < 3:
            raise content["transform"].wrong("3 rows of 4 numbers")
        return DataparserFrame(torch.tensor(rows[:3], dtype=torch.float64), content["scale"].number(1e-30))
