"""The machine that figures were computed on, and the versions of the software that they depend on."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

from disconerf_ns import __version__


def versions() -> dict[str, str]:
    """Versions of the software that the figures depend on."""
    return {
        "disconerf_ns": __version__,
        "nerfstudio": version("nerfstudio"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def machine() -> str:
    """The processor that computed, and the system."""
    cpu = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    return f"{torch.cuda.get_device_name() if torch.cuda.is_available() else cpu}, {platform.platform()}"
