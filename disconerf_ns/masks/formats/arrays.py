"""Arrays per image in .npy, .npz or .pt: stacks of binary masks (masks, height, width), or label maps."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np

from disconerf_ns.files import write_whole
from disconerf_ns.masks.formats import Images, Loaders
from disconerf_ns.masks.formats.files import below, by_image
from disconerf_ns.masks.formats.partition import split
from disconerf_ns.masks.image_masks import ImageMasks

SUFFIXES = (".npy", ".npz", ".pt")


def recognises(path: Path) -> bool:
    """A folder with files of these suffixes."""
    return bool(below(path, *SUFFIXES))


def read(path: Path, images: Images) -> Loaders:
    """Arrays by the images' names."""
    return by_image(below(path, *SUFFIXES), path, images, _load)


def _load(path: Path, image: Path) -> ImageMasks:
    array = np.asarray(_read_torch(path) if path.suffix == ".pt" else _read_numpy(path))
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and np.issubdtype(array.dtype, np.integer):
        return split(np.maximum(array.astype(np.int64), 0))
    if array.ndim == 2 and array.dtype == bool:
        array = array[None]
    if array.ndim != 3 or not any(((array == 0) | (array == one)).all() for one in (1, 255)):
        raise ValueError(
            f"its array of shape {array.shape} and type {array.dtype} is neither masks of 0 and 1 or 255 (masks, "
            "height, width) nor whole numbers (height, width)"
        )
    return ImageMasks.from_arrays(array.astype(bool))


def _read_numpy(path: Path) -> np.ndarray:
    content = np.load(path, allow_pickle=False)
    if isinstance(content, np.ndarray):
        return content
    with content:
        names = list(content.keys())
        if "masks" not in names and len(names) != 1:
            raise ValueError(f"it holds {len(names)} arrays ({', '.join(names[:4])}), none of them called `masks`")
        return content["masks" if "masks" in names else names[0]]


def _read_torch(path: Path) -> np.ndarray:
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, (list, tuple)):
        content = torch.stack([mask.squeeze() for mask in content])
    if not isinstance(content, torch.Tensor):
        raise ValueError(f"it holds a {type(content).__name__}, not a tensor")
    return content.numpy()


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> None:
    """Write `<image>.npz` with the stack `masks`, compressed."""
    for key, found in masks:
        content = BytesIO()
        np.savez_compressed(content, masks=found.decode())
        write_whole(path / f"{key}.npz", content.getvalue())
