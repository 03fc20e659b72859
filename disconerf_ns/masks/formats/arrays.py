"""Arrays in a .npy, .npz, .pt or .pth file per image: stacks of binary masks (masks, height, width), or label maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.formats.files import below, by_image, decoding, image_size, unsaid
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.formats.partition import gather, masks_of_labels
from disconerf_ns.masks.image_masks import ImageMasks, same_shape

SUFFIXES = (".npy", ".npz", ".pt", ".pth")


def recognises(path: Path) -> bool:
    """A folder that holds files with these suffixes."""
    return bool(below(path, *SUFFIXES))


def read(path: Path, images: Images) -> Contents:
    """Arrays by the images' names."""
    return by_image(below(path, *SUFFIXES), path, images, _load)


def _load(path: Path, image: Path) -> Loaded:
    content = _read_torch(path) if path.suffix.lower() in (".pt", ".pth") else _read_numpy(path)
    looked_at = content.pop("looked_at", None)
    if "masks" not in content and len(content) != 1:
        names = ", ".join(map(str, list(content)[:4]))
        raise ValueError(f"it holds {len(content)} arrays ({names}), none of them called `masks`")
    array = content.get("masks", next(iter(content.values())))
    size = image_size(image)
    if array.size == 0:
        height, width = array.shape[1:] if array.ndim == 3 and all(array.shape[1:]) else size
        masks = ImageMasks(height, width, ())
    else:
        numbers = _numbers(_without_axes_of_one(array, size))
        masks = masks_of_labels(np.maximum(numbers, 0)) if numbers.ndim == 2 else gather(numbers, *numbers.shape[1:])
    if looked_at is None:
        return Loaded(masks)
    if looked_at.shape != (masks.height, masks.width) or looked_at.dtype != bool:
        raise ValueError(f"`looked_at` is not an array of {masks.height} x {masks.width} booleans")
    return Loaded(replace(masks, looked_at=run_length.encode(looked_at)))


def _without_axes_of_one(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Masks as (masks, height, width) or a label map as (height, width), without additional axes of length one.

    Args:
        array: masks or a label map, possibly with a batch or channel axis.
        size: height and width of the image.
    """
    if array.ndim == 4 and 1 in array.shape[:2]:
        array = array[:, 0] if array.shape[1] == 1 else array[0]
    if array.ndim == 3 and array.shape[2] == 1 and not same_shape((array.shape[1], 1), size):
        array = array[..., 0]
    if array.ndim == 3 and len(array) == 1 and not _binary(array):
        array = array[0]
    return array


def _numbers(array: np.ndarray) -> np.ndarray:
    """A label map as whole numbers, or masks as booleans.

    Raises:
        ValueError: the array is neither.
    """
    if array.ndim == 3 and _binary(array):
        return array != 0
    if array.ndim == 2 and array.dtype.kind in "biuf" and np.isfinite(array).all() and (array == np.trunc(array)).all():
        return array.astype(np.int64)
    raise ValueError(
        f"its array of shape {array.shape} and type {array.dtype} is neither masks of 0 and 1 or 255 (masks, height, "
        "width) nor whole numbers (height, width)"
    )


def _binary(array: np.ndarray) -> bool:
    return array.dtype.kind in "biufc" and any(((array == 0) | (array == filled)).all() for filled in (1, 255))


def _read_numpy(path: Path) -> dict[str, np.ndarray]:
    with decoding("NumPy"):
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"masks": content}
        with content:
            wanted = [name for name in content if name in ("masks", "looked_at") or "masks" not in content]
            arrays = {name: content[name] for name in wanted}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"its entry {name} is not an array")
    return arrays


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    import torch

    with decoding("torch"):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            raise ValueError("it is not what torch.save writes, or holds more than tensors") from error
    if not isinstance(content, dict):
        content = {"masks": content}
    arrays = {name: value for name, value in content.items() if name == "masks" or isinstance(value, torch.Tensor)}
    return {name: _array(value) for name, value in arrays.items()}


def _array(content: Any) -> np.ndarray:
    """A tensor, or a list with a tensor of (height, width) or (1, height, width) per mask, as an array."""
    import torch

    one = not isinstance(content, (list, tuple))
    tensors: Sequence[Any] = [content] if one else content
    for tensor in tensors:
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"it holds a {type(tensor).__name__}, not a tensor")
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise ValueError("it holds a sparse or quantized tensor; save a dense one")
    if one:
        array = content
    else:
        array = torch.stack([mask.reshape(mask.shape[-2:]) for mask in tensors]) if tensors else torch.zeros(0)
    array = array.detach()
    return (array.float() if array.is_floating_point() else array).numpy()


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write a compressed `<image>.npz` with the stack `masks`, and `looked_at` if only a part was looked at."""
    lost = Losses()
    for key, image_masks in masks:
        content = BytesIO()
        looked_at = {} if image_masks.looked_at is None else {"looked_at": image_masks.decode_looked_at()}
        np.savez_compressed(content, masks=image_masks.decode(), **looked_at)
        write_whole(path / f"{key}.npz", content.getvalue())
        lost += unsaid(image_masks, "scores", "level")
    return lost
