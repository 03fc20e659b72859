"""Checkpoints of stock nerfstudio, which torch refuses to load since 2.6."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from torch.serialization import add_safe_globals


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
