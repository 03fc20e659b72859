"""nerfacto builds LPIPS with every model and downloads 244 MB for it; here it is built only where the weights are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torchmetrics.image.lpip as torchmetrics_lpips


def weights_path() -> Path:
    """File in which torchvision keeps the AlexNet weights that LPIPS needs."""
    return Path(torch.hub.get_dir()) / "checkpoints" / "alexnet-owt-7be5be79.pth"


@contextmanager
def without_download() -> Iterator[None]:
    """Within this, nerfacto's LPIPS is None unless its weights are on disk already."""
    if weights_path().exists():
        yield
        return
    network = torchmetrics_lpips.LearnedPerceptualImagePatchSimilarity
    torchmetrics_lpips.LearnedPerceptualImagePatchSimilarity = lambda **_: None
    try:
        yield
    finally:
        torchmetrics_lpips.LearnedPerceptualImagePatchSimilarity = network
