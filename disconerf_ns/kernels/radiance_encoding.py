"""nerfstudio's hash encodings, quicker: by Triton on a GPU, and on a CPU where nothing learns.

Without tinycudann they take most of a radiance field's time. Parameters and checkpoints stay nerfstudio's own.
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from nerfstudio.field_components.encodings import HashEncoding
from torch import Tensor, nn

from disconerf_ns.kernels.choice import gpu_runs_triton
from disconerf_ns.kernels.hash_grid import PRIMES, gather
from disconerf_ns.kernels.launch import precision, runs_on

POINTS_AT_ONCE = 2**14
"""Number of points whose corners fit in a CPU's cache."""


def quicken(model: nn.Module) -> None:
    """Replace what a model's encodings compute by something faster with the same values and gradients.

    It is `encode_by_triton` if there is a GPU on which Triton's kernels agree with torch's, otherwise `encode_frozen`.
    """
    found = encodings(model)
    encode = encode_by_triton if found and gpu_runs_triton() else encode_frozen
    for encoding in found:
        scalings = encoding.scalings.to(encoding.hash_table.device, torch.float32)
        vars(encoding).pop("scalings", None)
        encoding.register_buffer("scalings", scalings, persistent=False)  # beside the table, so that no step copies it
        vars(encoding)["pytorch_fwd"] = partial(encode, encoding)


def by_triton(model: nn.Module) -> bool:
    """Whether Triton computes all encodings of a model that `quicken` has changed."""
    return all(vars(encoding)["pytorch_fwd"].func is encode_by_triton for encoding in encodings(model))


def encodings(model: nn.Module) -> list[HashEncoding]:
    """The hash encodings of a model that torch computes, not tinycudann."""
    return [module for module in model.modules() if isinstance(module, HashEncoding) and module.tcnn_encoding is None]


def encode_by_triton(encoding: HashEncoding, positions: Float[Tensor, "*bs 3"]) -> Float[Tensor, "*bs out"]:
    """`HashEncoding.pytorch_fwd` in one launch; under autocast it returns autocast's precision."""
    if not runs_on(positions):
        return encode_frozen(encoding, positions)
    from disconerf_ns.kernels.nerf_encode import encode

    return encode(positions, encoding.hash_table, encoding.scalings, precision(positions))


def encode_frozen(encoding: HashEncoding, positions: Float[Tensor, "*bs 3"]) -> Float[Tensor, "*bs out"]:
    """`HashEncoding.pytorch_fwd` for one level and a chunk of points at a time, with points last in memory.

    With gradients, in training mode or on a GPU it calls nerfstudio's own function.
    """
    if torch.is_grad_enabled() or encoding.training or positions.device.type != "cpu":
        return HashEncoding.pytorch_fwd(encoding, positions)
    axes = positions.reshape(-1, 3).T.contiguous()
    features = [_encode(encoding, chunk) for chunk in axes.split(POINTS_AT_ONCE, 1)]
    return torch.cat(features, 1).T.reshape(*positions.shape[:-1], encoding.get_out_dim())


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
