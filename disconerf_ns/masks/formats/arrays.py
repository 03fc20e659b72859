"""Arrays in a .npy, .npz, .pt or .pth file per image: stacks of binary masks, or label maps."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import ZipFile, is_zipfile

import numpy as np

from disconerf_ns.errors import MaskError
from disconerf_ns.files import regular, write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.formats.files import below, decoding, image_size, match_files, reading, unsaid
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.formats.partition import Labels, Stack, as_masks, meaning_for, stack_of
from disconerf_ns.masks.image_masks import ImageMasks, same_shape
from disconerf_ns.masks.label_image import whole
from disconerf_ns.masks.numbers import Meaning, Void
from disconerf_ns.masks.opening import check_bytes
from disconerf_ns.masks.say import say

SUFFIXES = (".npy", ".npz", ".pt", ".pth")
ONE_MASK = re.compile(r"\D*\d+")
"""Names of arrays that hold one mask each: `1`, `mask_1`, `arr_0`."""


def recognises(path: Path) -> bool:
    """A folder that holds files with these suffixes."""
    return bool(below(path, *SUFFIXES))


def read(path: Path, images: Images, void: Void = None) -> Contents:
    """Arrays by the images' names; whether stacks have their masks in the first or last axis is one for all files."""
    matched = match_files(below(path, *SUFFIXES), path, images)
    pairs = matched.pairs(images)
    last = _masks_last(path, pairs)
    meaning = meaning_for(pairs, void, partial(_read, last=last))
    return matched.contents(images, partial(_load, meaning=meaning, last=last))


def _load(path: Path, image: Path, meaning: Meaning, last: bool) -> Loaded:
    content = _content(path)
    looked_at = content.pop("looked_at", None)
    masks = as_masks(_numbers(_one(content), image_size(image), last), meaning)
    if looked_at is None:
        return Loaded(masks)
    if looked_at.shape != (masks.height, masks.width) or looked_at.dtype != bool:
        raise ValueError(f"`looked_at` is not an array of {masks.height} x {masks.width} booleans")
    return Loaded(replace(masks, looked_at=run_length.encode(looked_at & masks.decode_looked_at())))


def _read(path: Path, image: Path, last: bool) -> Labels | Stack:
    content = _content(path)
    content.pop("looked_at", None)
    return _numbers(_one(content), image_size(image), last)


def _content(path: Path) -> dict[str, np.ndarray]:
    return _read_torch(path) if path.suffix.lower() in (".pt", ".pth") else _read_numpy(path)


def _one(content: dict[str, np.ndarray]) -> np.ndarray:
    """The array of masks: `masks`, the only array, or a stack of arrays of one mask each.

    Raises:
        ValueError: there is no such array.
    """
    if "masks" in content or len(content) == 1:
        return content.get("masks", next(iter(content.values())))
    layers = [np.squeeze(array) for array in content.values()]
    alike = all(layer.ndim == 2 and layer.shape == layers[0].shape and _is_binary(layer) for layer in layers)
    if layers and alike and all(map(ONE_MASK.fullmatch, content)):
        return np.stack(layers) != 0
    names = ", ".join(list(content)[:4])
    raise ValueError(
        f"it holds {len(content)} arrays ({names}), none of them called `masks`; call the stack of masks so, or write "
        "a binary mask of one size in each, called by its number"
    )


# -------------------------------------------------------------------- shapes


def _lean(array: np.ndarray, size: tuple[int, int]) -> int | None:
    """How a stack has to be read for an image of this size.

    Returns:
        Below 0 for (masks, height, width), above 0 for (height, width, masks), 0 if both fit alike, None if none fits.
    """
    first, last = _fit(array.shape[1:], size), _fit(array.shape[:2], size)
    return last - first if first or last else None


def _fit(shape: Sequence[int], size: tuple[int, int]) -> int:
    """2 for the sides of the image, 1 for sides of the same shape, maybe turned, and 0 for others."""
    height, width = shape
    alike = same_shape((height, width), size) or same_shape((width, height), size)
    return 2 if (height, width) == size else int(alike)


def _masks_last(root: Path, pairs: Sequence[tuple[Path, Path]]) -> bool:
    """Whether masks are in the last axis of stacks for which both readings fit: all other stacks of the set tell.

    Says that masks are in the last axis, or which reading was taken where nothing tells.
    """
    leans = {file: lean for file, image in pairs if (lean := _lean_of(file, image)) is not None}
    told = {lean > 0 for lean in leans.values() if lean}
    if True in told:
        say(f"stacks in {root} are (height, width, masks), by the images' sizes.")
    open_ = [file for file, lean in leans.items() if lean == 0]
    if open_ and len(told) != 1:
        say(
            f"{len(open_)} stacks in {root}, such as {open_[0].name}, could be (masks, height, width) or "
            "(height, width, masks); the first is taken. If it is the second, move the last axis to the front."
        )
    return told == {True}


def _lean_of(path: Path, image: Path) -> int | None:
    """The lean of a file's array; None if it is no stack, or cannot be read."""
    try:
        with reading(path):
            content = _content(path)
            content.pop("looked_at", None)
            size = image_size(image)
            array = _without_axes_of_one(_one(content), size)
    except MaskError:
        return None
    return _lean(array, size) if array.ndim == 3 and array.size else None


def _without_axes_of_one(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An array of at most three axes, without axes of length one before or behind the sides of the image.

    Args:
        array: masks or a label map, possibly with batch and channel axes.
        size: height and width of the image.
    """
    while array.ndim > 3 and 1 in array.shape:
        ones = [axis for axis, length in enumerate(array.shape) if length == 1]
        inner = [axis for axis in ones if _fit(np.delete(array.shape, axis)[-2:].tolist(), size)]
        array = array.squeeze((inner or ones)[-1 if array.shape[-1] == 1 else 0])
    if array.ndim == 3 and array.shape[2] == 1 and not _fit(array.shape[1:], size):
        array = array[..., 0]
    return array


def _numbers(array: np.ndarray, size: tuple[int, int], last: bool) -> Labels | Stack:
    """A label map as whole numbers (height, width), or masks as booleans (masks, height, width).

    Args:
        array: the array of a file.
        size: height and width of the image.
        last: whether masks are in the last axis of stacks where the image's size does not tell.
    Raises:
        ValueError: the array is neither.
    """
    if array.dtype.kind not in "biuf":
        raise ValueError(f"its array is of type {array.dtype}, not numbers")
    if array.size == 0:
        height, width = array.shape[1:] if array.ndim == 3 and all(array.shape[1:]) else size
        return np.zeros((0, height, width), bool)
    array = _without_axes_of_one(array, size)
    if array.ndim == 3:
        lean = _lean(array, size)
        if lean is not None and (lean > 0 or (lean == 0 and last)):
            array = np.moveaxis(array, -1, 0)
        if len(array) > 1 or _is_binary(array[0]):
            return _stack(array)
        array = array[0]
    if array.ndim != 2:
        raise ValueError(
            f"{_described(array)} is neither masks (masks, height, width) nor numbers (height, width); of several "
            "masks for one prompt, keep the best"
        )
    return whole(array)


def _stack(array: np.ndarray) -> Stack:
    """Layers of 0 and one more whole number as booleans.

    Raises:
        ValueError: they have other numbers.
    """
    is_float = array.dtype.kind == "f"
    if not is_float or (np.isfinite(array).all() and (array == np.trunc(array)).all()):
        stack = stack_of(list(array))
        if stack is not None:
            return stack
        raise ValueError(
            f"{_described(array)} is not a stack of masks, each of 0 and one more number; write binary masks (masks, "
            "height, width), or one map of numbers (height, width)"
        )
    inside = np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1
    kind, threshold = ("probabilities", 0.5) if inside else ("logits", 0)
    raise ValueError(f"{_described(array)} has numbers that look like {kind}; write binary masks, > {threshold}")


def _described(array: np.ndarray) -> str:
    return f"its array of shape {array.shape} and type {array.dtype}"


def _is_binary(layer: np.ndarray) -> bool:
    return layer.dtype.kind in "biuf" and any(np.isin(layer, (0, filled)).all() for filled in (1, 255))


# -------------------------------------------------------------------- files


def _read_numpy(path: Path) -> dict[str, np.ndarray]:
    with decoding("NumPy"), _no_objects():
        _check_declared(path)
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


def _check_declared(path: Path) -> None:
    """Check the sizes that the headers of arrays declare, before memory is taken for them.

    Raises:
        ValueError: they are too large.
    """
    if not is_zipfile(regular(path)):
        with path.open("rb") as file:
            check_bytes(_declared(file))
        return
    with ZipFile(path) as archive:
        check_bytes(sum(entry.file_size for entry in archive.infolist()))
        for entry in archive.infolist():
            with archive.open(entry) as file:
                check_bytes(_declared(file))


def _declared(file: Any) -> int:
    """Bytes that an array takes by its header; 0 of anything that is no array, which NumPy refuses itself."""
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        return 0
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return math.prod(shape) * dtype.itemsize


@contextmanager
def _no_objects() -> Iterator[None]:
    """Say what to do with arrays of Python objects, which could run a program when they are loaded.

    Raises:
        ValueError: an array is of objects.
    """
    try:
        yield
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise ValueError(
            "it holds Python objects, which may run a program and are not loaded; write arrays of numbers, or label "
            "images (Cellpose: --save_png or --save_tif)"
        ) from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    import torch

    with decoding("torch"):
        if is_zipfile(regular(path)):
            with ZipFile(path) as archive:
                check_bytes(sum(entry.file_size for entry in archive.infolist()))
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            raise ValueError("it is not what torch.save writes, or holds more than tensors") from error
    if not isinstance(content, dict):
        content = {"masks": content}
    arrays = {name: value for name, value in content.items() if name == "masks" or isinstance(value, torch.Tensor)}
    return {str(name): _array(value) for name, value in arrays.items()}


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
    check_bytes(sum(tensor.numel() * tensor.element_size() for tensor in tensors))
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
