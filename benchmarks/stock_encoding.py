"""nerfstudio's own hash encodings again, to compare with what `quicken` makes of them."""

from __future__ import annotations

from torch import nn

from disconerf_ns.kernels.radiance_encoding import encodings


def slow_down(model: nn.Module) -> None:
    """Undo `quicken`."""
    for encoding in encodings(model):
        del vars(encoding)["pytorch_fwd"]
        vars(encoding)["scalings"] = encoding._buffers.pop("scalings")
