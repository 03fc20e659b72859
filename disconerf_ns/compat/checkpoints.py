"""Checkpoints of stock nerfstudio, which torch refuses to load since 2.6, and the tensors in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.serialization import add_safe_globals

UNREADABLE = (OSError, RuntimeError, LookupError, TypeError, EOFError, ValueError, UnpicklingError)
"""Errors that reading raises if a file is not a checkpoint of the model that is wanted."""


def allow_numpy_scalars() -> None:
    """Let `torch.load` read numpy scalars, which nerfstudio's schedulers leave in checkpoints of every method.

    The list only grows by harmless types, so other methods' runs can be loaded too.
    """
    scalar = cast("Callable", np.float64(0).__reduce__()[0])
    add_safe_globals(
        [
            (scalar, "numpy.core.multiarray.scalar"),
            (scalar, "numpy._core.multiarray.scalar"),
            (np.dtype, "numpy.dtype"),
            *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64")),
        ]
    )


def state_in(checkpoint: Path) -> dict[str, Tensor]:
    """The tensors of a run's model, by their names in it.

    Raises:
        UNREADABLE: it is no checkpoint.
    """
    allow_numpy_scalars()
    content = torch.load(checkpoint, map_location="cpu")
    state = content.get("pipeline") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError("it has no table of tensors `pipeline`")
    return {str(key).removeprefix("_model.").removeprefix("module."): value for key, value in state.items()}
