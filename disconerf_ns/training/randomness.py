"""The states of the random number generators that training draws from, so that a resumed run draws the same numbers.

Python's own is not among them: nerfstudio's loader of photographs that do not fit into memory draws from it, and that
loader starts over when a run goes on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def state_of_randomness() -> dict[str, Any]:
    """States of numpy's and torch's generators, in types that `torch.load` reads without running code."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002 nerfstudio draws from it
    state = {
        "numpy": (str(kind), torch.from_numpy(np.asarray(keys, np.int64)), int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_randomness(state: dict[str, Any]) -> None:
    """Put all generators into a state of `state_of_randomness`; GPUs that were not there then keep theirs."""
    kind, keys, *others = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *others))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index, generator in enumerate(state.get("cuda", ())[:devices]):
        torch.cuda.set_rng_state(generator, index)
