"""Arrays per image in .npy, .npz, .pt or .pth: stacks of binary masks (masks, height, width), or label maps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.formats import Images, Loaders, Losses
from disconerf_ns.masks.formats.files import below, by_image, image_size, unsaid
from disconerf_ns.masks.formats.partition import gather, split
from disconerf_ns.masks.image_masks import ImageMasks, same_shape

SUFFIXES = (".npy", ".npz", ".pt", ".pth")


def recognises(path: Path) -> bool:
    """A folder with files of these suffixes."""
    return bool(below(path, *SUFFIXES))


def read(path: Path, images: Images) -> Loaders:
    """Arrays by the images' names."""
    return by_image(below(path, *SUFFIXES), path, images, _load)


def _load(path: Path, image: Path) -> ImageMasks:
    content = _read_torch(path) if path.suffix.lower() in (".pt", ".pth") else _read_numpy(path)
    looked_at = content.pop("looked_at", None)
    if "masks" not in content and len(content) != 1:
        names = ", ".join(list(content)[:4])
        raise ValueError(f"it holds {len(content)} arrays ({names}), none of them called `masks`")
    array = content.get("masks", next(iter(content.values())))
    size = image_size(image)
    if array.size == 0:
        found = ImageMasks(*(array.shape[1:] if array.ndim == 3 and all(array.shape[1:]) else size), ())
    else:
        numbers = _numbers(_without_axes_of_one(array, size))
        found = split(np.maximum(numbers, 0)) if numbers.ndim == 2 else gather(numbers, *numbers.shape[1:])
    if looked_at is None:
        return found
    if looked_at.shape != (found.height, found.width) or looked_at.dtype != bool:
        raise ValueError(f"`looked_at` is not an array of {found.height} x {found.width} booleans")
    return replace(found, looked_at=run_length.encode(looked_at))


def _without_axes_of_one(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Masks as (masks, height, width) and label maps as (height, width), where there are more axes."""
    if array.ndim == 4 and 1 in array.shape[:2]:
        array = array[:, 0] if array.shape[1] == 1 else array[0]
    if array.ndim == 3 and array.shape[2] == 1 and not same_shape(array.shape[1:], size):
        array = array[..., 0]
    if array.ndim == 3 and len(array) == 1 and not _binary(array):
        array = array[0]
    return array


def _numbers(array: np.ndarray) -> np.ndarray:
    """Whole numbers of a label map, or masks as booleans.

    Raises:
        ValueError: it is neither.
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
    return any(((array == 0) | (array == one)).all() for one in (1, 255))


def _read_numpy(path: Path) -> dict[str, np.ndarray]:
    content = np.load(path, allow_pickle=False)
    if isinstance(content, np.ndarray):
        return {"masks": content}
    with content:
        return {name: content[name] for name in content if name in ("masks", "looked_at") or "masks" not in content}


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        raise ValueError("it is not what torch.save writes, or holds more than tensors") from None
    if not isinstance(content, dict):
        content = {"masks": content}
    arrays = {name: value for name, value in content.items() if name == "masks" or isinstance(value, torch.Tensor)}
    return {name: _array(value) for name, value in arrays.items()}


def _array(content: Any) -> np.ndarray:
    import torch

    if isinstance(content, (list, tuple)):
        content = torch.stack([mask.reshape(mask.shape[-2:]) for mask in content]) if content else torch.zeros(0)
    if not isinstance(content, torch.Tensor):
        raise ValueError(f"it holds a {type(content).__name__}, not a tensor")
    content = content.detach()
    return (content.float() if content.is_floating_point() else content).numpy()


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Write `<image>.npz` with the stack `masks`, compressed, and `looked_at` where that is not all."""
    lost = Losses()
    for key, found in masks:
        content = BytesIO()
        looked_at = {} if found.looked_at is None else {"looked_at": found.decode_looked_at()}
        np.savez_compressed(content, masks=found.decode(), **looked_at)
        write_whole(path / f"{key}.npz", content.getvalue())
        lost += unsaid(found, "scores", "level")
    return lost
