"""The masks of one training view at the resolution of the object stage, one bit per pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor


@dataclass
class MaskedView:
    """The masks of one training view at the resolution of the object stage."""

    index: int
    """Number of the training image."""
    bits: UInt8[Tensor, "masks bytes"]
    """One bit per pixel, row by row, the first pixel in the highest bit of the first byte."""
    valid: Bool[Tensor, "pixels"]
    """Pixels that take part in a loss: the proposer looked at them, and nerfstudio trains on them."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> MaskedView:
        """The same masks on another device, still packed; `non_blocking` lets the host go on during the copy."""
        return MaskedView(
            self.index,
            self.bits.to(device, non_blocking=non_blocking),
            self.valid.to(device, non_blocking=non_blocking),
        )

    @property
    def nbytes(self) -> int:
        """Memory of the masks and of `valid`, in bytes."""
        return self.bits.nbytes + self.valid.nbytes

    def unpack(self) -> Float[Tensor, "pixels masks"]:
        """The binary masks as floats, 0 or 1."""
        return unpack(self.bits, len(self.valid)).mT.float()

    def at(self, pixels: Int[Tensor, "chosen"]) -> Float[Tensor, "chosen masks"]:
        """The rows of `unpack` at these pixels."""
        return (self.bits[:, pixels // 8] >> (7 - pixels % 8).to(torch.uint8) & 1).mT.float()


def unpack(bits: UInt8[Tensor, "*batch bytes"], pixels: int) -> UInt8[Tensor, "*batch pixels"]:
    """Unpack masks to one byte per pixel, 0 or 1."""
    shifts = torch.arange(7, -1, -1, device=bits.device, dtype=torch.uint8)
    return (bits[..., None] >> shifts & 1).flatten(-2)[..., :pixels]


def pack(masks: Bool[Tensor, "*batch pixels"]) -> UInt8[Tensor, "*batch bytes"]:
    """Pack masks to one bit per pixel, the inverse of `unpack`; zeros pad the last byte."""
    padded = torch.nn.functional.pad(masks.to(torch.uint8), (0, -masks.shape[-1] % 8)).unflatten(-1, (-1, 8))
    return (padded << torch.arange(7, -1, -1, device=masks.device, dtype=torch.uint8)).sum(-1, dtype=torch.uint8)
