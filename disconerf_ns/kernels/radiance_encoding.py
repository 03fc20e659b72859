"""nerfstudio's hash encodings without gradients on a CPU: the same values in less than half the time.

A frozen radiance field is only evaluated, for the surface of every training view and for every image. Without
tinycudann, its hash encodings take nearly all of that time.
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from nerfstudio.field_components.encodings import HashEncoding
from torch import Tensor, nn

from disconerf_ns.kernels.hash_grid import PRIMES, gather

POINTS_AT_ONCE = 2**14
"""Number of points whose corners fit in a CPU's cache."""


def quicken(model: nn.Module) -> None:
    """Replace a model's encodings by `encode_frozen`, which is faster on a CPU in evaluation mode without gradients."""
    for encoding in encodings(model):
        vars(encoding)["pytorch_fwd"] = partial(encode_frozen, encoding)


def slow_down(model: nn.Module) -> None:
    """Undo `quicken`."""
    for encoding in encodings(model):
        del vars(encoding)["pytorch_fwd"]


def encodings(model: nn.Module) -> list[HashEncoding]:
    """The hash encodings of a model that torch computes, not tinycudann."""
    return [module for module in model.modules() if isinstance(module, HashEncoding) and module.tcnn_encoding is None]


def encode_frozen(encoding: HashEncoding, positions: Float[Tensor, "*bs 3"]) -> Float[Tensor, "*bs out"]:
    """`HashEncoding.pytorch_fwd` for one level and a chunk of points at a time, with points last in memory.

    With gradients, in training mode or on a GPU it calls nerfstudio's own function.
    """
    if torch.is_grad_enabled() or encoding.training or positions.device.type != "cpu":
        return HashEncoding.pytorch_fwd(encoding, positions)
    axes = positions.reshape(-1, 3).T.contiguous()
    features = [_encode(encoding, chunk) for chunk in axes.split(POINTS_AT_ONCE, 1)]
    return torch.cat(features, 1).T.reshape(*positions.shape[:-1], -1)


def _encode(encoding: HashEncoding, positions: Float[Tensor, "3 n"]) -> Float[Tensor, "out n"]:
    size, levels = encoding.hash_table_size, []
    for scale, table in zip(encoding.scalings.tolist(), encoding.hash_table.split(size)):
        scaled = positions * scale
        low = scaled.floor()
        fraction = scaled - low
        # each axis has a vertex below and one above, with weights; broadcast as (z, y, x) they give the eight corners
        x, y, z = torch.stack([low, scaled.ceil()], 1).int()
        wx, wy, wz = torch.stack([1 - fraction, fraction], 1)
        rows = (x * PRIMES[0])[None, None] ^ (y * PRIMES[1])[None, :, None] ^ (z * PRIMES[2])[:, None, None]
        weights = wz[:, None, None] * (wy[None, :, None] * wx[None, None])
        corners = gather(table, (rows & (size - 1)).flatten()).unflatten(1, rows.shape)
        levels.append((corners * weights).sum((1, 2, 3)))
    return torch.cat(levels)
