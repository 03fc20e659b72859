"""Conversion between masks and label maps, for formats that hold one number per pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Integer, Shaped
from PIL import Image

from disconerf_ns.errors import MaskError
from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.crisp import check_crisp
from disconerf_ns.masks.formats.files import MatchedFiles, check_size, reading, unsaid
from disconerf_ns.masks.formats.format import Contents, Images, Loaded, Losses
from disconerf_ns.masks.image_masks import ImageMasks, Mask
from disconerf_ns.masks.label_image import check_depth, colors_as_numbers
from disconerf_ns.masks.numbers import MOST_VALUES, PLAIN, Census, Meaning, Void, census, explain, judge, meaning_of
from disconerf_ns.masks.opening import picture
from disconerf_ns.masks.say import say

Labels = Integer[np.ndarray, "height width"]
"""A number per pixel."""
Stack = Bool[np.ndarray, "masks height width"]
"""Masks that may overlap."""
Read = Callable[[Path, Path], "Labels | Stack"]
"""Reads a file of an image."""
SPREAD = 0x9E3779
"""Multiplies a mask's number, modulo 2^24, to give its colour: odd, so that colours differ, and large, so that the
colours of small numbers are easy to tell apart."""


def label_maps(
    matched: MatchedFiles,
    images: Images,
    void: Void,
    read: Read,
    judge: Callable[[Census], Meaning] = judge,
    spell: Callable[[int], str] = str,
) -> Contents:
    """Label maps, or stacks of masks, of images; the meaning of numbers is judged for all files together.

    A number may be in one file only, and whether 0 is an object must not change between images; so all files are read
    once more, which takes little time beside the encoding of masks.

    Args:
        void: numbers that are no objects, or None.
        read: gives the content of a file for its image.
        judge: tells what numbers mean.
        spell: text of a number.
    """
    meaning = meaning_for(matched.pairs(images), void, read, judge, spell)
    return matched.contents(images, lambda file, image: Loaded(as_masks(read(file, image), meaning)))


def meaning_for(
    pairs: Sequence[tuple[Path, Path]],
    void: Void,
    read: Read,
    judge: Callable[[Census], Meaning] = judge,
    spell: Callable[[int], str] = str,
) -> Meaning:
    """What the numbers in files mean; prints what was judged.

    Args:
        pairs: a file and its image each.
        void, read, judge, spell: as for `label_maps`.
    """
    pixels = census(numbers for file, image in pairs for numbers in _numbers(read, file, image))
    judged = judge(pixels)
    for sentence in explain(void, judged, pixels, spell):
        say(sentence)
    return meaning_of(void, judged)


def _numbers(read: Read, file: Path, image: Path) -> list[Labels]:
    """The label map of a file, if it is one and can be read."""
    try:
        with reading(file):
            content = read(file, image)
    except MaskError:
        return []
    return [] if content.ndim == 3 else [content]


def as_masks(content: Labels | Stack, meaning: Meaning) -> ImageMasks:
    """The masks of a label map as `masks_of_labels` makes them, or of a stack."""
    return gather(content, *content.shape[1:]) if content.ndim == 3 else masks_of_labels(content, meaning)


def masks_of_labels(labels: Labels, meaning: Meaning = PLAIN) -> ImageMasks:
    """One mask for each number that is an object, in ascending order.

    Raises:
        ValueError: there are more than MOST_VALUES numbers, or they were mixed by a smooth filter.
    """
    values = [value for value in np.unique(labels).tolist() if value not in meaning.void]
    if len(values) > MOST_VALUES:
        raise ValueError(f"it has {len(values)} different values, like a photograph and unlike masks")
    check_crisp(labels)
    by_value = run_length.partition(labels)
    height, width = labels.shape
    masks = ImageMasks(height, width, tuple(Mask.from_rle(by_value[value]) for value in values))
    border = np.isin(labels, list(meaning.border))
    return replace(masks, looked_at=run_length.encode(~border)) if border.any() else masks


def stack_of(layers: Sequence[Shaped[np.ndarray, "height width"]]) -> Stack | None:
    """Layers that are one mask each, of 0 and one more number, as a stack; None if they are not."""
    most = [layer.max(initial=0) for layer in layers]
    binary = all(((layer == 0) | (layer == number)).all() for layer, number in zip(layers, most))
    return np.stack([layer > 0 for layer in layers]) if binary else None


def gather(masks: Iterable[Bool[np.ndarray, "height width"]], height: int, width: int) -> ImageMasks:
    """Run-length encode masks one by one, so that only one array at a time takes memory."""
    return ImageMasks(height, width, tuple(Mask.from_rle(run_length.encode(mask)) for mask in masks))


def flatten(masks: ImageMasks, most: int, key: str, kind: str) -> tuple[Integer[np.ndarray, "height width"], Losses]:
    """Number each pixel by the smallest mask that covers it, counted from 1 in the masks' order; 0 is no mask.

    Args:
        most: the largest number that the format holds.
        key, kind: the image's key and the kind of file, for the message.
    Returns:
        The numbers, and the information that they lose: masks that smaller ones hide or cut, empty masks, scores, ...
    Raises:
        MaskError: there are more than `most` masks.
    """
    if len(masks) > most:
        raise MaskError(f"masks: image {key} has {len(masks)} masks, but {kind} holds {most}; choose another format.")
    labels = np.zeros((masks.height, masks.width), np.int64)
    for number, mask in _largest_first(masks):
        labels[mask] = number
    seen = np.bincount(labels.ravel(), minlength=len(masks) + 1)[1:]
    areas = np.array([mask.area for mask in masks.annotations], int)
    hidden = {
        "masks hidden by smaller ones": int(((seen == 0) & (areas > 0)).sum()),
        "masks cut by smaller ones": int(((seen > 0) & (seen < areas)).sum()),
        "empty masks": int((areas == 0).sum()),
    }
    return labels, +Losses(hidden) + unsaid(masks, "looked_at", "scores", "level")


def _largest_first(masks: ImageMasks) -> Iterator[tuple[int, Bool[np.ndarray, "height width"]]]:
    for i in sorted(range(len(masks)), key=lambda i: -masks.annotations[i].area):
        yield i + 1, run_length.decode(masks.annotations[i].rle)


def read_colors(path: Path, image: Path | None = None) -> Labels:
    """R + 256 G + 65536 B of every pixel, TRANSPARENT if the pixel is.

    Args:
        image: the photograph, by whose size larger files are refused before they are unpacked.
    Raises:
        ValueError: the image is neither RGB nor RGBA, or has several frames or 16 bits per channel.
    """
    with picture(path) as colored:
        if colored.mode not in ("RGB", "RGBA"):
            raise ValueError(f"it is an image of mode {colored.mode}, not RGB or RGBA")
        if getattr(colored, "n_frames", 1) > 1:
            raise ValueError(f"it has {getattr(colored, 'n_frames', 1)} frames, but an image of colours has one")
        check_depth(colored)
        if image is not None:
            check_size(path, colored.height, colored.width, image)
        return colors_as_numbers(np.asarray(colored.convert("RGBA")).astype(np.int64))


def write_colors(numbers: Integer[np.ndarray, "height width"], path: Path) -> None:
    """Write numbers in [0, 2^24) as the colours of a PNG."""
    content = BytesIO()
    colors = np.stack([numbers >> shift & 255 for shift in (0, 8, 16)], -1).astype(np.uint8)
    Image.fromarray(colors).save(content, format="PNG")
    write_whole(path, content.getvalue())
