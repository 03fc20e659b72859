"""The GPUs that a process may use, by the names that its children know them by."""

from __future__ import annotations

import os

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that tells CUDA which GPUs a process sees."""


def gpu_names() -> list[str]:
    """Names of the GPUs that this process may use: values of `VISIBLE`, each of which gives a child one of them.

    A child counts all GPUs of the machine, also those that this process was told not to use. CUDA leaves out all names
    from the first one on that is no GPU's.
    """
    import torch

    count, names = torch.cuda.device_count(), list(filter(None, os.environ.get(VISIBLE, "").split(",")))
    return names[:count] if len(names) >= count else list(map(str, range(count)))
