"""GARField's sam_data.hdf5: `<model>/pixel_level_keys/<number of the training image>`, the masks of every pixel.

Images have numbers there and no names: those of nerfstudio's training images, sorted by path.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats import Images, Loaders, Losses
from disconerf_ns.masks.formats.files import below, reading
from disconerf_ns.masks.formats.partition import gather
from disconerf_ns.masks.image_masks import ImageMasks

KEYS = "pixel_level_keys"


def recognises(path: Path) -> bool:
    """An HDF5 file, or a folder with one, that has these keys."""
    file = _file(path)
    try:
        with h5py.File(file) as content:
            return any(KEYS in group for group in content.values())
    except (OSError, TypeError, AttributeError):
        return False


def _file(path: Path) -> Path | None:
    return path if path.is_file() else next(iter(below(path, ".hdf5", ".h5")), None)


def read(path: Path, images: Images) -> Loaders:
    """Masks by the number of the training image."""
    file = _file(path)
    if file is None:
        raise MaskError(f"masks: {path} has no HDF5 file.")
    with reading(file), h5py.File(file) as content:
        models = [name for name in content if KEYS in content[name]]
        if len(models) != 1:
            raise ValueError(f"it has the masks of {len(models)} models; one is read")
        numbers = set(content[models[0]][KEYS])
    count = len(numbers)
    if not count:
        raise MaskError(f"masks: {file} has no images.")
    absent = [number for number in range(count) if str(number) not in numbers]
    if absent:
        raise MaskError(
            f"masks: {file} has {count} images, but none of number {absent[0]}; only where they are numbered 0 to "
            f"{count - 1} can it be said which ones they are."
        )
    keys = training_keys(images, count, file)
    print(f"masks: images have no names in {file}; its first is taken to be {keys[0]}, its last {keys[-1]}.")
    return {key: partial(_load, file, f"{models[0]}/{KEYS}/{number}") for number, key in enumerate(keys)}


def training_keys(images: Images, count: int, file: Path) -> list[str]:
    """Which `count` of a dataset's images nerfstudio trains on, where the rest is held out evenly spaced.

    Raises:
        MaskError: there are fewer images than that.
    """
    ordered = sorted(images, key=lambda key: images[key])
    if count > len(ordered):
        raise MaskError(f"masks: {file} has masks for {count} images, but the dataset has {len(ordered)}.")
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, count, dtype=int)]


def _load(file: Path, name: str) -> ImageMasks:
    with reading(file), h5py.File(file) as content:
        masks_of_pixel = content[name][...]
        if masks_of_pixel.ndim != 3:
            raise ValueError(f"{name} has shape {masks_of_pixel.shape}, not (height, width, masks of a pixel)")
    numbers = [number for number in np.unique(masks_of_pixel) if number >= 0]
    return gather(((masks_of_pixel == number).any(-1) for number in numbers), *masks_of_pixel.shape[:2])


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Refused: GARField's file needs the masks' sizes in 3D, which come from its radiance field."""
    raise MaskError("masks: GARField's file also holds sizes in 3D, which masks do not have; choose another format.")
