"""GARField's sam_data.hdf5: `<model>/pixel_level_keys/<image number>` holds the numbers of each pixel's masks.

Images have no names in the file. They are numbered like nerfstudio's training images, sorted by path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Int

from disconerf_ns.errors import MaskError
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.formats.files import BROKEN, below, check_size, reading, refuse_void
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.image_masks import ImageMasks, Mask
from disconerf_ns.masks.label_image import whole
from disconerf_ns.masks.numbers import MOST_VALUES, Void
from disconerf_ns.masks.rle import Rle
from disconerf_ns.masks.say import say

KEYS = "pixel_level_keys"


def recognises(path: Path) -> bool:
    """An HDF5 file with these keys, or a folder with such a file."""
    file = _file(path)
    if file is None:
        return False
    try:
        with h5py.File(file) as content:
            return bool(_models(content))
    except BROKEN:
        return False


def _models(content: h5py.File) -> list[str]:
    """Names of the groups that hold masks."""
    return [name for name, group in content.items() if isinstance(group, h5py.Group) and KEYS in group]


def _file(path: Path) -> Path | None:
    return path if path.is_file() else next(iter(below(path, ".hdf5", ".h5")), None)


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Masks by the number of the training image."""
    refuse_void(void, path)
    file = _file(path)
    if file is None:
        raise MaskError(f"masks: {path} has no HDF5 file.")
    with reading(file), h5py.File(file) as content:
        models = _models(content)
        if len(models) != 1:
            raise ValueError(f"it has the masks of {len(models)} models instead of one")
        by_number = content[f"{models[0]}/{KEYS}"]
        if not isinstance(by_number, h5py.Group):
            raise ValueError(f"{models[0]}/{KEYS} is not a group")
        numbers = set(by_number)
    count = len(numbers)
    if not count:
        raise MaskError(f"masks: {file} has no images.")
    absent = [number for number in range(count) if str(number) not in numbers]
    if absent:
        raise MaskError(
            f"masks: {file} has {count} images, but none with the number {absent[0]}; they can be identified only if "
            f"they are numbered 0 to {count - 1}."
        )
    keys = training_keys(images, count, file)
    say(f"images have no names in {file}; the first is taken to be {keys[0]}, and the last {keys[-1]}.")
    group = f"{models[0]}/{KEYS}"
    return Contents({key: partial(_load, file, f"{group}/{n}", images[key]) for n, key in enumerate(keys)})


def training_keys(images: Images, count: int, file: Path) -> list[str]:
    """Keys of the `count` images that nerfstudio trains on if it holds out the others at even spacing.

    Raises:
        MaskError: the dataset has fewer than `count` images.
    """
    ordered = sorted(images, key=lambda key: images[key])
    if count > len(ordered):
        raise MaskError(f"masks: {file} has masks for {count} images, but the dataset has {len(ordered)}.")
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, count, dtype=int)]


def _load(file: Path, name: str, image: Path) -> Loaded:
    with reading(file):
        with h5py.File(file) as content:
            dataset = content[name]
            if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "biuf":
                raise ValueError(f"{name} is not an array of numbers")
            if dataset.ndim != 3:
                raise ValueError(f"{name} has shape {dataset.shape}, not (height, width, masks of a pixel)")
            height, width, count = dataset.shape
            check_size(file, height, width, image, count)
            numbers = whole(dataset[...])
        found = len(np.unique(numbers))
        if found > MOST_VALUES:
            raise ValueError(f"{name} has {found} different numbers, like a photograph and unlike masks")
        return Loaded(ImageMasks(height, width, tuple(map(Mask.from_rle, _unions(numbers)))))


def _unions(numbers: Int[np.ndarray, "height width masks"]) -> list[Rle]:
    """The pixels that have each number in any layer, by ascending numbers from 0."""
    parts: dict[int, list[Rle]] = defaultdict(list)
    for layer in np.moveaxis(numbers, -1, 0):
        for number, rle in run_length.partition(layer).items():
            parts[number].append(rle)
    return [run_length.union(parts[number]) for number in sorted(parts) if number >= 0]


def write(path: Path, images: Images, masks: Iterable[tuple[str, ImageMasks]]) -> Losses:
    """Refuse: GARField's file needs the masks' sizes in 3D, which come from its radiance field.

    Raises:
        MaskError: always.
    """
    raise MaskError(
        "masks: GARField's file also needs the masks' sizes in 3D, which 2D masks do not have; choose another format."
    )
